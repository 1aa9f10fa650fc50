"""Wildcards and policy variables, matched without backtracking.

A pattern is cut at its `*`; the pieces are found from left to right, each at its first place,
which is enough and takes no longer than reading value and pattern once (`*a*a*a*` is harmless).
What a variable stands for is text, never a wildcard.
Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_variables.html
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

Context = Mapping[str, str | Sequence[str]]  # condition keys in lower case → value or values
ARN_PARTS = 6
_TOKEN = re.compile(r"\$\{([^{}]*)\}|[*?]")
_VARIABLE = re.compile(r"\s*([A-Za-z0-9.-]+:[\w./:@=+ -]*[\w./:@=+-])\s*(?:,\s*'([^'{}$]*)'\s*)?\Z")
_ESCAPES = {"*": "*", "?": "?", "$": "$"}


class Wild(Enum):
    """The two wildcards."""

    MANY = "*"
    ONE = "?"


@dataclass(frozen=True, slots=True)
class Variable:
    """`${key}` or `${key, 'default'}`."""

    key: str
    default: str | None = None

    def value(self, context: Context) -> str | None:
        found = context.get(self.key, self.default)
        return found if isinstance(found, str) else None


Part = str | Wild | Variable


class BadPattern(ValueError):
    """A `${…}` that is not a policy variable."""


def parts_of(text: str, *, variables: bool = True, wildcards: bool = True) -> tuple[Part, ...]:
    """`text` cut into literal text, wildcards and variables."""
    parts: list[Part] = []
    end = 0
    for token in _TOKEN.finditer(text):
        part = _part(token, variables, wildcards)
        if part is None:
            continue
        parts += [text[end : token.start()], part]
        end = token.end()
    parts.append(text[end:])
    if variables and any("${" in part for part in parts if isinstance(part, str)):
        raise BadPattern(f"{text!r} holds an unfinished policy variable")
    return tuple(part for part in parts if part != "")


def _part(token: re.Match[str], variables: bool, wildcards: bool) -> Part | None:
    if token.group() in "*?":
        return Wild(token.group()) if wildcards else None
    if not variables:
        return None
    inner = token.group(1)
    if inner in _ESCAPES:
        return _ESCAPES[inner]
    form = _VARIABLE.match(inner)
    if form is None:
        raise BadPattern(f"${{{inner}}} is not a policy variable")
    return Variable(form.group(1).lower(), form.group(2))


@dataclass(frozen=True, slots=True)
class Glob:
    """A pattern without variables. `pieces` are what stands between its `*`."""

    pieces: tuple[str | re.Pattern[str], ...]
    sizes: tuple[int, ...]

    def matches(self, value: str) -> bool:
        pieces = self.pieces
        first = pieces[0]
        if len(pieces) == 1:
            return value == first if isinstance(first, str) else bool(first.fullmatch(value))
        start, end = self.sizes[0], len(value) - self.sizes[-1]
        if start > end or not (_at(first, value, 0) and _at(pieces[-1], value, end)):
            return False
        for piece, size in zip(pieces[1:-1], self.sizes[1:-1], strict=True):
            found = _find(piece, value, start, end)
            if found < 0:
                return False
            start = found + size
        return True


def _at(piece: str | re.Pattern[str], value: str, start: int) -> bool:
    if isinstance(piece, str):
        return value.startswith(piece, start)
    return piece.match(value, start) is not None


def _find(piece: str | re.Pattern[str], value: str, start: int, end: int) -> int:
    if isinstance(piece, str):
        return value.find(piece, start, end)
    found = piece.search(value, start, end)
    return found.start() if found else -1


def glob_of(parts: Sequence[Part]) -> Glob:
    """The matcher of parts that hold no variable."""
    pieces: list[list[str | Wild]] = [[]]
    for part in parts:
        assert not isinstance(part, Variable)
        if part is Wild.MANY:
            pieces.append([])
        else:
            pieces[-1].append(part)
    sizes = tuple(sum(1 if p is Wild.ONE else len(str(p)) for p in piece) for piece in pieces)
    return Glob(tuple(_compiled(piece) for piece in pieces), sizes)


def _compiled(piece: Sequence[str | Wild]) -> str | re.Pattern[str]:
    if Wild.ONE not in piece:
        return "".join(str(part) for part in piece)
    text = "".join("." if isinstance(part, Wild) else re.escape(part) for part in piece)
    return re.compile(text, re.DOTALL)


def resolved(parts: Sequence[Part], context: Context) -> list[Part] | None:
    """`parts` with the variables' values; None when one has none, and nothing can match."""
    out: list[Part] = []
    for part in parts:
        if isinstance(part, Variable):
            value = part.value(context)
            if value is None:
                return None
            out.append(value)
        else:
            out.append(part)
    return out


