"""bedrock-agent-runtime: InvokeAgent.

https://docs.aws.amazon.com/bedrock/latest/APIReference/API_agent-runtime_InvokeAgent.html
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import ExitStack, aclosing
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection

from bastide.agents.aliases import ACCEPTS, found_alias
from bastide.agents.book import Book
from bastide.agents.loop import Event, Said, Turn
from bastide.agents.model import DRAFT, TTL_DEFAULT_S, Params
from bastide.agents.preparing import Workers
from bastide.agents.resuming import resumed
from bastide.agents.session_records import Key
from bastide.agents.sessions import Held, Sessions
from bastide.agents.tools import tools_of
from bastide.agents.traces import Tracer
from bastide.agents.turns import Asked, Turns
from bastide.kernel.call import Call
from bastide.kernel.errors import invalid, unsupported
from bastide.kernel.operation import operation

TEXT_MAX = 200_000  # characters of one request; no context here holds more
ENDED = "Session is terminated as 'endSession' flag is set in request."
_RESULTS = "sessionState.returnControlInvocationResults"
_HONOURED = (
    "agentId", "agentAliasId", "sessionId", "inputText", "enableTrace", "endSession",
    "sessionState.sessionAttributes", "sessionState.promptSessionAttributes",
    "sessionState.invocationId",
    f"{_RESULTS}.functionResult.actionGroup", f"{_RESULTS}.functionResult.function",
    f"{_RESULTS}.functionResult.confirmationState", f"{_RESULTS}.functionResult.responseState",
    f"{_RESULTS}.functionResult.responseBody.body",
    f"{_RESULTS}.apiResult.actionGroup", f"{_RESULTS}.apiResult.apiPath",
    f"{_RESULTS}.apiResult.httpMethod", f"{_RESULTS}.apiResult.httpStatusCode",
    f"{_RESULTS}.apiResult.confirmationState", f"{_RESULTS}.apiResult.responseState",
    f"{_RESULTS}.apiResult.responseBody.body",
    "bedrockModelConfigurations.performanceConfig.latency",
)  # fmt: skip
_ACCEPTED = {
    f"{_RESULTS}.functionResult.agentId": "a session is of one agent",
    f"{_RESULTS}.apiResult.agentId": "a session is of one agent",
}


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
    sessions: Sessions
    turns: Turns

    @operation(*_HONOURED, accepted=_ACCEPTED)
    async def invoke_agent(self, call: Call, req: Params) -> Params:
        _check(call, req)
        found = await asyncio.to_thread(self._found, call, req)
        label = self.book.marks.own(call.principal)
        key = Key(
            account=call.account, label=label, agent_id=found.agent_id,
            alias_id=found.alias_id, id=req["sessionId"],
        )  # fmt: skip
        call.notes.label = label  # it carries what was said in this session, and by whom it is
        with ExitStack() as undo:
            undo.enter_context(self.sessions.one_turn(key))
            if req.get("endSession"):
                await asyncio.to_thread(self.sessions.end, key)
                events = _ended()
            else:
                asked = await asyncio.to_thread(self._asked, call, req, found, key)
                events = _shown(self.turns.events(asked), traced=bool(req.get("enableTrace")))
            stream = Completion(events, undo.pop_all())
        return {"completion": stream, "contentType": "application/json", "sessionId": key.id}

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
        agent, state = found.definition["agent"], req.get("sessionState") or {}
        worker = self.workers.worker(call, agent["agentResourceRoleArn"], key.label)
        model = self.workers.check_model(worker, agent["foundationModel"])
        call.notes.headers["x-bastide-model"] = call.notes.audit["model"] = model
        held = self.sessions.open(key, Turn(tools=tools_of(found.definition), fence=""))
        if "sessionAttributes" in state:
            held = replace(held, attributes=state["sessionAttributes"])
        tracer = Tracer(
            clock=self.turns.clock,
            trace_id=self.turns.ids.word(10).lower(),
            about={
                "agentId": found.agent_id, "agentAliasId": found.alias_id,
                "agentVersion": found.version, "sessionId": key.id,
            },
        )  # fmt: skip
        return Asked(
            call=call, worker=worker, agent=agent, held=held, event=_event(held, req),
            tracer=tracer, prompted=state.get("promptSessionAttributes") or {},
            ttl_s=int(agent.get("idleSessionTTLInSeconds") or TTL_DEFAULT_S),
        )  # fmt: skip


class Completion:
    """The events of one turn. When it ends, or is closed before its first, the session is free."""

    def __init__(self, events: AsyncGenerator[Params, None], held: ExitStack) -> None:
        self._events, self._held = events, held

    def __aiter__(self) -> "Completion":
        return self

    async def __anext__(self) -> Params:
        with ExitStack() as ending:
            ending.callback(self._held.close)  # its end, a failure or a cancellation: all free it
            event = await self._events.__anext__()
            ending.pop_all()
        return event

    async def aclose(self) -> None:
        self._held.close()
        await self._events.aclose()


def _check(call: Call, req: Params) -> None:
    latency = (
        (req.get("bedrockModelConfigurations") or {}).get("performanceConfig") or {}
    ).get("latency", "standard")  # fmt: skip
    if latency != "standard":
        raise unsupported(call.operation, f"performanceConfig.latency={latency}")
    if len(req.get("inputText") or "") > TEXT_MAX:
        raise invalid(f"inputText is longer than {TEXT_MAX} characters.")


def _event(held: Held, req: Params) -> Event:
    """Results go before a text, which is ignored then, as AWS does it."""
    state = req.get("sessionState") or {}
    results = state.get("returnControlInvocationResults")
    if results:
        return resumed(held, state.get("invocationId") or "", results)
    text = req.get("inputText") or ""
    if not text.strip():
        raise invalid("inputText must be specified.")
    return Said(text)


async def _shown(events: AsyncIterator[Params], *, traced: bool) -> AsyncGenerator[Params, None]:
    async with aclosing(events) as source:  # type: ignore[type-var]  # it is a generator
        async for event in source:
            if traced or "trace" not in event:
                yield event


async def _ended() -> AsyncGenerator[Params, None]:
    yield {"chunk": {"bytes": ENDED.encode()}}
