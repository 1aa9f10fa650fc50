"""bedrock-agent-runtime: InvokeAgent.

https://docs.aws.amazon.com/bedrock/latest/APIReference/API_agent-runtime_InvokeAgent.html
"""

import asyncio
from dataclasses import dataclass

from bastide.agents.asked import Asked
from bastide.agents.book import Book
from bastide.agents.model import Params
from bastide.agents.routing import Found, Routing
from bastide.agents.session_records import Key
from bastide.agents.turn_desk import Desk, check
from bastide.agents.workers import Workers
from bastide.kernel.call import Call
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
class Invocations:
    book: Book
    routing: Routing
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
        found = await asyncio.to_thread(
            self.routing.found, call, req["agentId"], req["agentAliasId"]
        )
        label = self.book.marks.own(call.principal)
        key = Key(
            account=call.account, label=label, agent_id=found.agent_id,
            alias_id=found.alias_id, id=req["sessionId"],
        )  # fmt: skip
        call.notes.label = label  # it carries what was said in this session, and by whom it is
        return await self.desk.turn(req, key, lambda: self._asked(call, req, found, key))

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
