"""bedrock-runtime: Converse, ConverseStream and CountTokens.

Source: https://docs.aws.amazon.com/bedrock/latest/userguide/conversation-inference-call.html
"""

from collections.abc import AsyncGenerator, Callable
from contextlib import ExitStack, aclosing
from dataclasses import dataclass
from typing import Any

from bastide.audit.receipts import NOT_OURS, Draft, Model, Receipts
from bastide.inference.engine_client import EngineClient, EngineStream, broken
from bastide.inference.engines import Engines, Lease
from bastide.inference.prompts import STOP_POINTER, Prompt, messages_of, prompt_of
from bastide.inference.replies import End, EndReader, end_of_completion, stop_reason, text_of
from bastide.kernel.call import Call
from bastide.kernel.clock import Clock
from bastide.kernel.errors import ServiceError
from bastide.kernel.operation import operation
from bastide.kernel.receipts import conversation
from bastide.models.catalogue import Models
from bastide.models.model import ModelCard, ModelKind

Params = dict[str, Any]
NOT_TALKED_TO = (
    "This action doesn't support the model that you provided. Try again with a supported text or "
    "chat model."
)
MODEL_FAILURES = ("ModelErrorException", "ModelNotReadyException", "ModelTimeoutException")
HONOURED = (
    "modelId",
    "messages.role",
    "messages.content.text",
    "system.text",
    "inferenceConfig",
    "additionalModelRequestFields",
    "additionalModelResponseFieldPaths",
    "performanceConfig",
    "serviceTier",
)
ACCEPTED = {"requestMetadata": "it only filters invocation logs, which hold no prompts here"}
COUNTED = (
    "modelId",
    "input.converse.messages.role",
    "input.converse.messages.content.text",
    "input.converse.system.text",
)
UNCOUNTED = {
    "input.converse.additionalModelRequestFields": "sampling does not change the tokens of a prompt"
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversations:
    models: Models
    engines: Engines
    client: EngineClient
    clock: Clock
    receipts: Receipts

    @operation(*HONOURED, accepted=ACCEPTED)
    async def converse(self, call: Call, req: Params) -> Params:
        started = self.clock.monotonic_s()
        card = self._card(call, req)
        prompt = prompt_of(call.operation, req, card.context_tokens)
        draft = self._draft(call, req, card)
        async with await self.engines.acquire(card, *_whose(call)) as lease:
            body = prompt.body(lease.endpoint, stream=False)
            found = await self.client.complete(lease.endpoint, body)
            lease.confirm()
        end = end_of_completion(found)
        text = text_of(found)
        answer: Params = {
            "output": {
                "message": {"role": "assistant", "content": [{"text": text}] if text else []}
            },
            **_stopped(end, prompt, card, "ModelErrorException"),
            "usage": _usage(call, end),
            "metrics": {"latencyMs": self._since_ms(started)},
            **_echoed(req),
        }
        draft.add(text.encode("utf-8", "surrogatepass"))
        self._receipted(draft, end, started)
        draft.promise()
        return answer

    @operation(*HONOURED, accepted=ACCEPTED)
    async def converse_stream(self, call: Call, req: Params) -> Params:
        """What is wrong before the first byte is an error of the call, later an event."""
        started = self.clock.monotonic_s()
        card = self._card(call, req)
        prompt = prompt_of(call.operation, req, card.context_tokens)
        lease = await self.engines.acquire(card, *_whose(call))
        with ExitStack() as undo:
            undo.callback(lease.release)  # also when the caller goes away: the place is free again
            body = prompt.body(lease.endpoint, stream=True)
            stream = await self.client.stream(lease.endpoint, body)
            undo.pop_all()

        draft = self._draft(call, req, card)
        draft.promise()

        def last(end: End) -> Params:
            lease.confirm()
            self._receipted(draft, end, started)
            return {
                "usage": _usage(call, end),
                "metrics": {"latencyMs": self._since_ms(started)},
                **_echoed(req),
            }

        return {"stream": Answer(stream, lease, _events(stream, prompt, card, (draft, last)))}

    @operation(*COUNTED, accepted=UNCOUNTED)
    async def count_tokens(self, call: Call, req: Params) -> Params:
        card = self._card(call, req)
        messages = messages_of(call.operation, req["input"]["converse"])
        try:
            async with await self.engines.visit(card, *_whose(call)) as lease:
                return {"inputTokens": await self.client.count(lease.endpoint, messages)}
        except ServiceError as error:
            if error.code in MODEL_FAILURES:  # CountTokens has no name for them
                raise ServiceError("ServiceUnavailableException", error.message) from error
            raise

    def _card(self, call: Call, req: Params) -> ModelCard:
        """The model that answers, named in a header and in the audit record."""
        card = self.models.called(call, req["modelId"])
        if card.kind is not ModelKind.TEXT:
            raise ServiceError("ValidationException", NOT_TALKED_TO)
        call.notes.headers["x-bastide-model"] = card.model_id
        call.notes.audit["model"] = card.model_id
        if card.sha256:
            call.notes.audit["model_sha256"] = card.sha256
        return card

    def _draft(self, call: Call, req: Params, card: ModelCard) -> Draft:
        digest = f"sha256:{card.sha256}" if card.sha256 else NOT_OURS
        cores = 0 if card.remote else self.engines.task.threads
        model = Model(name=card.model_id, digest=digest, cores=cores)
        return self.receipts.begin(call, model, conversation(req))

    def _receipted(self, draft: Draft, end: End, started: float) -> None:
        tokens = (end.usage.prompt_tokens, end.usage.completion_tokens)
        draft.end(self.clock.monotonic_s() - started, tokens)

    def _since_ms(self, started: float) -> int:
        return int((self.clock.monotonic_s() - started) * 1000)


class Answer:
    """The events of one streamed answer. At its end, or when it is closed before, the generation
    is over and the place is free: also when nobody ever asked for the first event."""

    def __init__(
        self, stream: EngineStream, lease: Lease, events: AsyncGenerator[Params, None]
    ) -> None:
        self._stream = stream
        self._lease = lease
        self._events = events

    def __aiter__(self) -> "Answer":
        return self

    async def __anext__(self) -> Params:
        with ExitStack() as ending:
            ending.callback(self._finish)  # its end, a failure or a cancellation: all end it
            event = await self._events.__anext__()
            if "metadata" not in event:  # after the last one a slow reader keeps no place
                ending.pop_all()
        return event

    async def aclose(self) -> None:
        self._finish()
        await self._events.aclose()

    def _finish(self) -> None:
        self._stream.close()
        self._lease.release()


async def _events(
    stream: EngineStream,
    prompt: Prompt,
    card: ModelCard,
    ending: tuple[Draft, Callable[[End], Params]],
) -> AsyncGenerator[Params, None]:
    """AWS's order: start, deltas, block stop, message stop, metadata."""
    (draft, last), reader, written = ending, EndReader(), False
    yield {"messageStart": {"role": "assistant"}}
    async with aclosing(stream.chunks()) as chunks:
        async for chunk in chunks:
            for choice in chunk.choices:
                if text := choice.delta.content:
                    written = True
                    draft.add(text.encode("utf-8", "surrogatepass"))
                    yield {"contentBlockDelta": {"delta": {"text": text}, "contentBlockIndex": 0}}
            reader.read(chunk)
    end = reader.end()
    if end is None:
        raise broken(EOFError())
    if written:
        yield {"contentBlockStop": {"contentBlockIndex": 0}}
    yield {"messageStop": _stopped(end, prompt, card, "ModelStreamErrorException")}
    yield {"metadata": last(end)}


def _whose(call: Call) -> tuple[str, str]:
    """Who finds an engine warm after this call: nobody of another agency or label."""
    return call.account, call.principal.session.text


def _stopped(end: End, prompt: Prompt, card: ModelCard, failure: str) -> Params:
    """Raises ServiceError `failure`, of the names that the answer's own shape knows."""
    reason = stop_reason(end, prompt.tokens_max, local=not card.remote)
    if reason is None:
        raise ServiceError(failure, "The model ended its answer in an unknown way.")
    found: Params = {"stopReason": str(reason)}
    if prompt.wants_stop_sequence:
        name = STOP_POINTER.removeprefix("/")
        found["additionalModelResponseFields"] = {name: end.stop_sequence}
    return found


def _usage(call: Call, end: End) -> dict[str, int]:
    usage = end.usage.bedrock()
    call.notes.audit["input_tokens"] = str(usage["inputTokens"])
    call.notes.audit["output_tokens"] = str(usage["outputTokens"])
    return usage


def _echoed(req: Params) -> Params:
    """Both are only taken with their default value, and said back as AWS does."""
    return {name: req[name] for name in ("performanceConfig", "serviceTier") if req.get(name)}
