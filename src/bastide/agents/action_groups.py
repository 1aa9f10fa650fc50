"""Action groups: the functions that an agent may call, and who executes them.

https://docs.aws.amazon.com/bedrock/latest/APIReference/API_agent_CreateAgentActionGroup.html
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection

from bastide.agents import records
from bastide.agents.book import Book, paged
from bastide.agents.model import (
    DRAFT,
    Agent,
    Params,
    Part,
    PartRow,
    Status,
    first_try,
    is_same_try,
)
from bastide.agents.tools import CODE_INTERPRETER, USER_INPUT
from bastide.kernel.call import Call
from bastide.kernel.clock import moment
from bastide.kernel.errors import ServiceError, invalid, unsupported
from bastide.kernel.operation import operation

GROUPS_MAX = 20  # of an agent, as AWS's own quota
_ASKED = (
    "actionGroupName", "description", "parentActionGroupSignature",
    "actionGroupExecutor.customControl", "actionGroupExecutor.lambda", "apiSchema",
    "actionGroupState", "functionSchema",
)  # fmt: skip
_PLACE = ("agentId", "agentVersion")


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionGroups:
    book: Book

    @operation(*_PLACE, *_ASKED, "clientToken")
    def create_agent_action_group(self, call: Call, req: Params) -> Params:
        check(call, req)

        def write(c: Connection) -> PartRow:
            agent, now = self.book.own(c, call, req["agentId"]), self.book.now_ms()
            new = PartRow(
                account=agent.account, agent_id=agent.id, kind=Part.ACTION_GROUP,
                id=self.book.new_id(), label=agent.label, name=req["actionGroupName"],
                created_ms=now, updated_ms=now, asked=_kept(req) | first_try(req),
            )  # fmt: skip
            return add_part(c, agent, new, GROUPS_MAX, req)

        return {"agentActionGroup": _shown(self.book.database.write(write), DRAFT)}

    @operation(*_PLACE, "actionGroupId")
    def get_agent_action_group(self, call: Call, req: Params) -> Params:
        found = part_of(self.book, call, req, Part.ACTION_GROUP, req["actionGroupId"])
        return {"agentActionGroup": _shown(found, req["agentVersion"])}

    @operation(*_PLACE, "maxResults", "nextToken")
    def list_agent_action_groups(self, call: Call, req: Params) -> Params:
        rows = parts_at(self.book, call, req, Part.ACTION_GROUP)
        return paged(req, "actionGroupSummaries", rows, lambda row: row.id, _summary)

    @operation(*_PLACE, "actionGroupId", *_ASKED)
    def update_agent_action_group(self, call: Call, req: Params) -> Params:
        check(call, req)

        def write(c: Connection) -> PartRow:
            agent, now = self.book.own(c, call, req["agentId"]), self.book.now_ms()
            had = self.book.part(c, agent, Part.ACTION_GROUP, req["actionGroupId"])
            new = replace(had, name=req["actionGroupName"], updated_ms=now, asked=_kept(req))
            put_part(c, agent, new, GROUPS_MAX, now)
            return new

        return {"agentActionGroup": _shown(self.book.database.write(write), DRAFT)}

    @operation(*_PLACE, "actionGroupId", "skipResourceInUseCheck")
    def delete_agent_action_group(self, call: Call, req: Params) -> Params:
        def write(c: Connection) -> None:
            agent = self.book.own(c, call, req["agentId"])
            gone = self.book.part(c, agent, Part.ACTION_GROUP, req["actionGroupId"])
            enabled = gone.asked["actionGroupState"] == "ENABLED"
            if enabled and not req.get("skipResourceInUseCheck"):
                raise ServiceError(
                    "ConflictException",
                    f"Action group {gone.name} is ENABLED: disable it first, or skip this check.",
                )
            drop_part(c, agent, gone, self.book.now_ms())

        self.book.database.write(write)
        return {}


def check(call: Call, req: Mapping[str, Any]) -> None:
    """What a group is, said in one way only."""
    parent = req.get("parentActionGroupSignature")
    executor = req.get("actionGroupExecutor") or {}
    schemas = [name for name in ("apiSchema", "functionSchema") if req.get(name)]
    if parent is not None:
        if parent not in (USER_INPUT, CODE_INTERPRETER):
            raise unsupported(call.operation, f"parentActionGroupSignature={parent}")
        if schemas or executor or req.get("description"):
            raise invalid(f"{parent} takes no description, schema or executor.")
        return
    if len(schemas) != 1:
        raise invalid("Exactly one of apiSchema and functionSchema is needed.")
    if len(executor) != 1:
        raise invalid("actionGroupExecutor must be specified, as customControl or lambda.")


def _kept(req: Mapping[str, Any]) -> Params:
    names = ("description", "parentActionGroupSignature", "actionGroupExecutor", "apiSchema",
             "functionSchema")  # fmt: skip
    found = {name: req[name] for name in names if req.get(name)}
    return {**found, "actionGroupState": req.get("actionGroupState") or "ENABLED"}


def add_part(
    c: Connection, agent: Agent, new: PartRow, most: int, req: Mapping[str, Any]
) -> PartRow:
    """The part; or that which this very call has made before."""
    for had in records.parts_of(c, agent.account, agent.id):
        if (had.kind, had.name) == (new.kind, new.name) and is_same_try(had.asked, req):
            return had
    put_part(c, agent, new, most, new.created_ms)
    return new


def put_part(c: Connection, agent: Agent, new: PartRow, most: int, now_ms: int) -> None:
    """The part, and the agent that is not prepared any more."""
    others = [
        one
        for one in records.parts_of(c, agent.account, agent.id)
        if one.kind is new.kind and one.id != new.id
    ]
    if any(one.name == new.name for one in others):
        raise ServiceError("ConflictException", f"The name {new.name} already exists.")
    if len(others) >= most:
        raise ServiceError("ServiceQuotaExceededException", f"An agent has {most} of them at most.")
    save_part(c, agent, new, now_ms)


def save_part(c: Connection, agent: Agent, changed: PartRow, now_ms: int) -> None:
    """The same for one that keeps its name."""
    records.put_part(c, changed)
    _unprepared(c, agent, now_ms)


def drop_part(c: Connection, agent: Agent, gone: PartRow, now_ms: int) -> None:
    records.drop_part(c, gone)
    _unprepared(c, agent, now_ms)


def _unprepared(c: Connection, agent: Agent, now_ms: int) -> None:
    records.put(c, replace(agent, status=Status.NOT_PREPARED, updated_ms=now_ms, failures=()))


def parts_at(book: Book, call: Call, req: Mapping[str, Any], kind: Part) -> list[PartRow]:
    """Those of the draft, or those that a version kept."""
    number = req["agentVersion"]

    def read(c: Connection) -> list[PartRow]:
        agent = book.agent_in(c, call, req["agentId"])
        if number == DRAFT:
            found = records.parts_of(c, agent.account, agent.id)
        else:
            found = parts_in(agent, book.version(c, call, agent, number).definition)
        return [one for one in found if one.kind is kind]

    return book.database.read(read)


def part_of(book: Book, call: Call, req: Mapping[str, Any], kind: Part, part_id: str) -> PartRow:
    for one in parts_at(book, call, req, kind):
        if one.id == part_id:
            return one
    raise ServiceError(
        "ResourceNotFoundException",
        f"The {kind} {part_id} of agent {req['agentId']} was not found.",
    )


def parts_in(agent: Agent, definition: Mapping[str, Any]) -> list[PartRow]:
    return [
        PartRow(
            account=agent.account, agent_id=agent.id, label=agent.label,
            **{**kept, "kind": Part(kept["kind"])},
        )
        for kept in definition["parts"]
    ]  # fmt: skip


def _shown(row: PartRow, version: str) -> Params:
    asked = dict(row.asked)
    parent = asked.pop("parentActionGroupSignature", None)
    return {
        **asked,
        **({"parentActionSignature": parent} if parent else {}),
        "agentId": row.agent_id,
        "agentVersion": version,
        "actionGroupId": row.id,
        "actionGroupName": row.name,
        "createdAt": moment(row.created_ms),
        "updatedAt": moment(row.updated_ms),
    }


def _summary(row: PartRow) -> Params:
    asked = {name: row.asked[name] for name in ("description",) if name in row.asked}
    return {
        "actionGroupId": row.id,
        "actionGroupName": row.name,
        "actionGroupState": row.asked["actionGroupState"],
        "updatedAt": moment(row.updated_ms),
        **asked,
    }
