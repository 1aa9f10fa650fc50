"""bedrock-agent-runtime: InvokeAgent.

https://docs.aws.amazon.com/bedrock/latest/APIReference/API_agent-runtime_InvokeAgent.html
"""

from dataclasses import dataclass, replace

from bastide.agents import files, history
from bastide.agents.asked import Asked
from bastide.agents.book import Book
from bastide.agents.memory import remembers
from bastide.agents.memory_records import MemoryKey
from bastide.agents.model import Params
from bastide.agents.ports import Threads
from bastide.agents.remembering import Remembering, Whose
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
    f"{_RESULTS}.apiResult.responseBody.body", *history.MEMBERS,
)  # fmt: skip
UNHEARD = files.UNUSED | {
    f"{_RESULTS}.{kind}.agentId": "a session is of one agent"
    for kind in ("functionResult", "apiResult")
}
_STREAMING = "streamingConfigurations"
STREAMING = (f"{_STREAMING}.streamFinalResponse", f"{_STREAMING}.applyGuardrailInterval")
_SEARCHED = "sessionState.knowledgeBaseConfigurations"


@dataclass(frozen=True, slots=True, kw_only=True)
class Invocations:
    book: Book
    routing: Routing
    workers: Workers
    desk: Desk
    remembering: Remembering
    threads: Threads

    @operation(
        "agentId", "agentAliasId", "sessionId", "inputText", "enableTrace", "endSession",
        "memoryId", *STREAMING,
        "bedrockModelConfigurations.performanceConfig.latency", f"{_SEARCHED}.knowledgeBaseId",
        f"{_SEARCHED}.retrievalConfiguration.vectorSearchConfiguration",
        *(f"sessionState.{name}" for name in (*SESSION_MEMBERS, *files.MEMBERS)),
        accepted={f"sessionState.{name}": why for name, why in UNHEARD.items()},
    )  # fmt: skip
    async def invoke_agent(self, call: Call, req: Params) -> Params:
        check(call, req)
        found = await self.threads.run(
            call.whose, self.routing.found, call, req["agentId"], req["agentAliasId"]
        )
        label = self.book.marks.own(call.principal)
        key = Key(
            account=call.account, label=label, agent_id=found.agent_id,
            alias_id=found.alias_id, id=req["sessionId"],
        )  # fmt: skip
        call.notes.label = label  # it carries what was said in this session, and by whom it is
        whose = _memory(req, found, key)
        if whose is None:
            return await self.desk.turn(req, key, lambda: self._asked(call, req, found, key))
        await self.remembering.catch_up(call, whose, key)
        turn = await self.desk.turn(
            req,
            key,
            lambda: self._with_memory(call, whose, self._asked(call, req, found, key)),
            lambda: self.remembering.end(call, whose, key),
        )
        return {**turn, "memoryId": req["memoryId"]}

    def _with_memory(self, call: Call, whose: Whose, asked: Asked) -> Asked:
        view = self.book.marks.view(call.principal)
        text, tainted = self.remembering.recalled(whose, view.seen, call.principal.arn)
        turn = replace(asked.held.turn, tainted=asked.held.turn.tainted or tainted)
        held = replace(asked.held, turn=turn, memory_id=whose.key.id)
        return replace(asked, held=held, remembered=text)

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


def _memory(req: Params, found: Found, key: Key) -> Whose | None:
    """None where there is nothing to remember, and nowhere: AWS, too, ignores a memoryId then."""
    agent = found.definition["agent"]
    asked = remembers(agent)
    if asked is None or not req.get("memoryId"):
        return None
    memory = MemoryKey(
        account=key.account, agent_id=key.agent_id, alias_id=key.alias_id, id=req["memoryId"]
    )
    return Whose(key=memory, label=key.label, agent=agent, asked=asked)
