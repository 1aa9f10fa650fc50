"""YAML as far as it says what JSON can say: no anchors, aliases or tags, so nothing grows or is
made. Built from the parser's events, without recursion. Scalars are read by YAML 1.2's core schema.

Source: https://yaml.org/spec/1.2.2/#103-core-schema
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

DEPTH_MAX = 64
NODES_MAX = 200_000
_CONSTANTS = {"": None, "~": None, "null": None, "Null": None, "NULL": None} | {
    word: said
    for said in (True, False)
    for word in (str(said), str(said).lower(), str(said).upper())
}
_INT = re.compile(r"[-+]?[0-9]{1,400}")
_FLOAT = re.compile(r"[-+]?(\.[0-9]{1,400}|[0-9]{1,400}(\.[0-9]{0,400})?)([eE][-+]?[0-9]{1,3})?")
_NOTHING = object()


class BadYaml(ValueError):
    """Says why, with no word of the text itself."""


@dataclass(slots=True)
class _Open:
    """A mapping or a list that has not ended; `key`: whose value comes next."""

    made: Any
    key: Any = _NOTHING

    @property
    def wants_key(self) -> bool:
        return isinstance(self.made, dict) and self.key is _NOTHING

    def begin(self, key: str) -> None:
        """Keys are texts, as JSON's: `200:` too."""
        if key in self.made:
            raise BadYaml("a key twice")
        self.key = key

    def put(self, value: Any) -> None:
        if isinstance(self.made, dict):
            self.made[self.key], self.key = value, _NOTHING
        else:
            self.made.append(value)


def read(text: str) -> Any:
    """Raises BadYaml."""
    import yaml  # slow to import, seldom needed

    try:
        return _built(yaml.parse(text, Loader=yaml.CSafeLoader))
    except (yaml.YAMLError, UnicodeError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f" at line {mark.line + 1}" if mark else ""
        raise BadYaml(f"not YAML{where}") from error


def _built(events: Iterator[Any]) -> Any:
    found: list[Any] = []
    opened: list[_Open] = []
    for number, event in enumerate(events):
        if number > NODES_MAX or len(opened) > DEPTH_MAX:
            raise BadYaml("too large or too deep")
        _take(type(event).__name__, event, opened, found)
    if len(found) > 1:
        raise BadYaml("more than one document")
    return found[0] if found else None


def _take(kind: str, event: Any, opened: list[_Open], found: list[Any]) -> None:
    if getattr(event, "anchor", None) is not None or getattr(event, "tag", None) is not None:
        raise BadYaml("anchors, aliases and tags are not read")
    within = opened[-1] if opened else None
    if kind in ("MappingStartEvent", "SequenceStartEvent"):
        if within and within.wants_key:
            raise BadYaml("a key that is no scalar")
        opened.append(_Open({} if kind == "MappingStartEvent" else []))
    elif kind in ("MappingEndEvent", "SequenceEndEvent"):
        _end(opened.pop().made, opened, found)
    elif kind == "ScalarEvent":
        if within and within.wants_key:
            within.begin(event.value)
        else:
            _end(_scalar(event), opened, found)


def _end(value: Any, opened: list[_Open], found: list[Any]) -> None:
    if opened:
        opened[-1].put(value)
    else:
        found.append(value)


def _scalar(event: Any) -> Any:
    text: str = event.value
    if not event.implicit[0]:  # quoted, or in a block
        return text
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    if _INT.fullmatch(text):
        return int(text)
    return float(text) if _FLOAT.fullmatch(text) else text
