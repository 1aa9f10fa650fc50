"""The agents of a region, as a caller's session finds them and may change them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from bastide.agents import records
from bastide.agents.model import Agent, Part, PartRow, Version
from bastide.db.database import Database
from bastide.db.marks import Marks
from bastide.kernel import arns
from bastide.kernel.call import Call, Principal
from bastide.kernel.clock import Clock, epoch_ms
from bastide.kernel.errors import ServiceError
from bastide.kernel.ids import Ids
from bastide.kernel.labels.label import Label

ID_LENGTH = 10
PAGE_DEFAULT = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Book:
    database: Database
    marks: Marks
    clock: Clock
    ids: Ids

    def agent(self, call: Call, agent_id: str) -> Agent:
        """ResourceNotFoundException for what this session does not see. The answer is of it."""
        return self.database.read(lambda c: self.agent_in(c, call, agent_id))

    def agent_in(self, c: Connection, call: Call, agent_id: str) -> Agent:
        view = self.marks.view(call.principal)
        found = records.find(c, call.account, agent_id, view.seen)
        if found is None:
            raise no_agent(call, agent_id)
        call.notes.label = found.label
        return found

    def own(self, c: Connection, call: Call, agent_id: str) -> Agent:
        """The same, to change it: only what has the session's own label."""
        found = self.agent_in(c, call, agent_id)
        self.marks.check_own(call, found.label)
        return found

    def part(self, c: Connection, agent: Agent, kind: Part, part_id: str) -> PartRow:
        for one in records.parts_of(c, agent.account, agent.id):
            if one.kind is kind and one.id == part_id:
                return one
        raise missing(f"The {kind} {part_id} of agent {agent.id} was not found.")

    def version(self, c: Connection, call: Call, agent: Agent, number: str) -> Version:
        found = records.version(c, call.account, agent.id, int(number))
        if found is None:
            raise missing(f"The version {number} of agent {agent.id} was not found.")
        return found

    def label(self, principal: Principal, arn: str) -> Label | None:
        """Of an agent or of one of its aliases, for policy: an alias has its agent's label."""
        agent_id = arn.partition("/")[2].partition("/")[0]
        view = self.marks.view(principal)
        found = self.database.read(
            lambda c: records.find(c, principal.account, agent_id, view.seen)
        )
        return None if found is None else self.marks.parse(found.label)

    def tags(self, principal: Principal, arn: str) -> Mapping[str, str]:
        """Of an agent or of one of its aliases, for policy."""
        _, agent_id, alias_id = (*arn.split("/"), "", "")[:3]
        view = self.marks.view(principal)

        def read(c: Connection) -> Mapping[str, str]:
            agent = records.find(c, principal.account, agent_id, view.seen)
            if agent is None or not alias_id:
                return agent.tags if agent else {}
            alias = records.alias(c, agent.account, agent.id, alias_id)
            return alias.tags if alias else {}

        return self.database.read(read)

    def new_id(self) -> str:
        return self.ids.word(ID_LENGTH)

    def now_ms(self) -> int:
        return epoch_ms(self.clock.now())


def agent_arn(call: Call, agent_id: str) -> str:
    return arns.regional(call.region, "bedrock", call.account, f"agent/{agent_id}")


def alias_arn(call: Call, agent_id: str, alias_id: str) -> str:
    name = f"agent-alias/{agent_id}/{alias_id}"
    return arns.regional(call.region, "bedrock", call.account, name)


def missing(message: str) -> ServiceError:
    return ServiceError("ResourceNotFoundException", message)


def no_agent(call: Call, agent_id: str) -> ServiceError:
    return missing(f"Failed to retrieve resource because it doesn't exist: {agent_id}")


def paged(
    req: dict[str, Any], name: str, rows: Sequence[Any], key: Callable[[Any], str],
    shown: Callable[[Any], dict[str, Any]],
) -> dict[str, Any]:  # fmt: skip
    """A page of what is few enough to be read whole, in the order that it comes in."""
    limit, after = req.get("maxResults") or PAGE_DEFAULT, req.get("nextToken") or ""
    names = [key(row) for row in rows]
    start = names.index(after) + 1 if after in names else 0
    page = rows[start : start + limit]
    answer: dict[str, Any] = {name: [shown(row) for row in page]}
    if start + limit < len(rows):
        answer["nextToken"] = key(page[-1])
    return answer
