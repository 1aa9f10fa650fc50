"""Versions of agents: each one as it was prepared, and never changed.

https://docs.aws.amazon.com/bedrock/latest/APIReference/API_agent_GetAgentVersion.html
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from bastide.agents import records
from bastide.agents.book import Book, agent_arn, paged
from bastide.agents.model import DRAFT, TTL_DEFAULT_S, Agent, Params, Status, Version
from bastide.kernel.call import Call
from bastide.kernel.clock import moment
from bastide.kernel.errors import ServiceError
from bastide.kernel.operation import operation


@dataclass(frozen=True, slots=True, kw_only=True)
class Versions:
    book: Book

    @operation("agentId", "agentVersion")
    def get_agent_version(self, call: Call, req: Params) -> Params:
        def read(c: Connection) -> tuple[Agent, Version]:
            agent = self.book.agent_in(c, call, req["agentId"])
            return agent, self.book.version(c, call, agent, req["agentVersion"])

        agent, found = self.book.database.read(read)
        return {"agentVersion": _shown(call, agent, found)}

    @operation("agentId", "maxResults", "nextToken")
    def list_agent_versions(self, call: Call, req: Params) -> Params:
        """The draft first, as it is one of them at AWS; then the newest."""

        def read(c: Connection) -> list[Params]:
            agent = self.book.agent_in(c, call, req["agentId"])
            versions = records.versions_of(c, agent.account, agent.id)
            return [_draft(agent), *map(_summary, versions)]

        rows = self.book.database.read(read)
        key = lambda row: str(row["agentVersion"])  # noqa: E731
        return paged(req, "agentVersionSummaries", rows, key, dict)

    @operation("agentId", "agentVersion", "skipResourceInUseCheck")
    def delete_agent_version(self, call: Call, req: Params) -> Params:
        def write(c: Connection) -> Version:
            agent = self.book.own(c, call, req["agentId"])
            gone = self.book.version(c, call, agent, req["agentVersion"])
            routed = [
                alias.id
                for alias in records.aliases_of(c, agent.account, agent.id)
                if alias.version == str(gone.number)
            ]
            if routed and not req.get("skipResourceInUseCheck"):
                names = ", ".join(routed)
                raise ServiceError("ConflictException", f"It is in use by the aliases {names}.")
            records.drop_version(c, gone)
            return gone

        gone = self.book.database.write(write)
        return {"agentId": gone.agent_id, "agentVersion": str(gone.number),
                "agentStatus": "DELETING"}  # fmt: skip


def _shown(call: Call, agent: Agent, found: Version) -> Params:
    asked = dict(found.definition["agent"])
    for name in ("orchestrationType", "customOrchestration", "clientToken"):
        asked.pop(name, None)  # a version's shape has no such members
    return {
        "idleSessionTTLInSeconds": TTL_DEFAULT_S,
        "agentCollaboration": "DISABLED",
        **asked,
        "agentId": agent.id,
        "agentArn": agent_arn(call, agent.id),
        "version": str(found.number),
        "agentStatus": str(Status.PREPARED),
        "createdAt": moment(found.created_ms),
        "updatedAt": moment(found.created_ms),
    }


def _draft(agent: Agent) -> Params:
    return {
        **_told(agent.asked),
        "agentStatus": str(agent.status),
        "agentVersion": DRAFT,
        "createdAt": moment(agent.created_ms),
        "updatedAt": moment(agent.updated_ms),
    }


def _summary(found: Version) -> Params:
    return {
        **_told(found.definition["agent"]),
        "agentStatus": str(Status.PREPARED),
        "agentVersion": str(found.number),
        "createdAt": moment(found.created_ms),
        "updatedAt": moment(found.created_ms),
    }


def _told(asked: Mapping[str, Any]) -> Params:
    names = ("agentName", "description", "guardrailConfiguration")
    return {name: asked[name] for name in names if name in asked}
