"""Which rows answer a question best: by meaning, by words, or by both ranks.

All of it is a function of the partitions that the session sees. Equal ones come in the order of
their labels and, within one, in that in which they were put.
Source: G. Cormack, C. Clarke, S. Büttcher, Reciprocal Rank Fusion outperforms Condorcet and
individual Rank Learning Methods (2009).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bastide.knowledge.index import lexical
from bastide.knowledge.index.graph import Graph
from bastide.knowledge.index.model import Mode, Query
from bastide.knowledge.index.partition import View
from bastide.knowledge.index.sealing import unit
from bastide.knowledge.index.vectors import cosines, nearest

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Mask = npt.NDArray[np.bool_]
    Rows = npt.NDArray[np.int64]

RANK_CONSTANT = 60
DEPTH = 100  # of each of two rankings that are joined
LEAST = 1e-9


@dataclass(frozen=True, slots=True)
class Seen:
    """A partition as one question sees it. `matches` is None where it filters nothing."""

    view: View
    matches: "Mask | None"
    graph: Graph | None


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """A row of one of the partitions."""

    part: int
    row: int


Ranked = list[tuple[Place, float]]


def ranked(query: Query, seen: Sequence[Seen]) -> Ranked:
    """Best first, with scores in (0, 1]."""
    vector = None if query.vector is None else unit(query.vector)
    depth = query.k if query.mode is Mode.SEMANTIC else max(DEPTH, query.k)
    near = [] if vector is None else _near(vector, seen, depth)
    if query.mode is Mode.SEMANTIC and near:
        return [(place, _of_cosine(cosine)) for place, cosine in near[: query.k]]
    said = _said(query.text, seen, depth)
    if vector is None or not vector.any():
        return [(place, score / (1 + score)) for place, score in said[: query.k]]
    return _fused(near, said)[: query.k]


def _of_cosine(cosine: float) -> float:
    return min(1.0, max(LEAST, (1 + cosine) / 2))


def _fused(near: Ranked, said: Ranked) -> Ranked:
    """1 is the first of both."""
    joined: dict[Place, float] = {}
    for ranking in (near, said):
        for rank, (place, _) in enumerate(ranking, 1):
            joined[place] = joined.get(place, 0.0) + 1 / (RANK_CONSTANT + rank)
    cosines = dict(near)
    most = 2 / (RANK_CONSTANT + 1)
    order = sorted(joined, key=lambda at: (-joined[at], -cosines.get(at, -2.0), at))
    return [(place, min(1.0, joined[place] / most)) for place in order]


def _near(vector: "npt.NDArray[np.float32]", seen: Sequence[Seen], depth: int) -> Ranked:
    found: Ranked = []
    for part, one in enumerate(seen):
        vectors = one.view.vectors
        if vectors is None or not vector.any():
            continue
        if vectors.shape[1] != len(vector):
            raise ValueError(f"vectors of {vectors.shape[1]} dimensions are here")
        rows = _candidates(one, vector, depth)
        found += _best(part, rows, cosines(vectors, rows, vector), depth)
    return _ordered(found, depth)


def _candidates(one: Seen, vector: "npt.NDArray[np.float32]", depth: int) -> "Rows":
    """The rows to compare with, ascending."""
    import numpy as np

    assert one.view.codes is not None
    allowed = one.view.alive & one.view.embedded
    if one.matches is not None:
        allowed &= one.matches
    if one.graph is None:
        return nearest(one.view.codes, vector, allowed, depth)
    later = np.arange(one.graph.covers, len(one.view.ids))
    rows = np.unique(np.concatenate([one.graph.near(vector, 2 * depth), later]))
    kept: Rows = rows[allowed[rows]]
    return kept


def _said(text: str, seen: Sequence[Seen], depth: int) -> Ranked:
    import numpy as np

    found: Ranked = []
    scores = lexical.scores(text, [one.view.words for one in seen])
    for part, (one, score) in enumerate(zip(seen, scores, strict=True)):
        has = score > 0
        if one.matches is not None:
            has = has & one.matches
        rows = np.flatnonzero(has)
        found += _best(part, rows, score[rows], depth)
    return _ordered(found, depth)


def _best(part: int, rows: "Rows", scores: "npt.NDArray[Any]", depth: int) -> Ranked:
    """The best of one partition, and all that are as good as the last of them."""
    import numpy as np

    if len(rows) > depth:
        least = np.partition(scores, len(scores) - depth)[len(scores) - depth]
        kept = scores >= least
        rows, scores = rows[kept], scores[kept]
    pairs = zip(rows.tolist(), scores.tolist(), strict=True)
    return [(Place(part, row), score) for row, score in pairs]


def _ordered(found: Ranked, depth: int) -> Ranked:
    return sorted(found, key=lambda pair: (-pair[1], pair[0]))[:depth]
