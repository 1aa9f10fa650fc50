"""A graph of near neighbours (HNSW) over one partition that is too large to compare with all of it.

It only proposes: what it finds is compared exactly, and so is what came after it was built. There
is one for each label, so no label filter ever takes away from what it found.
Source: Y. Malkov, D. Yashunin, Efficient and robust approximate nearest neighbor search using
Hierarchical Navigable Small World graphs (2018).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Vectors = npt.NDArray[np.float32]
    Rows = npt.NDArray[np.int64]

BATCH = 1_000
NEIGHBOURS, BUILT_WITH, SEARCHED_WITH = 16, 96, 128


@dataclass(frozen=True, slots=True)
class Graph:
    """Of the rows below `covers`."""

    covers: int
    _index: Any

    def near(self, vector: "Vectors", count: int) -> "Rows":
        """About the `count` nearest rows, dead ones among them."""
        import numpy as np

        found = self._index.search(vector, max(count, SEARCHED_WITH // 2))
        return np.asarray(found.keys, np.int64)

    def saved(self) -> bytes:
        return bytes(self._index.save())


def _empty(dimensions: int) -> Any:
    from usearch.index import Index

    return Index(
        ndim=dimensions, metric="ip", dtype="f16", connectivity=NEIGHBOURS,
        expansion_add=BUILT_WITH, expansion_search=SEARCHED_WITH,
    )  # fmt: skip


def build(vectors: "Vectors", go_on: Callable[[], bool]) -> Graph | None:
    """Minutes of one core for each 100,000; None if it was told not to go on."""
    import numpy as np

    made = _empty(vectors.shape[1])
    for start in range(0, len(vectors), BATCH):
        if not go_on():
            return None
        part = vectors[start : start + BATCH]
        made.add(np.arange(start, start + len(part), dtype=np.uint64), part, threads=1)
    return Graph(len(vectors), made)


def loaded(dimensions: int, covers: int, saved: bytes) -> Graph:
    made = _empty(dimensions)
    made.load(saved)
    made.expansion_search = SEARCHED_WITH
    return Graph(covers, made)
