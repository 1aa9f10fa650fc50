"""A model that is asked for one answer in a turn: as who works for the agent, counted in the call's
audit record, and told in the trace; whole, or in pieces as it writes them."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

from bastide.agents import processing, traces
from bastide.agents.asked import Asked
from bastide.agents.gathered import Gathered
from bastide.agents.loop import Answered
from bastide.agents.ports import Conversations
from bastide.kernel.call import Call
from bastide.kernel.clock import Clock
from bastide.kernel.errors import NOT_NOW, ServiceError, Unavailable, unsupported
from bastide.kernel.operation import honours_of

Params = dict[str, Any]
_FAILURES = frozenset(
    {
        "ModelErrorException",
        "ModelStreamErrorException",
        "ModelTimeoutException",
        "ServiceUnavailableException",
    }
)


PARSED = {
    traces.Kind.PRE_PROCESSING: processing.judged,
    traces.Kind.POST_PROCESSING: processing.rewritten,
}
_SUMMED = frozenset({"model", "input_tokens", "output_tokens"})
_DIGEST = "model_sha256"


@dataclass(slots=True)
class Consultation:
    """`answer` is there once its events were read; `pieces`: what was written of it, as it came."""

    answer: Params = field(default_factory=dict)
    took_s: float = 0.0
    written: str = ""

    @property
    def content(self) -> Sequence[Mapping[str, Any]]:
        found: Sequence[Mapping[str, Any]] = self.answer["output"]["message"]["content"]
        return found

    @property
    def tokens(self) -> int:
        return int((self.answer.get("usage") or {}).get("totalTokens") or 0)

    @property
    def event(self) -> Answered:
        return Answered(self.content, self.tokens, self.took_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class Consulting:
    conversations: Conversations
    clock: Clock

    async def events(
        self, asked: Asked, req: Params, found: Consultation, *, kind: traces.Kind, streams: bool
    ) -> AsyncIterator[Params]:
        """Traces; and chunks of what is written for the user, if it `streams`."""
        tracer = asked.tracer
        tracer.next_step()
        said = traces.model_input(req["modelId"], req, kind)
        yield tracer.part(kind, "modelInvocationInput", said)
        began, started = self.clock.now(), self.clock.monotonic_s()
        if streams:
            async for piece in self._pieces(asked, req, found):
                yield {"chunk": {"bytes": piece.encode("utf-8", "replace")}}
        else:
            found.answer = await self._whole(asked.worker, req)
        found.took_s = self.clock.monotonic_s() - started
        _count(asked.call, asked.worker, found.answer.get("usage") or {})
        metadata = {
            "startTime": began,
            "endTime": self.clock.now(),
            "totalTimeMs": int(found.took_s * 1000),
            "clientRequestId": asked.call.request_id,
        }
        output = traces.model_output(found.answer, metadata)
        if kind in PARSED:
            output["parsedResponse"] = PARSED[kind](found.answer)
        yield tracer.part(kind, "modelInvocationOutput", output)
        if assessed := (found.answer.get("trace") or {}).get("guardrail"):
            stopped = found.answer.get("stopReason") == "guardrail_intervened"
            yield tracer.guardrail(stopped, assessed)

    async def whole(self, call: Call, worker: Call, req: Params) -> Params:
        """One answer beside a turn."""
        answer = await self._whole(worker, req)
        _count(call, worker, answer.get("usage") or {})
        return answer

    async def _whole(self, worker: Call, req: Params) -> Params:
        self._check(req)
        try:
            return await self.conversations.converse(worker, req)
        except (ServiceError, Unavailable) as error:
            raise _told(error) from error

    async def _pieces(self, asked: Asked, req: Params, found: Consultation) -> AsyncIterator[str]:
        """Without the blanks that it begins with, as an answer is kept."""
        self._check(req)
        gathered = Gathered()
        try:
            stream = (await self.conversations.converse_stream(asked.worker, req))["stream"]
            async with aclosing(stream) as events:
                async for event in events:
                    piece = gathered.take(event)
                    piece = piece if found.written else piece.lstrip()
                    found.written += piece
                    if piece:
                        yield piece
        except (ServiceError, Unavailable) as error:
            raise _told(error) from error
        found.answer = gathered.answer()

    def _check(self, req: Params) -> None:
        """A member that is not honoured is refused, as at Converse's own door: a guardrail above
        all."""
        honours = honours_of(self.conversations.converse)
        known = {path.partition(".")[0] for path in (*honours.members, *honours.accepted)}
        for name in req.keys() - known:
            raise unsupported("bedrock-runtime.Converse", f"The member {name}")


def _told(error: ServiceError | Unavailable) -> Exception:
    """The model's failures in the words of InvokeAgent."""
    if isinstance(error, Unavailable):
        return ServiceError("DependencyFailedException", NOT_NOW)
    if error.code in _FAILURES:
        return ServiceError("DependencyFailedException", error.message)
    return error


def _count(call: Call, worker: Call, usage: Mapping[str, Any]) -> None:
    """The call's audit record says what all of its steps took, and what else is told of them: the
    model's digest, a guardrail, that the words left the region; and which other model was asked."""
    audit = call.notes.audit
    for name, key in (("input_tokens", "inputTokens"), ("output_tokens", "outputTokens")):
        audit[name] = str(int(audit.get(name, "0")) + int(usage.get(key) or 0))
    said, unsaid = worker.notes.audit, _SUMMED
    if (mine := audit.get("model")) and said.get("model", mine) != mine:
        unsaid = _SUMMED | {_DIGEST}
        audit["other_model"] = f"{said['model']} {said.get(_DIGEST, '')}".strip()
    audit |= {name: value for name, value in said.items() if name not in unsaid}
