"""bedrock-agent-runtime: Retrieve.

https://docs.aws.amazon.com/bedrock/latest/APIReference/API_agent-runtime_Retrieve.html
"""

from dataclasses import dataclass

from bastide.kernel.call import Call
from bastide.kernel.errors import invalid, unsupported
from bastide.kernel.operation import operation
from bastide.knowledge.model import Params
from bastide.knowledge.search import SEARCH_MEMBERS, Passage, Search, located

SEARCH = "retrievalConfiguration.vectorSearchConfiguration"


@dataclass(frozen=True, slots=True, kw_only=True)
class Retrieve:
    search: Search

    @operation(
        "knowledgeBaseId",
        "retrievalQuery.text",
        "retrievalQuery.type",
        *(f"{SEARCH}.{member}" for member in SEARCH_MEMBERS),
    )
    def retrieve(self, call: Call, req: Params) -> Params:
        base = self.search.shelf.working(call, req["knowledgeBaseId"])
        query = req["retrievalQuery"]
        if query.get("type", "TEXT") != "TEXT":
            raise unsupported(call.operation, f"retrievalQuery.type={query['type']}")
        if not query.get("text"):
            raise invalid("retrievalQuery.text must be given.")
        wanted = (req.get("retrievalConfiguration") or {}).get("vectorSearchConfiguration") or {}
        found = self.search.passages(call, base, query["text"], wanted)
        label = self.search.shelf.marks.parse(base.label)  # a portion may be found below it
        for passage in found:
            label = label.join(passage.label)
        call.notes.label = label.text
        return {"retrievalResults": [_shown(passage) for passage in found]}


def _shown(passage: Passage) -> Params:
    return {
        "content": {"type": "TEXT", "text": passage.text},
        "location": located(passage),
        "metadata": dict(passage.metadata),
        "score": passage.score,
    }
