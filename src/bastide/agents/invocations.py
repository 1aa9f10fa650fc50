"""bedrock-agent-runtime: InvokeAgent.

https://docs.aws.amazon.com/bedrock/latest/APIReference/API_agent-runtime_InvokeAgent.html
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from bastide.agents.aliases import ACCEPTS, found_alias
from bastide.agents.book import Book
from bastide.agents.model import DRAFT, Params
from bastide.agents.session_records import Key
from bastide.agents.turn_desk import Desk, check
from bastide.agents.turns import Asked
from bastide.agents.workers import Workers
from bastide.kernel.call import Call
from bastide.kernel.errors import invalid
from bastide.kernel.operation import operation

_RESULTS = "returnControlInvocationResults"
# Of a session's state, whichever member it comes in; and what of it says nothing new.
SESSION_MEMBERS = (
    "sessionAttributes", "promptSessionAttributes", "invocationId",
    f"{_RESULTS}.functionResult.actionGroup", f"{_RESULTS}.functionResult.function",
    f"{_RESULTS}.functionResult.confirmationState", f"{_RESULTS}.functionResult.responseState",
    f"{_RESULTS}.functionResult.responseBody.body",
    f"{_RESULTS}.apiResult.actionGroup", f"{_RESULTS}.apiResult.apiPath",
    f"{_RESULTS}.apiResult.httpMethod", f"{_RESULTS}.apiResult.httpStatusCode",
    f"{_RESULTS}.apiResult.confirmationState", f"{_RESULTS}.apiResult.responseState",
    f"{_RESULTS}.apiResult.responseBody.body",
)  # fmt: skip
UNHEARD = {
    f"{_RESULTS}.{kind}.agentId": "a session is of one agent"
    for kind in ("functionResult", "apiResult")
}
_SEARCHED = "sessionState.knowledgeBaseConfigurations"


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """An agent as an alias routes to it. `version`: a number, or DRAFT."""

    agent_id: str
    alias_id: str
    version: str
    definition: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Invocations:
    book: Book
    workers: Workers
    desk: Desk

    @operation(
        "agentId", "agentAliasId", "sessionId", "inputText", "enableTrace", "endSession",
        "bedrockModelConfigurations.performanceConfig.latency", f"{_SEARCHED}.knowledgeBaseId",
        f"{_SEARCHED}.retrievalConfiguration.vectorSearchConfiguration",
        *(f"sessionState.{name}" for name in SESSION_MEMBERS),
        accepted={f"sessionState.{name}": why for name, why in UNHEARD.items()},
    )  # fmt: skip
    async def invoke_agent(self, call: Call, req: Params) -> Params:
        check(call, req)
        found = await asyncio.to_thread(self._found, call, req)
        label = self.book.marks.own(call.principal)
        key = Key(
            account=call.account, label=label, agent_id=found.agent_id,
            alias_id=found.alias_id, id=req["sessionId"],
        )  # fmt: skip
        call.notes.label = label  # it carries what was said in this session, and by whom it is
        return await self.desk.turn(req, key, lambda: self._asked(call, req, found, key))

    def _found(self, call: Call, req: Params) -> Found:
        def read(c: Connection) -> Found:
            agent = self.book.agent_in(c, call, req["agentId"])
            alias = found_alias(c, agent, req["agentAliasId"])
            if alias.asked.get("aliasInvocationState", ACCEPTS) != ACCEPTS:
                raise invalid(f"The alias {alias.id} rejects invocations.")
            if alias.version == DRAFT:
                definition = agent.prepared
            else:
                definition = self.book.version(c, call, agent, alias.version).definition
            if definition is None:
                raise invalid(f"Agent {agent.id} is not prepared. Prepare it first.")
            return Found(
                agent_id=agent.id, alias_id=alias.id, version=alias.version, definition=definition
            )

        return self.book.database.read(read)

    def _asked(self, call: Call, req: Params, found: Found, key: Key) -> Asked:
        """All that can be refused before the first event."""
        role = found.definition["agent"]["agentResourceRoleArn"]
        worker = self.workers.worker(call, role, key.label)
        about = {
            "agentId": found.agent_id, "agentAliasId": found.alias_id,
            "agentVersion": found.version, "sessionId": key.id,
        }  # fmt: skip
        state = req.get("sessionState") or {}
        return self.desk.asked(worker, call, (found.definition, key, about), req, state)