@dataclass(frozen=True, slots=True)
class Pattern:
    """A text pattern; `glob` is None when it holds variables."""

    parts: tuple[Part, ...]
    glob: Glob | None

    @classmethod
    def of(cls, text: str, *, variables: bool = True, wildcards: bool = True) -> "Pattern":
        parts = parts_of(text, variables=variables, wildcards=wildcards)
        fixed = not any(isinstance(part, Variable) for part in parts)
        return cls(parts, glob_of(parts) if fixed else None)

    def matches(self, value: str, context: Context) -> bool:
        if self.glob is not None:
            return self.glob.matches(value)
        parts = resolved(self.parts, context)
        return parts is not None and glob_of(parts).matches(value)


@dataclass(frozen=True, slots=True)
class ArnPattern:
    """A pattern whose wildcards never cross one of the five colons of an ARN.

    `everything` is the lone `*`. `fields` are the six parts when there is no variable. `head` is
    the text before the first wildcard or variable: most patterns are told from an ARN by it. Where
    it holds the first five parts, as it mostly does, `last` is matched to what is after `skip`.
    """

    parts: tuple[tuple[Part, ...], ...]
    fields: tuple[Glob, ...] | None
    everything: bool
    head: str = ""
    last: Glob | None = None
    skip: int = 0

    @classmethod
    def of(cls, text: str, *, variables: bool = True) -> "ArnPattern":
        if text == "*":
            return cls((), None, True)
        parts = parts_of(text, variables=variables)
        head = parts[0] if parts and isinstance(parts[0], str) else ""
        fields = arn_fields(parts)
        fixed = not any(isinstance(part, Variable) for field in fields for part in field)
        globs = tuple(glob_of(field) for field in fields) if fixed else None
        *firm, rest = head.split(":", ARN_PARTS - 1)
        if globs is None or len(firm) != ARN_PARTS - 1:
            return cls(fields, globs, False, head)
        return cls(fields, globs, False, head, globs[-1], len(head) - len(rest))

    @property
    def asks_context(self) -> bool:
        """Whether there is a variable in it."""
        return self.fields is None and not self.everything

    def matches(self, arn: str, context: Context) -> bool:
        if self.everything:
            return True
        if not arn.startswith(self.head):
            return False
        if self.last is not None:
            return self.last.matches(arn[self.skip :])
        values = arn.split(":", ARN_PARTS - 1)
        fields = self.fields
        if fields is None:
            found = [resolved(field, context) for field in self.parts]
            fields = tuple(glob_of(field) for field in found if field is not None)
        if len(fields) != len(self.parts) or len(fields) != len(values):
            return False
        return all(field.matches(value) for field, value in zip(fields, values, strict=True))


def arn_fields(parts: Sequence[Part]) -> tuple[tuple[Part, ...], ...]:
    """Cut at the first five colons that stand in the pattern's own text."""
    fields: list[list[Part]] = [[]]
    for part in parts:
        if not isinstance(part, str):
            fields[-1].append(part)
            continue
        head, *rest = part.split(":", ARN_PARTS - len(fields))
        fields[-1].append(head)
        fields += [[piece] for piece in rest]
    return tuple(tuple(part for part in field if part != "") for field in fields)
