"""Names and addresses by their words, shapes and surroundings: a linear tagger that we trained
ourselves.

Each token's features are hashes of its own and its neighbours' attributes; the weights are one row
for each hash, so they hold no word of any text. The best sequence of tags is Viterbi's.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bastide.guardrails.detect import weights
from bastide.guardrails.detect.tokens import Ids, Token, attributes_of

KINDS = ("NAME", "STREET", "PLACE", "ORGANISATION", "PEOPLE", "TITLE", "AGE")
TAGS = ("O", *(f"{part}-{kind}" for kind in KINDS for part in "BI"))
ROWS = 1 << 14
_SURELY_NOTHING = 8.0  # more than any neighbour's tag can make up for
EDGE = 3  # tokens of padding: as far as a feature looks
W, S, P, E, G, B = range(6)  # the columns of `attributes_of`
# Each feature: which attribute at which distance.
FEATURES: tuple[tuple[tuple[int, int], ...], ...] = (
    ((W, 0),), ((W, -1),), ((W, 1),), ((W, -2),), ((W, 2),), ((W, -3),),
    ((W, -2), (W, -1)), ((W, 1), (W, 2)), ((W, -1), (W, 1)),
    ((S, 0), (B, 0)), ((S, -1), (S, 0)), ((S, 0), (S, 1)), ((S, -1), (S, 0), (S, 1)),
    ((S, -2), (S, -1), (S, 0)), ((S, 0), (S, 1), (S, 2)),
    ((P, 0),), ((E, 0),), ((E, 0), (S, 0)), ((E, 1),), ((E, -1),),
    ((G, 0), (S, 0), (B, 0)), ((G, -1), (S, -1)), ((G, 1), (S, 1)), ((G, -1), (G, 0)),
    ((G, 0), (G, 1)), ((G, -1), (G, 0), (G, 1)), ((G, -2),), ((G, 2),),
    ((W, -1), (S, 0)), ((W, 1), (S, 0)), ((W, -1), (G, 0)), ((W, 1), (G, 0)),
    ((W, -2), (W, -1), (S, 0)), ((W, -2), (S, 0)), ((W, -2), (G, 0), (G, -1)), ((W, 2), (S, 0)),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Tagged:
    start: int
    end: int
    kind: str
    confidence: float


def _rounds() -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]]:
    """For the first, second and third part of features: which have one, how far away, and what."""
    for part in range(max(map(len, FEATURES))):
        having = [at for at, parts in enumerate(FEATURES) if len(parts) > part]
        attribute, distance = zip(*(FEATURES[at][part] for at in having), strict=True)
        yield np.array(having), np.array(distance) + EDGE, np.array(attribute)


_ROUNDS = tuple(_rounds())
_SEEDS = (np.arange(1, len(FEATURES) + 1, dtype=np.uint64) * 0x9E3779B1).astype(np.uint32)


def features_of(attributes: Ids) -> NDArray[np.intp]:
    """For each token the rows of its features."""
    padded = np.pad(attributes, ((EDGE, EDGE), (0, 0)), constant_values=1)
    mixed = np.tile(_SEEDS, (len(attributes), 1))
    tokens = np.arange(len(attributes))[:, None]
    for having, distance, attribute in _ROUNDS:
        total = (mixed[:, having] ^ padded[tokens + distance, attribute]) * np.uint32(0x85EBCA6B)
        mixed[:, having] = total ^ (total >> np.uint32(15))
    return (mixed % np.uint32(ROWS)).astype(np.intp)


@dataclass(frozen=True, slots=True)
class Tables:
    """For each hash what it says for each tag, as shipped in bytes and a scale; and for each tag
    what may follow it."""

    emission: NDArray[Any]
    transition: NDArray[np.float32]
    scale: float = 1.0


@cache
def shipped() -> Tables:
    transition = np.asarray(weights.array("transitions"), dtype=np.float32)
    return Tables(weights.array("tagger"), transition, weights.manifest()["scale"])


def tag(tokens: Sequence[Token], tables: Tables) -> list[Tagged]:
    if not tokens:
        return []
    scores = _scores(features_of(attributes_of(tokens)), tables)
    return list(_spans(tokens, _best_path(scores, tables.transition), scores))


def _scores(rows: NDArray[np.intp], tables: Tables) -> NDArray[np.float32]:
    total = np.zeros((len(rows), len(TAGS)), dtype=np.float32)
    for column in rows.T:
        total += tables.emission[column]
    return total * np.float32(tables.scale)


def _best_path(scores: NDArray[np.float32], transitions: NDArray[np.float32]) -> list[int]:
    """Most tokens are surely nothing, whatever stands beside them: only between those is
    anything to find."""
    unsure = scores[:, 0] - scores[:, 1:].max(axis=1) < _SURELY_NOTHING
    edges = np.flatnonzero(np.diff(np.concatenate([[False], unsure, [False]]))).tolist()
    alone = scores + transitions[0] + transitions[:, 0]  # with nothing on either side
    path: list[int] = np.where(unsure, alone.argmax(axis=1), 0).tolist()
    for start, end in zip(edges[::2], edges[1::2], strict=True):
        if end - start > 1:
            path[start:end] = _viterbi(scores[start:end], transitions)
    return path


def _viterbi(scores: NDArray[np.float32], transitions: NDArray[np.float32]) -> list[int]:
    """The best tags of these tokens, with nothing before and after them."""
    best, back = scores[0] + transitions[0], []
    for row in scores[1:]:
        reached = best[:, None] + transitions
        back.append(reached.argmax(axis=0))
        best = reached.max(axis=0) + row
    path = [int((best + transitions[:, 0]).argmax())]
    for came_from in reversed(back):
        path.append(int(came_from[path[-1]]))
    return path[::-1]


def _spans(
    tokens: Sequence[Token], path: Sequence[int], scores: NDArray[np.float32]
) -> Iterator[Tagged]:
    odds = _odds(scores, path)
    at = 0
    while at < len(path):
        kind = TAGS[path[at]][2:]
        first = at
        at += 1
        while kind and at < len(path) and TAGS[path[at]] == f"I-{kind}":
            at += 1
        last = at - 1
        while last > first and not tokens[last].text[0].isalnum():
            last -= 1  # the full stop after a name is no part of it
        if kind:
            sure = sum(odds[first:at]) / (at - first)
            yield Tagged(tokens[first].start, tokens[last].end, kind, sure)


def _odds(scores: NDArray[np.float32], tags: Sequence[int]) -> list[float]:
    """How probable each of these tags is."""
    raised = np.exp(scores - scores.max(axis=1, keepdims=True))
    found: list[float] = (raised[np.arange(len(tags)), tags] / raised.sum(axis=1)).tolist()
    return found
