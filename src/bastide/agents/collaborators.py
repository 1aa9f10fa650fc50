"""The agents that a supervisor may ask.

https://docs.aws.amazon.com/bedrock/latest/APIReference/API_agent_AssociateAgentCollaborator.html
"""

from collections.abc import Container
from dataclasses import dataclass, replace

from sqlalchemy import Connection

from bastide.agents.action_groups import add_part, drop_part, part_of, parts_at, put_part
from bastide.agents.book import Book, paged
from bastide.agents.model import DRAFT, Params, Part, PartRow, first_try
from bastide.kernel.call import Call
from bastide.kernel.clock import moment
from bastide.kernel.errors import invalid
from bastide.kernel.operation import operation

COLLABORATORS_MAX = 10  # of an agent, as AWS's own quota
_PLACE = ("agentId", "agentVersion")
_ASKED = ("agentDescriptor", "collaboratorName", "collaborationInstruction",
          "relayConversationHistory")  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Collaborators:
    """Whether one is there, and may be asked, PrepareAgent finds out, and each turn again."""

    book: Book

    @operation(*_PLACE, *_ASKED, "clientToken")
    def associate_agent_collaborator(self, call: Call, req: Params) -> Params:
        def write(c: Connection) -> PartRow:
            agent, now = self.book.own(c, call, req["agentId"]), self.book.now_ms()
            new = PartRow(
                account=agent.account, agent_id=agent.id, kind=Part.COLLABORATOR,
                id=self.book.new_id(), label=agent.label, name=req["collaboratorName"],
                created_ms=now, updated_ms=now, asked=_kept(req) | first_try(req),
            )  # fmt: skip
            return add_part(c, agent, new, COLLABORATORS_MAX, req)

        return {"agentCollaborator": _shown(self.book.database.write(write), DRAFT)}

    @operation(*_PLACE, "collaboratorId")
    def get_agent_collaborator(self, call: Call, req: Params) -> Params:
        found = part_of(self.book, call, req, Part.COLLABORATOR, req["collaboratorId"])
        return {"agentCollaborator": _shown(found, req["agentVersion"])}

    @operation(*_PLACE, "maxResults", "nextToken")
    def list_agent_collaborators(self, call: Call, req: Params) -> Params:
        rows = parts_at(self.book, call, req, Part.COLLABORATOR)
        summary = lambda row: _summary(row, req["agentVersion"])  # noqa: E731
        return paged(req, "agentCollaboratorSummaries", rows, lambda row: row.id, summary)

    @operation(*_PLACE, "collaboratorId", *_ASKED)
    def update_agent_collaborator(self, call: Call, req: Params) -> Params:
        def write(c: Connection) -> PartRow:
            agent, now = self.book.own(c, call, req["agentId"]), self.book.now_ms()
            had = self.book.part(c, agent, Part.COLLABORATOR, req["collaboratorId"])
            new = replace(had, name=req["collaboratorName"], updated_ms=now, asked=_kept(req))
            put_part(c, agent, new, COLLABORATORS_MAX, now)
            return new

        return {"agentCollaborator": _shown(self.book.database.write(write), DRAFT)}

    @operation(*_PLACE, "collaboratorId")
    def disassociate_agent_collaborator(self, call: Call, req: Params) -> Params:
        def write(c: Connection) -> None:
            agent = self.book.own(c, call, req["agentId"])
            gone = self.book.part(c, agent, Part.COLLABORATOR, req["collaboratorId"])
            drop_part(c, agent, gone, self.book.now_ms())

        self.book.database.write(write)
        return {}


def inline_part(asked: Params, inlined: Container[str]) -> Params:
    """Of an inline agent: an alias of another, or one of those that were said with the call."""
    name, alias_arn = asked["collaboratorName"], asked.get("agentAliasArn") or ""
    if bool(alias_arn) == (name in inlined):
        raise invalid(f"{name} is either an agentAliasArn or the agentName of a collaborator.")
    return {
        "kind": str(Part.COLLABORATOR),
        "name": name,
        "asked": {
            "agentDescriptor": {"aliasArn": alias_arn},
            "collaborationInstruction": asked["collaboratorInstruction"],
            "relayConversationHistory": asked.get("relayConversationHistory") or "DISABLED",
        },
    }


def _kept(req: Params) -> Params:
    if not req["agentDescriptor"].get("aliasArn"):  # the model lets it be left out; nobody is meant
        raise invalid("agentDescriptor.aliasArn must name the alias of an agent.")
    return {
        "relayConversationHistory": "DISABLED",
        **{name: req[name] for name in _ASKED if req.get(name)},
    }


def _shown(row: PartRow, version: str) -> Params:
    return {
        **row.asked,
        "agentId": row.agent_id,
        "agentVersion": version,
        "collaboratorId": row.id,
        "createdAt": moment(row.created_ms),
        "lastUpdatedAt": moment(row.updated_ms),
    }


def _summary(row: PartRow, version: str) -> Params:
    shown = _shown(row, version)
    shown.pop("clientToken", None)
    return shown
