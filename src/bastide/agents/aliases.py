"""Aliases of agents: a name that routes to a version. Without a version named, one is made of the
agent as it was prepared.

https://docs.aws.amazon.com/bedrock/latest/APIReference/API_agent_CreateAgentAlias.html
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection

from bastide.agents import records
from bastide.agents.book import Book, alias_arn, missing, paged
from bastide.agents.model import (
    DRAFT,
    TEST_ALIAS,
    Agent,
    Alias,
    Params,
    Status,
    Version,
    first_try,
    is_same_try,
)
from bastide.agents.tags import checked
from bastide.kernel.call import Call
from bastide.kernel.clock import moment
from bastide.kernel.errors import ServiceError, invalid
from bastide.kernel.operation import operation

ALIASES_MAX = 10  # of an agent, as AWS's own quota
VERSIONS_MAX = 10  # the same
HISTORY_MAX = 10
_ASKED = ("agentAliasName", "description", "routingConfiguration.agentVersion")
ACCEPTS = "ACCEPT_INVOCATIONS"


@dataclass(frozen=True, slots=True, kw_only=True)
class Aliases:
    book: Book

    @operation("agentId", *_ASKED, "tags", "clientToken")
    def create_agent_alias(self, call: Call, req: Params) -> Params:
        tags = checked(req.get("tags") or {})

        def write(c: Connection) -> Alias:
            agent, now = self.book.own(c, call, req["agentId"]), self.book.now_ms()
            others = records.aliases_of(c, agent.account, agent.id)
            self.book.marks.check_tags(call, tags, agent.label)
            for had in others:
                if had.name == req["agentAliasName"] and is_same_try(had.asked, req):
                    return had
            _check_name(others, req["agentAliasName"])
            if len(others) >= ALIASES_MAX:
                raise ServiceError("ServiceQuotaExceededException", f"{ALIASES_MAX} aliases.")
            number = self._routed(c, call, agent, req) or self._new_version(c, agent, now)
            new = Alias(
                account=agent.account, agent_id=agent.id, id=self.book.new_id(),
                label=agent.label, name=req["agentAliasName"], created_ms=now, updated_ms=now,
                version=number, asked=_kept(req) | first_try(req),
                history=(_event(number, now),), tags=tags,
            )  # fmt: skip
            records.put_alias(c, new)
            return new

        return {"agentAlias": _shown(call, self.book.database.write(write))}

    @operation("agentId", "agentAliasId")
    def get_agent_alias(self, call: Call, req: Params) -> Params:
        def read(c: Connection) -> Alias:
            agent = self.book.agent_in(c, call, req["agentId"])
            return found_alias(c, agent, req["agentAliasId"])

        return {"agentAlias": _shown(call, self.book.database.read(read))}

    @operation("agentId", "maxResults", "nextToken")
    def list_agent_aliases(self, call: Call, req: Params) -> Params:
        def read(c: Connection) -> list[Alias]:
            agent = self.book.agent_in(c, call, req["agentId"])
            return [test_alias(agent), *records.aliases_of(c, agent.account, agent.id)]

        rows = self.book.database.read(read)
        return paged(req, "agentAliasSummaries", rows, lambda row: row.id, _summary)

    @operation("agentId", "agentAliasId", *_ASKED, "aliasInvocationState")
    def update_agent_alias(self, call: Call, req: Params) -> Params:
        def write(c: Connection) -> Alias:
            agent, now = self.book.own(c, call, req["agentId"]), self.book.now_ms()
            _check_own(req)
            had = found_alias(c, agent, req["agentAliasId"])
            others = records.aliases_of(c, agent.account, agent.id)
            _check_name([one for one in others if one.id != had.id], req["agentAliasName"])
            number = self._routed(c, call, agent, req) or self._new_version(c, agent, now)
            new = replace(
                had, name=req["agentAliasName"], updated_ms=now, version=number,
                asked=_kept(req), history=_went_on(had, number, now),
            )  # fmt: skip
            records.put_alias(c, new)
            return new

        return {"agentAlias": _shown(call, self.book.database.write(write))}

    @operation("agentId", "agentAliasId")
    def delete_agent_alias(self, call: Call, req: Params) -> Params:
        def write(c: Connection) -> Alias:
            agent = self.book.own(c, call, req["agentId"])
            _check_own(req)
            gone = found_alias(c, agent, req["agentAliasId"])
            records.drop_alias(c, gone)
            return gone

        gone = self.book.database.write(write)
        return {"agentId": gone.agent_id, "agentAliasId": gone.id, "agentAliasStatus": "DELETING"}

    def _routed(self, c: Connection, call: Call, agent: Agent, req: Params) -> str:
        """The version that is named; "" if none is."""
        routing = req.get("routingConfiguration") or [{}]
        number: str = routing[0].get("agentVersion") or ""
        if number == DRAFT:
            raise invalid(f"Only the alias {TEST_ALIAS} routes to {DRAFT}.")
        if number:
            self.book.version(c, call, agent, number)
        return number

    def _new_version(self, c: Connection, agent: Agent, now_ms: int) -> str:
        if agent.prepared is None or agent.status is not Status.PREPARED:
            raise invalid(f"Agent {agent.id} is not prepared. Prepare it first.")
        if len(records.versions_of(c, agent.account, agent.id)) >= VERSIONS_MAX:
            raise ServiceError("ServiceQuotaExceededException", f"{VERSIONS_MAX} versions.")
        number = agent.latest + 1
        made = Version(
            account=agent.account, agent_id=agent.id, number=number, label=agent.label,
            created_ms=now_ms, definition=agent.prepared,
        )  # fmt: skip
        records.add_version(c, made)
        records.put(c, replace(agent, latest=number))
        return str(number)


def test_alias(agent: Agent) -> Alias:
    """The alias that every agent has: of its draft, as it was prepared last."""
    return Alias(
        account=agent.account, agent_id=agent.id, id=TEST_ALIAS, label=agent.label,
        name="AgentTestAlias", created_ms=agent.created_ms, updated_ms=agent.updated_ms,
        version=DRAFT, asked={}, history=(), tags={},
    )  # fmt: skip


def found_alias(c: Connection, agent: Agent, alias_id: str) -> Alias:
    if alias_id == TEST_ALIAS:
        return test_alias(agent)
    found = records.alias(c, agent.account, agent.id, alias_id)
    if found is None:
        raise missing(f"The alias {alias_id} of agent {agent.id} was not found.")
    return found


def _check_own(req: Params) -> None:
    if req["agentAliasId"] == TEST_ALIAS:
        raise invalid(f"The alias {TEST_ALIAS} cannot be changed.")


def _check_name(others: list[Alias], name: str) -> None:
    if any(other.name == name for other in others):
        raise ServiceError("ConflictException", f"The alias name {name} already exists.")


def _kept(req: Mapping[str, Any]) -> Params:
    return {name: req[name] for name in ("description", "aliasInvocationState") if req.get(name)}


def _event(number: str, start_ms: int) -> Params:
    return {"version": number, "start_ms": start_ms, "end_ms": 0}


def _went_on(had: Alias, number: str, now_ms: int) -> tuple[Mapping[str, Any], ...]:
    if number == had.version:
        return tuple(had.history)
    ended = {**had.history[-1], "end_ms": now_ms}
    return (*had.history[:-1], ended, _event(number, now_ms))[-HISTORY_MAX:]


def _shown(call: Call, alias: Alias) -> Params:
    return {
        "aliasInvocationState": ACCEPTS,
        **alias.asked,
        "agentId": alias.agent_id,
        "agentAliasId": alias.id,
        "agentAliasName": alias.name,
        "agentAliasArn": alias_arn(call, alias.agent_id, alias.id),
        "routingConfiguration": [{"agentVersion": alias.version}],
        "createdAt": moment(alias.created_ms),
        "updatedAt": moment(alias.updated_ms),
        "agentAliasHistoryEvents": [_event_shown(event) for event in alias.history],
        "agentAliasStatus": "PREPARED",
    }


def _event_shown(event: Mapping[str, Any]) -> Params:
    ended = {"endDate": moment(event["end_ms"])} if event["end_ms"] else {}
    return {
        "routingConfiguration": [{"agentVersion": event["version"]}],
        "startDate": moment(event["start_ms"]),
        **ended,
    }


def _summary(alias: Alias) -> Params:
    return {
        "aliasInvocationState": ACCEPTS,
        **{name: value for name, value in alias.asked.items() if name != "clientToken"},
        "agentAliasId": alias.id,
        "agentAliasName": alias.name,
        "routingConfiguration": [{"agentVersion": alias.version}],
        "createdAt": moment(alias.created_ms),
        "updatedAt": moment(alias.updated_ms),
        "agentAliasStatus": "PREPARED",
    }
