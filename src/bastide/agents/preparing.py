"""PrepareAgent: whether an agent could work, found out before anybody asks it.

https://docs.aws.amazon.com/bedrock/latest/APIReference/API_agent_PrepareAgent.html
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from sqlalchemy import Connection

from bastide.agents import records
from bastide.agents.book import Book
from bastide.agents.collaborating import Collaborating, fault_of
from bastide.agents.model import DRAFT, Agent, Params, PartRow, Status, definition_of
from bastide.agents.openapi import BadSchema
from bastide.agents.orchestrator import executor_of
from bastide.agents.ports import Executors
from bastide.agents.tools import Does, Tool, is_supervisor, tools_of
from bastide.agents.workers import Schemas, Workers
from bastide.kernel.call import Call
from bastide.kernel.clock import moment
from bastide.kernel.errors import ServiceError
from bastide.kernel.operation import operation

NEEDED = ("instruction", "foundationModel", "agentResourceRoleArn")


@dataclass(frozen=True, slots=True, kw_only=True)
class Preparing:
    book: Book
    workers: Workers
    schemas: Schemas
    collaborating: Collaborating
    executors: Executors

    @operation("agentId")
    def prepare_agent(self, call: Call, req: Params) -> Params:
        agent, parts = self.book.database.read(lambda c: self._draft(c, call, req["agentId"]))
        definition = definition_of(agent.asked, parts)
        reasons = list(self._reasons(call, agent, definition))
        now = self.book.now_ms()
        done = replace(
            agent, status=Status.FAILED if reasons else Status.PREPARED, prepared_ms=now,
            updated_ms=now, failures=tuple(reasons), prepared=None if reasons else definition,
        )  # fmt: skip

        def write(c: Connection) -> None:
            if self.book.own(c, call, agent.id).updated_ms != agent.updated_ms:
                message = f"Agent {agent.id} was changed while it was prepared. Try again."
                raise ServiceError("ConflictException", message)
            records.put(c, done)

        self.book.database.write(write)
        return {"agentId": agent.id, "agentStatus": str(done.status), "agentVersion": DRAFT,
                "preparedAt": moment(now)}  # fmt: skip

    def _draft(self, c: Connection, call: Call, agent_id: str) -> tuple[Agent, list[PartRow]]:
        agent = self.book.own(c, call, agent_id)
        return agent, records.parts_of(c, agent.account, agent.id)

    def _reasons(self, call: Call, agent: Agent, definition: Params) -> Iterator[str]:
        """Why it could not work; nothing if it can. Schemas in S3 are copied into `definition`."""
        asked = agent.asked
        for name in NEEDED:
            if not asked.get(name):
                yield f"{name} must be specified."
        if not asked.get("agentResourceRoleArn"):
            return
        try:
            worker = self.workers.worker(call, asked["agentResourceRoleArn"], agent.label)
            if asked.get("foundationModel"):
                self.workers.check(worker, asked)
        except ServiceError as error:
            yield error.message
            return
        try:
            for part in definition["parts"]:
                self.schemas.copy(worker, part)
            tools = tools_of(definition)
        except BadSchema as error:
            yield str(error)
            return
        yield from self._collaborators(worker, agent, tools)
        yield from self._executed(worker, agent, tools)

    def _executed(self, worker: Call, agent: Agent, tools: Mapping[str, Tool]) -> Iterator[str]:
        """What is wrong with the Lambda functions that lead it or execute what it calls."""
        arns = [(one.target, "Executor") for one in tools.values() if one.does is Does.EXECUTE]
        if leading := executor_of(agent.asked):
            arns.append((leading, "Orchestrator"))
        for arn, what in dict.fromkeys(arns):
            try:
                self.executors.check(worker, agent.id, arn)
            except ServiceError as error:
                yield f"{what} {arn}: {error.message}"

    def _collaborators(
        self, worker: Call, agent: Agent, tools: Mapping[str, Tool]
    ) -> Iterator[str]:
        others = [tool for tool in tools.values() if tool.does is Does.COLLABORATE]
        if is_supervisor(agent.asked) and not others:
            yield "A supervisor needs a collaborator."
        for tool in others:
            try:
                found = self.collaborating.found(worker, tool.target)
            except ServiceError as error:
                yield f"Collaborator {tool.group}: {error.message}"
                continue
            if found.agent_id == agent.id:
                yield f"Collaborator {tool.group} is the agent itself."
            if fault := fault_of(tool.group, found.definition):
                yield fault
