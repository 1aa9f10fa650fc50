"""Agents: what they are asked to be.

https://docs.aws.amazon.com/bedrock/latest/APIReference/API_agent_CreateAgent.html
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection

from bastide.agents import (
    file_records,
    memory,
    memory_records,
    orchestrator,
    prompting,
    records,
    session_records,
)
from bastide.agents.book import PAGE_DEFAULT, Book, agent_arn
from bastide.agents.model import (
    DRAFT,
    SERVICE,
    TTL_DEFAULT_S,
    Agent,
    Params,
    Status,
    first_try,
    is_same_try,
)
from bastide.agents.ports import Roles
from bastide.agents.tags import checked
from bastide.kernel.call import Call
from bastide.kernel.clock import moment
from bastide.kernel.errors import ServiceError
from bastide.kernel.operation import operation

AGENTS_MAX = 1_000  # of an account at one label, as AWS's own quota
_WHOLE = (
    "agentName", "instruction", "foundationModel", "description", "orchestrationType",
    "idleSessionTTLInSeconds", "agentResourceRoleArn", "guardrailConfiguration",
    "agentCollaboration",
)  # fmt: skip
_ASKED = (*_WHOLE, "customOrchestration", "promptOverrideConfiguration", "memoryConfiguration")
_MEMBERS = (*_WHOLE, *orchestrator.MEMBERS, *prompting.MEMBERS, *memory.MEMBERS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Agents:
    book: Book
    roles: Roles

    @operation(*_MEMBERS, "tags", "clientToken")
    def create_agent(self, call: Call, req: Params) -> Params:
        agent_id, now = self.book.new_id(), self.book.now_ms()
        self._check(call, req, agent_id)
        tags = checked(req.get("tags") or {})
        label = self.book.marks.of_new(call, tags, "An agent")
        new = Agent(
            account=call.account, id=agent_id, label=label, name=req["agentName"],
            status=Status.NOT_PREPARED, created_ms=now, updated_ms=now, prepared_ms=0, latest=0,
            asked=_kept(req) | first_try(req), failures=(), prepared=None, tags=tags,
        )  # fmt: skip

        def write(c: Connection) -> Agent:
            had = records.named(c, new.account, new.name, label)
            if had is not None and is_same_try(had.asked, req):
                return had
            if records.count(c, call.account, label) >= AGENTS_MAX:
                raise ServiceError("ServiceQuotaExceededException", f"{AGENTS_MAX} agents.")
            _check_name(c, new)
            records.put(c, new)
            return new

        return {"agent": shown(call, self.book.database.write(write))}

    @operation("agentId")
    def get_agent(self, call: Call, req: Params) -> Params:
        return {"agent": shown(call, self.book.agent(call, req["agentId"]))}

    @operation("agentId", *_MEMBERS)
    def update_agent(self, call: Call, req: Params) -> Params:
        self._check(call, req, req["agentId"])

        def write(c: Connection) -> Agent:
            agent = self.book.own(c, call, req["agentId"])
            changed = replace(
                agent, name=req["agentName"], asked=_kept(req), status=Status.NOT_PREPARED,
                updated_ms=self.book.now_ms(), failures=(),
            )  # fmt: skip
            _check_name(c, changed)
            records.put(c, changed)
            return changed

        return {"agent": shown(call, self.book.database.write(write))}

    @operation("maxResults", "nextToken")
    def list_agents(self, call: Call, req: Params) -> Params:
        limit, after = req.get("maxResults") or PAGE_DEFAULT, req.get("nextToken") or ""
        seen = self.book.marks.view(call.principal).seen
        rows = self.book.database.read(
            lambda c: records.page(c, call.account, seen, after, limit + 1)
        )
        answer: Params = {"agentSummaries": [_summary(row) for row in rows[:limit]]}
        if len(rows) > limit:
            answer["nextToken"] = rows[limit - 1].id
        return answer

    @operation("agentId", "skipResourceInUseCheck")
    def delete_agent(self, call: Call, req: Params) -> Params:
        def write(c: Connection) -> Agent:
            agent = self.book.own(c, call, req["agentId"])
            used = records.aliases_of(c, agent.account, agent.id)
            if used and not req.get("skipResourceInUseCheck"):
                names = ", ".join(alias.id for alias in used)
                raise ServiceError(
                    "ConflictException", f"Agent {agent.id} is in use by its aliases {names}."
                )
            records.drop(c, agent)
            session_records.drop_of_agent(c, agent.account, agent.id)
            memory_records.drop_of_agent(c, agent.account, agent.id)
            file_records.drop_of_agent(c, agent.account, agent.id)
            return agent

        gone = self.book.database.write(write)
        return {"agentId": gone.id, "agentStatus": "DELETING"}

    def _check(self, call: Call, req: Params, agent_id: str) -> None:
        orchestrator.check(call.operation, req)
        memory.check(call.operation, req)
        prompting.check(call.operation, req)
        if role := req.get("agentResourceRoleArn"):  # without one, it cannot be prepared
            self.roles.check_pass(call, role, SERVICE, agent_arn(call, agent_id))


def _kept(req: Mapping[str, Any]) -> Params:
    return {name: req[name] for name in _ASKED if req.get(name)}


def _check_name(c: Connection, agent: Agent) -> None:
    had = records.named(c, agent.account, agent.name, agent.label)
    if had is not None and had.id != agent.id:
        raise ServiceError(
            "ConflictException",
            f"Could not create/update agent due to conflict: the name {agent.name} already exists.",
        )


def shown(call: Call, agent: Agent) -> Params:
    return {
        "idleSessionTTLInSeconds": TTL_DEFAULT_S,
        "orchestrationType": "DEFAULT",
        "agentCollaboration": "DISABLED",
        "agentResourceRoleArn": "",  # AWS's shape must have it
        **agent.asked,
        "agentId": agent.id,
        "agentArn": agent_arn(call, agent.id),
        "agentVersion": DRAFT,
        "agentStatus": str(agent.status),
        "createdAt": moment(agent.created_ms),
        "updatedAt": moment(agent.updated_ms),
        **({"preparedAt": moment(agent.prepared_ms)} if agent.prepared_ms else {}),
        **({"failureReasons": list(agent.failures)} if agent.failures else {}),
    }


def _summary(agent: Agent) -> Params:
    names = ("description", "guardrailConfiguration")
    asked = {name: agent.asked[name] for name in names if name in agent.asked}
    return {
        "agentId": agent.id,
        "agentName": agent.name,
        "agentStatus": str(agent.status),
        "updatedAt": moment(agent.updated_ms),
        "latestAgentVersion": str(agent.latest) if agent.latest else DRAFT,
        **asked,
    }
