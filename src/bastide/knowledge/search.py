"""Passages that a session may see, best first: the same for Retrieve and RetrieveAndGenerate.

The labels that the session dominates go into the question itself: nothing above them is looked at,
counted or ranked.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from bastide.kernel.call import Call
from bastide.kernel.errors import invalid, unsupported
from bastide.kernel.labels.label import Label
from bastide.knowledge.index.model import Hit, Kb, Mode, Query
from bastide.knowledge.model import SERVICE, BaseRow, Params
from bastide.knowledge.ports import Embedder, Index, Roles
from bastide.knowledge.preparing import KIND, PARENT, PORTION, SPAN, URI
from bastide.knowledge.reranking import scored
from bastide.knowledge.shelf import Shelf

RESULTS_DEFAULT = 5
CHILDREN_PER_RESULT = 4  # several may have one parent
_BEDROCK = "rerankingConfiguration.bedrockRerankingConfiguration"
SEARCH_MEMBERS = (
    "filter",
    "numberOfResults",
    "overrideSearchType",
    "rerankingConfiguration.type",
    f"{_BEDROCK}.modelConfiguration.modelArn",
    f"{_BEDROCK}.numberOfRerankedResults",
    f"{_BEDROCK}.metadataConfiguration",
)


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
    roles: Roles

    def passages(self, call: Call, base: BaseRow, text: str, wanted: Params) -> list[Passage]:
        """`wanted` is a vectorSearchConfiguration."""
        if not text.strip():
            raise invalid("The text of the query must not be empty.")
        _check(call, wanted)
        count = wanted.get("numberOfResults") or RESULTS_DEFAULT
        query = Query(
            kb=Kb(base.account, base.id),
            text=text,
            sees=self.shelf.view(call).seen,
            vector=self._vector(call, base, text),
            filter=wanted.get("filter"),
            k=count * CHILDREN_PER_RESULT,
            mode=Mode(wanted.get("overrideSearchType") or Mode.HYBRID),
        )
        found = self._told(self.index.search(query), count)
        ranking = (wanted.get("rerankingConfiguration") or {}).get("bedrockRerankingConfiguration")
        return self._reranked(call, text, found, ranking) if ranking else found

    def _vector(self, call: Call, base: BaseRow, text: str) -> Any:
        """By the knowledge base's role, at the label of the question."""
        marking = self.shelf.marks.own(call.principal)
        who = self.roles.assume_for_service(call.account, base.role_arn, SERVICE, marking)
        model, dimensions = base.model
        self.embedder.allow(who, model)
        self.embedder.begin(who, model)
        return self.embedder.embed(who, model, dimensions, [text])[0]

    def _reranked(
        self, call: Call, question: str, found: Sequence[Passage], wanted: Params
    ) -> list[Passage]:
        """The best of what was found, by another model, and with its scores. Whether the caller may
        call it was asked before."""
        model = wanted["modelConfiguration"]["modelArn"]
        self.embedder.check(call, model, None)
        if not found:
            return []
        texts = [
            _ranked_by(passage, wanted.get("metadataConfiguration") or {}) for passage in found
        ]
        scores = scored(self.embedder, call.principal, model, question, texts)
        order = sorted(range(len(found)), key=lambda at: (-scores[at], at))
        best = order[: wanted.get("numberOfRerankedResults") or len(order)]
        return [replace(found[at], score=scores[at]) for at in best]

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


def _check(call: Call, wanted: Params) -> None:
    """What an agent hands on was not asked of this operation's own mark."""
    if "implicitFilterConfiguration" in wanted:
        raise unsupported(call.operation, "implicitFilterConfiguration")
    ranking = wanted.get("rerankingConfiguration")
    if not ranking:
        return
    inside = ranking.get("bedrockRerankingConfiguration")
    if not inside:
        raise invalid("bedrockRerankingConfiguration must be given.")
    if not inside["modelConfiguration"].get("modelArn"):
        raise invalid("The modelArn of a reranking model must be given.")
    if "additionalModelRequestFields" in inside["modelConfiguration"]:
        raise unsupported(call.operation, "additionalModelRequestFields")


def _ranked_by(passage: Passage, wanted: Params) -> str:
    """Its text, after what is said of its document and shall count."""
    said = {key: value for key, value in passage.metadata.items() if not key.startswith("x-")}
    chosen = wanted.get("selectiveModeConfiguration") or {}
    if wanted.get("selectionMode") == "SELECTIVE":
        named = {
            each["fieldName"]
            for member in ("fieldsToInclude", "fieldsToExclude")
            for each in chosen.get(member) or ()
        }
        said = {k: v for k, v in said.items() if (k in named) is ("fieldsToInclude" in chosen)}
    elif wanted.get("selectionMode") != "ALL":
        said = {}
    return "\n".join([*(f"{key}: {value}" for key, value in said.items()), passage.text])


def located(passage: Passage) -> Params:
    """As AWS says where a passage is from."""
    if passage.kind == "S3":
        return {"type": "S3", "s3Location": {"uri": passage.uri}}
    return {"type": "CUSTOM", "customDocumentLocation": {"id": passage.uri}}
