"""CloudWatch's filter patterns for unstructured text: terms, "quoted", ?any-of, -not.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/FilterAndPatternSyntax.html
JSON `{…}`, space-delimited `[…]` and regular-expression `%…%` patterns are refused by name.
"""

import re
from dataclasses import dataclass

from bastide.kernel.errors import ServiceError, unsupported

PATTERN_SIZE_MAX = 1024
_TERM = re.compile(r'\s*([?-]?)("(?:[^"\\]|\\.)*"|[^\s"]+)')
_REFUSED = {"{": "a JSON filterPattern", "[": "a space-delimited filterPattern"}


@dataclass(frozen=True, slots=True)
class Pattern:
    """What a message must hold, all of it; must hold one of; must not hold."""

    every: tuple[str, ...] = ()
    either: tuple[str, ...] = ()
    none: tuple[str, ...] = ()

    def matches(self, message: str) -> bool:
        if any(term in message for term in self.none):
            return False
        if self.either and any(term in message for term in self.either):
            return True
        if self.either and not self.every:
            return False
        return all(term in message for term in self.every)


def parse(text: str, operation: str) -> Pattern:
    """Read a pattern. An empty one matches everything."""
    text = text.strip()
    if len(text) > PATTERN_SIZE_MAX:
        raise ServiceError("InvalidParameterException", "The filter pattern is too long.")
    if text[:1] in _REFUSED:
        raise unsupported(operation, _REFUSED[text[0]])
    found: dict[str, list[str]] = {"": [], "?": [], "-": []}
    at = 0
    while at < len(text):
        match = _TERM.match(text, at)
        if match is None:
            raise ServiceError("InvalidParameterException", "Invalid filter pattern")
        kind, term = match[1], match[2]
        if term.startswith("%") and term.endswith("%") and len(term) > 1:
            raise unsupported(operation, "a regular expression in filterPattern")
        quoted = term.startswith('"')
        found[kind].append(re.sub(r"\\(.)", r"\1", term[1:-1]) if quoted else term)
        at = match.end()
    return Pattern(tuple(found[""]), tuple(found["?"]), tuple(found["-"]))
