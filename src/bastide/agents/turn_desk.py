"""Where a turn is begun, whichever operation asks for it: its session is its own until it ends."""

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import ExitStack, aclosing
from dataclasses import dataclass, replace
from typing import Any

from bastide.agents import history
from bastide.agents.asked import Asked
from bastide.agents.executing import BadResponse, check_attributes
from bastide.agents.files import Attaching
from bastide.agents.loop import Event, Said, Turn
from bastide.agents.model import TTL_DEFAULT_S, Params
from bastide.agents.ports import Threads
from bastide.agents.receipting import Receipting
from bastide.agents.resuming import resumed
from bastide.agents.session_records import Key
from bastide.agents.sessions import Held, Sessions
from bastide.agents.tools import tools_of
from bastide.agents.traces import Tracer
from bastide.agents.tracing import Tracing
from bastide.agents.turns import Turns
from bastide.agents.workers import Workers
from bastide.kernel.call import Call
from bastide.kernel.errors import invalid, unsupported

TEXT_MAX = 200_000  # characters of one request; no context here holds more
ENDED = "Session is terminated as 'endSession' flag is set in request."
What = tuple[Mapping[str, Any], Key, Mapping[str, Any]]  # definition, conversation, trace's members


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    workers: Workers
    sessions: Sessions
    turns: Turns
    attaching: Attaching
    tracing: Tracing
    receipting: Receipting
    threads: Threads

    async def turn(
        self,
        req: Params,
        key: Key,
        asked: Callable[[], Asked],
        end: Callable[[], Awaitable[None]] | None = None,
    ) -> Params:
        """`asked` reads what is needed, and refuses what can be refused before the first event.
        `end`: what else the end of a session takes than to forget it."""
        with ExitStack() as undo:
            undo.enter_context(self.sessions.one_turn(key))
            if req.get("endSession"):
                await (end() if end else self.threads.run(key.whose, self.sessions.end, key))
                events = _ended()
            else:
                found = await self.attaching.told(await self.threads.run(key.whose, asked))
                if found.draft is not None:
                    found.draft.promise()
                kept = self.receipting.kept(found, self.turns.events(found))
                watched = self.tracing.watched(found, kept)
                events = _shown(watched, traced=bool(req.get("enableTrace")))
            stream = Completion(events, undo.pop_all())
        return {"completion": stream, "contentType": "application/json", "sessionId": key.id}

    def asked(self, worker: Call, call: Call, what: What, req: Params, state: Params) -> Asked:
        """`worker`: the call as who works makes it. `state`: the member that has the session's."""
        definition, key, about = what
        agent = definition["agent"]
        card = self.workers.check(worker, agent, streams=_streams(req))
        call.notes.headers["x-bastide-model"] = call.notes.audit["model"] = card.model_id
        held = self.sessions.open(key, Turn(tools=tools_of(definition), fence=""))
        held = history.told(held, state)
        alone = held.number == 0 or held.by == call.principal.arn
        held = replace(
            held, attributes=_attributes(state, held.attributes),
            by=call.principal.arn if alone else "",
        )  # fmt: skip
        trace_id = self.turns.ids.word(10).lower()
        searched = {
            one["knowledgeBaseId"]: one["retrievalConfiguration"]
            for one in state.get("knowledgeBaseConfigurations") or ()
        }
        return Asked(
            call=call, worker=worker, agent=agent, held=held, event=_event(held, req, state),
            tracer=Tracer(clock=self.turns.clock, trace_id=trace_id, about=about),
            prompted=state.get("promptSessionAttributes") or {},
            ttl_s=int(agent.get("idleSessionTTLInSeconds") or TTL_DEFAULT_S),
            searched=searched, streams=_streams(req), files=self.attaching.given(call, state),
            draft=self.receipting.begun(call, card, req, state),
        )  # fmt: skip


def _streams(req: Params) -> bool:
    return bool((req.get("streamingConfigurations") or {}).get("streamFinalResponse"))


def _attributes(state: Params, had: Mapping[str, str]) -> Mapping[str, str]:
    """Of the session: what the caller says instead of those that it had."""
    given: Mapping[str, str] = state.get("sessionAttributes") or had
    try:
        check_attributes(given)
        check_attributes(state.get("promptSessionAttributes") or {})
    except BadResponse as error:
        raise invalid(f"Session {error}.") from error
    return given


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


def _event(held: Held, req: Params, state: Params) -> Event:
    """Results go before a text, which is ignored then, as AWS does it."""
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


def check(call: Call, req: Params) -> None:
    latency = (
        (req.get("bedrockModelConfigurations") or {}).get("performanceConfig") or {}
    ).get("latency", "standard")  # fmt: skip
    if latency != "standard":
        raise unsupported(call.operation, f"performanceConfig.latency={latency}")
    if len(req.get("inputText") or "") > TEXT_MAX:
        raise invalid(f"inputText is longer than {TEXT_MAX} characters.")
