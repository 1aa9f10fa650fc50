"""Checks of one value: lengths, ranges, patterns, enums. Compiled from a shape of a model.

A check appends what it finds to a list. Where a value stands is a chain of names, made into text
only for a value that is refused.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from bastide.wire import patterns
from bastide.wire.model import Shape

SHOWN_MAX = 1024
NUMBERS = ("integer", "long", "float", "double")
At = tuple[Any, ...]  # (At of what it is in, name of the member, number of the item or map key)


@dataclass(frozen=True, slots=True)
class Violation:
    """A value that breaks the model, where it stands, and what it must be."""

    at: At
    value: Any
    constraint: str

    @property
    def is_missing(self) -> bool:
        return self.value is None

    @property
    def members(self) -> tuple[str, ...]:
        """The way to it from the top: ("Delete", "Objects", 1)."""
        names: list[str] = []
        at = self.at
        while at:
            at, name = at
            names.append(name)
        return tuple(reversed(names))

    def __str__(self) -> str:
        shown = "null" if self.value is None else f"'{str(self.value)[:SHOWN_MAX]}'"
        where = ".".join(
            name[:1].lower() + name[1:] if type(name) is str else f"{_shown(name)}.member"
            for name in self.members
        )
        return f"Value {shown} at '{where}' failed to satisfy constraint: {self.constraint}"


Check = Callable[[Any, At, list[Violation]], None]
Test = Callable[[Any], object]


def _shown(index: Any) -> str:
    """An item's number, or a map's key: those come wrapped, unlike members."""
    return str(index[0])[:SHOWN_MAX] if type(index) is tuple else str(index)


def scalar_check(shape: Shape, *, free: bool) -> Check | None:
    """Of a string, number or blob; `free` leaves enums and patterns alone."""
    kind = shape.type_name
    if kind in NUMBERS:
        return _of_tests([_least(shape, "value", _same), _most(shape, "value", _same)])
    if kind == "blob":
        return size_check(shape)
    if kind != "string":
        return None
    tests = [_least(shape, "length", len), _most(shape, "length", len)]
    if not free:
        tests += [_enum(shape), _pattern(shape)]
    return _of_tests(tests)


def size_check(shape: Shape) -> Check | None:
    return _of_tests([_least(shape, "length", len), _most(shape, "length", len)])


def _same(value: Any) -> Any:
    return value


def _of_tests(given: list[tuple[Test, str] | None]) -> Check | None:
    tests = [one for one in given if one is not None]
    if not tests:
        return None

    def check(value: Any, at: At, found: list[Violation]) -> None:
        for test, constraint in tests:
            if not test(value):
                found.append(Violation(at, value, constraint))

    return check


def _least(shape: Shape, what: str, measure: Callable[[Any], Any]) -> tuple[Test, str] | None:
    least = shape.metadata.get("min")
    if least is None or (what == "length" and least == 0):
        return None
    told = f"Member must have {what} greater than or equal to {least}"
    return (lambda value: measure(value) >= least), told


def _most(shape: Shape, what: str, measure: Callable[[Any], Any]) -> tuple[Test, str] | None:
    most = shape.metadata.get("max")
    if most is None:
        return None
    told = f"Member must have {what} less than or equal to {most}"
    return (lambda value: measure(value) <= most), told


def _enum(shape: Shape) -> tuple[Test, str] | None:
    allowed = frozenset(shape.enum)
    if not allowed:
        return None
    listed = ", ".join(shape.enum)
    return allowed.__contains__, f"Member must satisfy enum value set: [{listed}]"


def _pattern(shape: Shape) -> tuple[Test, str] | None:
    text = shape.metadata.get("pattern")
    matches = patterns.matcher(text) if text else None
    if matches is None:
        return None
    size_max = min(shape.metadata.get("max", patterns.TEXT_MAX), patterns.TEXT_MAX)
    told = f"Member must satisfy regular expression pattern: {text}"
    return (lambda value: len(value) > size_max or matches(value)), told
