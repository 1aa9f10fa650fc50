"""Passages that a session may see, best first: the same for Retrieve and RetrieveAndGenerate.

The labels that the session dominates go into the question itself: nothing above them is looked at,
counted or ranked.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bastide.kernel.call import Call
from bastide.kernel.errors import invalid
from bastide.kernel.labels.label import Label
from bastide.knowledge.index.model import Hit, Kb, Mode, Query
from bastide.knowledge.model import BaseRow, Params
from bastide.knowledge.ports import Embedder, Index
from bastide.knowledge.preparing import KIND, PARENT, PORTION, SPAN, URI
from bastide.knowledge.shelf import Shelf

RESULTS_DEFAULT = 5
CHILDREN_PER_RESULT = 4  # several may have one parent


@dataclass(frozen=True, slots=True, kw_only=True)
class Passage:
    """`label` is that of what was read; `portion` that which the text itself is marked with."""

    text: str
    kind: str
    uri: str
    label: Label
    portion: Label
    score: float
    metadata: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    shelf: Shelf
    index: Index
    embedder: Embedder

    def passages(self, call: Call, base: BaseRow, text: str, wanted: Params) -> list[Passage]:
        """`wanted` is a vectorSearchConfiguration."""
        if not text.strip():
            raise invalid("The text of the query must not be empty.")
        count = wanted.get("numberOfResults") or RESULTS_DEFAULT
        model, dimensions = base.model
        vectors = self.embedder.embed(call.principal, model, dimensions, [text])
        query = Query(
            kb=Kb(base.account, base.id),
            text=text,
            sees=self.shelf.view(call).seen,
            vector=vectors[0],
            filter=wanted.get("filter"),
            k=count * CHILDREN_PER_RESULT,
            mode=Mode(wanted.get("overrideSearchType") or Mode.HYBRID),
        )
        return self._told(self.index.search(query), count)

    def _told(self, hits: Sequence[Hit], count: int) -> list[Passage]:
        """Parents in place of their children, each once."""
        found: list[Passage] = []
        told: set[tuple[str, str]] = set()
        for hit in hits:
            text = str(hit.chunk.metadata.get(PARENT) or hit.chunk.text)
            if (hit.chunk.document_id, text) not in told and len(found) < count:
                told.add((hit.chunk.document_id, text))
                found.append(self._passage(hit, text))
        return found

    def _passage(self, hit: Hit, text: str) -> Passage:
        given, parse = hit.chunk.metadata, self.shelf.marks.parse
        shown = {key: value for key, value in given.items() if key not in (PARENT, SPAN, KIND)}
        return Passage(
            text=text,
            kind=str(given[KIND]),
            uri=str(given[URI]),
            label=parse(hit.chunk.label),
            portion=parse(str(given[PORTION])),
            score=hit.score,
            metadata=shown,
        )


def located(passage: Passage) -> Params:
    """As AWS says where a passage is from."""
    if passage.kind == "S3":
        return {"type": "S3", "s3Location": {"uri": passage.uri}}
    return {"type": "CUSTOM", "customDocumentLocation": {"id": passage.uri}}
