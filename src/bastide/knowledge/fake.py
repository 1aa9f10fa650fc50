"""Twins for tests: an index in memory that compares everything, and a model that counts words."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from zlib import crc32

from bastide.kernel.call import Call, Principal
from bastide.knowledge.index.model import Chunk, Found, Hit, Kb, Query

if TYPE_CHECKING:
    from bastide.knowledge.ports import Vectors

DIMENSIONS = 64


@dataclass(slots=True)
class FakeIndex:
    """`Index`, without filters."""

    held: dict[Kb, dict[tuple[str, str], Chunk]] = field(default_factory=dict)

    def put(self, kb: Kb, chunks: Sequence[Chunk]) -> None:
        self.remove(kb, [chunk.document_id for chunk in chunks])
        mine = self.held.setdefault(kb, {})
        mine.update({(chunk.document_id, chunk.id): chunk for chunk in chunks})

    def remove(self, kb: Kb, document_ids: Sequence[str]) -> None:
        mine = self.held.get(kb, {})
        for key in [key for key in mine if key[0] in document_ids]:
            del mine[key]

    def drop(self, kb: Kb) -> None:
        self.held.pop(kb, None)

    def search(self, query: Query) -> list[Hit]:
        seen = [c for c in self.held.get(query.kb, {}).values() if c.label.text in query.sees]
        hits = [Hit(_found(chunk), self._score(query, chunk)) for chunk in seen]
        hits.sort(key=lambda hit: (-hit.score, hit.chunk.document_id, hit.chunk.id))
        return hits[: query.k]

    def _score(self, query: Query, chunk: Chunk) -> float:
        if query.vector is None or chunk.vector is None:
            return 0.5
        return max(0.001, float(query.vector @ chunk.vector))


def _found(chunk: Chunk) -> Found:
    return Found(chunk.id, chunk.document_id, chunk.text, chunk.metadata, chunk.label.text)


@dataclass(slots=True)
class FakeEmbedder:
    """`Embedder`: texts that share words are near each other."""

    asked: list[str] = field(default_factory=list)

    def check(self, call: Call, model_arn: str, dimensions: int | None) -> None:
        return

    def allow(self, who: Principal, model_arn: str) -> None:
        return

    def begin(self, who: Principal, model_arn: str) -> None:
        return

    def embed(
        self, who: Principal, model_arn: str, dimensions: int | None, texts: Sequence[str]
    ) -> "Vectors":
        import numpy as np

        self.asked += texts
        found = np.zeros((len(texts), DIMENSIONS), np.float32)
        for row, text in enumerate(texts):
            for word in re.findall(r"\w+", text.lower()):
                found[row, crc32(word.encode()) % DIMENSIONS] += 1
        lengths = np.linalg.norm(found, axis=1, keepdims=True)
        return np.asarray(found / np.maximum(lengths, 1e-9), np.float32)
