"""bedrock-agent-runtime: what an agent remembers, shown and deleted.

https://docs.aws.amazon.com/bedrock/latest/APIReference/API_agent-runtime_GetAgentMemory.html
"""

from dataclasses import dataclass

from bastide.agents.book import Book
from bastide.agents.memory import Memories, Recollection
from bastide.agents.memory_records import MemoryKey
from bastide.agents.model import Params
from bastide.agents.routing import Routing
from bastide.kernel.call import Call
from bastide.kernel.errors import invalid
from bastide.kernel.operation import operation

ITEMS_MAX = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentMemories:
    book: Book
    routing: Routing
    memories: Memories

    @operation("agentId", "agentAliasId", "memoryId", "memoryType", "maxItems", "nextToken")
    def get_agent_memory(self, call: Call, req: Params) -> Params:
        """The newest first, of all that this session sees."""
        key = self._key(call, req)
        view = self.book.marks.view(call.principal)
        found = self.memories.recall(key, view.seen, ITEMS_MAX)
        limit, after = req.get("maxItems") or 100, req.get("nextToken") or ""
        places = [f"{key.id}\n{one.label}\n{one.session_id}" for one in found]
        if after and after not in places:
            raise invalid("The nextToken is of another memory, or what it was behind is gone.")
        start = places.index(after) + 1 if after else 0
        answer: Params = {"memoryContents": [
            {"sessionSummary": _shown(key, one)} for one in found[start : start + limit]
        ]}  # fmt: skip
        if start + limit < len(found):
            answer["nextToken"] = places[start + limit - 1]
        call.notes.label = self.book.marks.own(call.principal)
        return answer

    @operation("agentId", "agentAliasId", "memoryId", "sessionId")
    def delete_agent_memory(self, call: Call, req: Params) -> Params:
        """Of this session's own label: what lies below is changed by nobody above."""
        key = self._key(call, req)
        own = self.book.marks.own(call.principal)
        self.memories.forget(key, own, req.get("sessionId") or "")
        return {}

    def _key(self, call: Call, req: Params) -> MemoryKey:
        """ResourceNotFoundException for an alias that this session does not see."""
        found = self.routing.found(call, req["agentId"], req["agentAliasId"])
        return MemoryKey(
            account=call.account, agent_id=found.agent_id, alias_id=found.alias_id,
            id=req.get("memoryId") or "",
        )  # fmt: skip


def _shown(key: MemoryKey, one: Recollection) -> Params:
    return {
        "memoryId": key.id, "sessionId": one.session_id, "sessionStartTime": one.began,
        "sessionExpiryTime": one.expires, "summaryText": one.text,
    }  # fmt: skip
