"""Indexes for tests: real files and keys, small chunks, and what a filter finds, plainly."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from bastide.keys.opening import open_keyring
from bastide.knowledge.index.index import Index
from bastide.knowledge.index.model import Chunk, Kb, Mode, Query
from tests.labels_kit import US

KB = Kb("111111111111", "KB00000001")
OTHER_KB = Kb("222222222222", "KB00000001")
U, S = "UNCLASSIFIED", "SECRET"


class WithKeys(Index):
    """Ends with the keys that were opened for it alone."""

    def close(self) -> None:
        super().close()
        self._keyring.close()


def index_at(folder: Path, keyring: Any = None, **settings: Any) -> Index:
    if keyring is not None:
        return Index(folder / "index.db", keyring=keyring, parse=US.parse, **settings)
    keys = open_keyring(folder / "keys", "")
    return WithKeys(folder / "index.db", keyring=keys, parse=US.parse, **settings)


def chunk(
    id_: str, text: str = "", marking: str = "U", vector: Any = None, **metadata: Any
) -> Chunk:
    """Document and chunk of one name, but for what stands after a slash."""
    return Chunk(
        id=id_, document_id=id_.partition("/")[0], text=text or id_, label=US.parse(marking),
        metadata=metadata, vector=None if vector is None else np.array(vector, np.float32),
    )  # fmt: skip


def query(text: str = "", vector: Any = None, sees: Any = ("U",), **more: Any) -> Query:
    made = None if vector is None else np.array(vector, np.float32)
    seen = tuple(US.parse(each).text for each in sees)
    return Query(**{"kb": KB, "text": text, "sees": seen, "vector": made, "k": 10, **more})


def ids(hits: Any) -> list[str]:
    return [hit.chunk.id for hit in hits]


def matches(given: Mapping[str, Any], metadata: Mapping[str, Any]) -> bool:
    """AWS's words for each operator, read plainly."""
    ((name, inside),) = given.items()
    if name == "andAll":
        return all(matches(each, metadata) for each in inside)
    if name == "orAll":
        return any(matches(each, metadata) for each in inside)
    found, value = metadata.get(inside["key"]), inside["value"]
    if name == "notEquals":
        return not same(found, value)
    if name == "notIn":
        return not any(same(found, each) for each in value)
    return _POSITIVE[name](found, value)


def same(found: Any, value: Any) -> bool:
    """1 is not true, and a list is no scalar."""
    return (
        not isinstance(found, list)
        and isinstance(found, bool) == isinstance(value, bool)
        and found == value
    )


def number(found: Any) -> bool:
    return isinstance(found, int | float) and not isinstance(found, bool)


_POSITIVE = {
    "equals": same,
    "greaterThan": lambda found, value: number(found) and found > value,
    "greaterThanOrEquals": lambda found, value: number(found) and found >= value,
    "lessThan": lambda found, value: number(found) and found < value,
    "lessThanOrEquals": lambda found, value: number(found) and found <= value,
    "in": lambda found, value: any(same(found, each) for each in value),
    "startsWith": lambda found, value: isinstance(found, str) and found.startswith(value),
    "stringContains": lambda found, value: (
        any(value in each for each in found if isinstance(each, str))
        if isinstance(found, list)
        else isinstance(found, str) and value in found
    ),
    "listContains": lambda found, value: isinstance(found, list) and value in found,
}
SEMANTIC = Mode.SEMANTIC
