"""One turn, really done: the effects of the pure loop one after the other, and what is told of
them. What was said is kept once, before its last event: a turn that is cut short never was."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from bastide.agents import traces
from bastide.agents.asking import request_of
from bastide.agents.loop import (
    Answered,
    Ask,
    Do,
    Effect,
    Event,
    Fail,
    Refuse,
    Return,
    Say,
    Turn,
    step,
)
from bastide.agents.ports import Conversations
from bastide.agents.sessions import Held, Sessions
from bastide.agents.traces import Tracer
from bastide.kernel.call import Call
from bastide.kernel.clock import Clock
from bastide.kernel.errors import ServiceError, Unavailable
from bastide.kernel.ids import Ids

Params = dict[str, Any]
_MODEL_FAILURES = frozenset(
    {"ModelErrorException", "ModelTimeoutException", "ServiceUnavailableException"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A turn that may be done: whose, as whom, of which agent, from where the conversation is."""

    call: Call
    worker: Call
    agent: Mapping[str, Any]
    held: Held
    event: Event
    tracer: Tracer
    prompted: Mapping[str, str]
    ttl_s: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Turns:
    conversations: Conversations
    sessions: Sessions
    clock: Clock
    ids: Ids

    async def events(self, asked: Asked) -> AsyncIterator[Params]:
        """Traces, and last a chunk or a returned control. Raises ServiceError."""
        turn, effects = step(asked.held.turn, asked.event)
        todo: deque[Effect] = deque(effects)
        while todo:
            effect = todo.popleft()
            match effect:
                case Ask(final):
                    req = request_of(asked.agent, turn, asked.prompted, final=final)
                    yield _asked(asked, req)
                    answered, told = await self._ask(asked, req)
                    for event in told:
                        yield event
                    turn, more = step(turn, answered)
                    todo += more
                case Fail(why):
                    yield asked.tracer.failure(why)
                    raise ServiceError("DependencyFailedException", why)
                case Do():
                    raise NotImplementedError
                case _:
                    async for event in self._end(asked, turn, effect):
                        yield event

    async def _ask(self, asked: Asked, req: Params) -> tuple[Answered, list[Params]]:
        began, started = self.clock.now(), self.clock.monotonic_s()
        answer = await self._converse(asked, req)
        took = self.clock.monotonic_s() - started
        usage = answer.get("usage") or {}
        _count(asked.call, asked.worker, usage)
        content = answer["output"]["message"]["content"]
        metadata = {
            "startTime": began,
            "endTime": self.clock.now(),
            "totalTimeMs": int(took * 1000),
            "clientRequestId": asked.call.request_id,
        }
        output = traces.model_output(answer, metadata)
        told = [asked.tracer.orchestration("modelInvocationOutput", output)]
        if any("toolUse" in block for block in content):
            said = "\n".join(block["text"] for block in content if block.get("text"))
            told += [asked.tracer.orchestration("rationale", {"text": said})] if said else []
        return Answered(content, int(usage.get("totalTokens") or 0), took), told

    async def _converse(self, asked: Asked, req: Params) -> Params:
        """The model's failures in the words of InvokeAgent."""
        try:
            return await self.conversations.converse(asked.worker, req)
        except Unavailable as error:
            raise ServiceError("DependencyFailedException", error.what) from error
        except ServiceError as error:
            if error.code in _MODEL_FAILURES:
                raise ServiceError("DependencyFailedException", error.message) from error
            raise

    async def _end(
        self, asked: Asked, turn: Turn, effect: Refuse | Return | Say
    ) -> AsyncIterator[Params]:
        match effect:
            case Refuse(_, why):
                said = {"source": "PARSER", "text": why}
                yield _observed(asked, "REPROMPT", repromptResponse=said)
            case Return(calls):
                invocation_id = self.ids.uuid()
                for use, tool, _ in calls:
                    given = traces.invocation_input(use, tool, invocation_id)
                    yield asked.tracer.orchestration("invocationInput", given)
                await self._keep(asked, turn, invocation_id)
                inputs = [
                    traces.control_input(use, tool, mode, asked.held.key.agent_id)
                    for use, tool, mode in calls
                ]
                yield {"returnControl": {"invocationId": invocation_id, "invocationInputs": inputs}}
            case Say(text, asks):
                await self._keep(asked, turn, "")
                kind = "ASK_USER" if asks else "FINISH"
                yield _observed(asked, kind, finalResponse={"text": text})
                yield {"chunk": {"bytes": text.encode()}}

    async def _keep(self, asked: Asked, turn: Turn, invocation_id: str) -> None:
        held = replace(asked.held, turn=turn, invocation_id=invocation_id)
        await asyncio.to_thread(self.sessions.save, held, asked.ttl_s)


def _asked(asked: Asked, req: Params) -> Params:
    asked.tracer.next_step()
    said = traces.model_input(asked.agent["foundationModel"], req)
    return asked.tracer.orchestration("modelInvocationInput", said)


def _observed(asked: Asked, kind: str, **said: Any) -> Params:
    return asked.tracer.orchestration("observation", traces.observation(kind, **said))


def _count(call: Call, worker: Call, usage: Mapping[str, Any]) -> None:
    """The call's audit record says what all of its steps took, and of which model."""
    audit = call.notes.audit
    for name, key in (("input_tokens", "inputTokens"), ("output_tokens", "outputTokens")):
        audit[name] = str(int(audit.get(name, "0")) + int(usage.get(key) or 0))
    audit |= {
        name: worker.notes.audit[name] for name in ("model_sha256",) if name in worker.notes.audit
    }
