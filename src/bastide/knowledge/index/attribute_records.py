"""The attributes of a partition's chunks, in memory, and the rows that a condition finds.

Texts are compared as UTF-8 bytes, so that no letter of theirs is special to SQL. Each value keeps
its kind: 1 is not true, and "1" is neither.
"""

import math
import threading
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import apsw

from bastide.knowledge.index.filters import All, AnyOf, Compare, Condition, Scalar, Tree

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Mask = npt.NDArray[np.bool_]

_TABLE = """
CREATE TABLE attributes(row INTEGER, key BLOB, kind TEXT, value, listed INTEGER);
CREATE INDEX attributes_value ON attributes(key, kind, listed, value, row);
"""
_FROM = "SELECT group_concat(row) FROM attributes WHERE key = ? AND kind = ?"
_COMPARED = {
    Compare.EQUALS: f"{_FROM} AND listed = 0 AND value = ?",
    Compare.GREATER: f"{_FROM} AND listed = 0 AND value > ?",
    Compare.GREATER_OR_EQUAL: f"{_FROM} AND listed = 0 AND value >= ?",
    Compare.LESS: f"{_FROM} AND listed = 0 AND value < ?",
    Compare.LESS_OR_EQUAL: f"{_FROM} AND listed = 0 AND value <= ?",
    Compare.STARTS: f"{_FROM} AND listed = 0 AND substr(value, 1, length(?3)) = ?3",
    Compare.CONTAINS: f"{_FROM} AND instr(value, ?) > 0",
    Compare.LISTS: f"{_FROM} AND listed = 1 AND value = ?",
}
_NEGATED = {Compare.NOT_EQUALS: Compare.EQUALS, Compare.NOT_IN: Compare.IN}
_WHOLE = 2**63


class Attributes:
    """Safe to use from many threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._memory = apsw.Connection(":memory:")
        self._memory.execute(_TABLE)

    def add(self, first: int, found: Iterable[Mapping[str, Any]]) -> None:
        """Of the chunks at row `first` and after."""
        rows = (
            (row, *each) for row, metadata in enumerate(found, first) for each in _values(metadata)
        )
        with self._lock, self._memory:
            self._memory.executemany("INSERT INTO attributes VALUES (?, ?, ?, ?, ?)", rows)

    def mask(self, tree: Tree, count: int) -> "Mask":
        """Which of the first `count` rows match."""
        import numpy as np

        match tree:
            case All():
                masks = [self.mask(each, count) for each in tree.of]
                return np.asarray(np.logical_and.reduce(masks), np.bool_)
            case AnyOf():
                masks = [self.mask(each, count) for each in tree.of]
                return np.asarray(np.logical_or.reduce(masks), np.bool_)
            case Condition():
                return self._condition(tree, count)

    def _condition(self, wanted: Condition, count: int) -> "Mask":
        import numpy as np

        compare = _NEGATED.get(wanted.compare, wanted.compare)
        query = _COMPARED[Compare.EQUALS if compare is Compare.IN else compare]
        found = np.zeros(count, np.bool_)
        for value in wanted.values:
            kind, stored = _stored(value)
            with self._lock:  # all rows as one text: one by one they took most of a question's time
                rows = self._memory.execute(query, (_bytes(wanted.key), kind, stored)).get
            at = np.fromstring(rows or "", np.int64, sep=",")
            found[at[at < count]] = True
        return ~found if wanted.compare in _NEGATED else found


def _values(metadata: Mapping[str, Any]) -> Iterator[tuple[bytes, str, Any, int]]:
    for key, value in metadata.items():
        name = _bytes(key)
        if isinstance(value, list | tuple):
            yield from ((name, *_stored(each), 1) for each in value if isinstance(each, str))
        elif isinstance(value, str | bool) or _is_number(value):
            yield (name, *_stored(value), 0)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def _stored(value: Scalar) -> tuple[str, Any]:
    """The kind and the form in which SQL compares it."""
    if isinstance(value, str):
        return "text", _bytes(value)
    if isinstance(value, bool):
        return "truth", int(value)
    return "number", value if abs(value) < _WHOLE else float(value)


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
