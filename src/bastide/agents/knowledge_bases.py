"""The knowledge bases that an agent may look into.

https://docs.aws.amazon.com/bedrock/latest/APIReference/API_agent_AssociateAgentKnowledgeBase.html
"""

from dataclasses import dataclass, replace

from sqlalchemy import Connection

from bastide.agents.action_groups import drop_part, part_of, parts_at, put_part, save_part
from bastide.agents.book import Book, paged
from bastide.agents.model import DRAFT, Params, Part, PartRow
from bastide.kernel.call import Call
from bastide.kernel.clock import moment
from bastide.kernel.operation import operation

BASES_MAX = 2  # of an agent, as AWS's own quota
_PLACE = ("agentId", "agentVersion")
_NAMED = (*_PLACE, "knowledgeBaseId")


@dataclass(frozen=True, slots=True, kw_only=True)
class KnowledgeBases:
    """Whether one is there, and may be read, is asked as the agent's role when it is read."""

    book: Book

    @operation(*_NAMED, "description", "knowledgeBaseState")
    def associate_agent_knowledge_base(self, call: Call, req: Params) -> Params:
        def write(c: Connection) -> PartRow:
            agent, now = self.book.own(c, call, req["agentId"]), self.book.now_ms()
            new = PartRow(
                account=agent.account, agent_id=agent.id, kind=Part.KNOWLEDGE_BASE,
                id=req["knowledgeBaseId"], label=agent.label, name=req["knowledgeBaseId"],
                created_ms=now, updated_ms=now, asked=_kept(req, {}),
            )  # fmt: skip
            put_part(c, agent, new, BASES_MAX, now)
            return new

        return {"agentKnowledgeBase": _shown(self.book.database.write(write), DRAFT)}

    @operation(*_NAMED)
    def get_agent_knowledge_base(self, call: Call, req: Params) -> Params:
        found = part_of(self.book, call, req, Part.KNOWLEDGE_BASE, req["knowledgeBaseId"])
        return {"agentKnowledgeBase": _shown(found, req["agentVersion"])}

    @operation(*_PLACE, "maxResults", "nextToken")
    def list_agent_knowledge_bases(self, call: Call, req: Params) -> Params:
        rows = parts_at(self.book, call, req, Part.KNOWLEDGE_BASE)
        return paged(req, "agentKnowledgeBaseSummaries", rows, lambda row: row.id, _summary)

    @operation(*_NAMED, "description", "knowledgeBaseState")
    def update_agent_knowledge_base(self, call: Call, req: Params) -> Params:
        def write(c: Connection) -> PartRow:
            agent, now = self.book.own(c, call, req["agentId"]), self.book.now_ms()
            had = self.book.part(c, agent, Part.KNOWLEDGE_BASE, req["knowledgeBaseId"])
            new = replace(had, updated_ms=now, asked=_kept(req, dict(had.asked)))
            save_part(c, agent, new, now)
            return new

        return {"agentKnowledgeBase": _shown(self.book.database.write(write), DRAFT)}

    @operation(*_NAMED)
    def disassociate_agent_knowledge_base(self, call: Call, req: Params) -> Params:
        def write(c: Connection) -> None:
            agent = self.book.own(c, call, req["agentId"])
            gone = self.book.part(c, agent, Part.KNOWLEDGE_BASE, req["knowledgeBaseId"])
            drop_part(c, agent, gone, self.book.now_ms())

        self.book.database.write(write)
        return {}


def _kept(req: Params, had: Params) -> Params:
    given = {name: req[name] for name in ("description", "knowledgeBaseState") if req.get(name)}
    return {"knowledgeBaseState": "ENABLED", **had, **given}


def _shown(row: PartRow, version: str) -> Params:
    return {
        **row.asked,
        "agentId": row.agent_id,
        "agentVersion": version,
        "knowledgeBaseId": row.id,
        "createdAt": moment(row.created_ms),
        "updatedAt": moment(row.updated_ms),
    }


def _summary(row: PartRow) -> Params:
    return {**row.asked, "knowledgeBaseId": row.id, "updatedAt": moment(row.updated_ms)}
