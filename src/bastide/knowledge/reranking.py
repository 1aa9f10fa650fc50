"""bedrock-agent-runtime: Rerank, by an embedding model and the words that are shared.

https://docs.aws.amazon.com/bedrock/latest/APIReference/API_agent-runtime_Rerank.html
No weights of a cross-encoder are to be had offline, so what is named is an embedding model of the
catalogue; `amazon.rerank-v1:0` and the like are aliases of one, if the site makes them.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bastide.kernel.call import Call, Principal
from bastide.kernel.errors import invalid
from bastide.kernel.operation import operation
from bastide.knowledge.model import Params
from bastide.knowledge.ports import Embedder
from bastide.knowledge.relevance import relevance

SOURCES_MAX = 256  # that a model reads before a client gives up
_RANKING = "rerankingConfiguration"
_BEDROCK = f"{_RANKING}.bedrockRerankingConfiguration"
_INLINE = "sources.inlineDocumentSource"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rerank:
    embedder: Embedder

    @operation(
        "queries.type",
        "queries.textQuery.text",
        "sources.type",
        f"{_INLINE}.type",
        f"{_INLINE}.textDocument.text",
        f"{_INLINE}.jsonDocument",
        f"{_RANKING}.type",
        f"{_BEDROCK}.numberOfResults",
        f"{_BEDROCK}.modelConfiguration.modelArn",
    )
    def rerank(self, call: Call, req: Params) -> Params:
        wanted = req[_RANKING].get("bedrockRerankingConfiguration")
        if wanted is None:
            raise invalid("bedrockRerankingConfiguration must be given.")
        model = wanted["modelConfiguration"]["modelArn"]
        self.embedder.check(call, model, None)
        query = (req["queries"][0]["textQuery"] or {}).get("text")
        if not query:
            raise invalid("The text of the query must be given.")
        if len(req["sources"]) > SOURCES_MAX:
            raise invalid(f"At most {SOURCES_MAX} sources are ranked in one call.")
        texts = [_text(source["inlineDocumentSource"]) for source in req["sources"]]
        scores = scored(self.embedder, call.principal, model, query, texts)
        order = sorted(range(len(texts)), key=lambda at: (-scores[at], at))
        count = wanted.get("numberOfResults") or len(order)
        return {"results": [{"index": at, "relevanceScore": scores[at]} for at in order[:count]]}


def scored(
    embedder: Embedder, who: Principal, model: str, query: str, texts: Sequence[str]
) -> list[float]:
    """How well each text answers, by that model: one request to it."""
    embedder.begin(who, model)
    vectors = embedder.embed(who, model, None, [query, *texts])
    return relevance(query, vectors[0], texts, vectors[1:])


def _text(source: dict[str, Any]) -> str:
    """What a source says: a JSON document is read with the names of its members."""
    member = {"TEXT": "textDocument", "JSON": "jsonDocument"}[source["type"]]
    if member not in source:
        raise invalid(f"A source of type {source['type']} has a {member}.")
    if source["type"] == "JSON":
        return json.dumps(source["jsonDocument"], ensure_ascii=False)
    text: str = source["textDocument"].get("text") or ""
    if not text:
        raise invalid("A textDocument has a text.")
    return text
