"""bedrock-runtime: Converse, ConverseStream and CountTokens.

Source: https://docs.aws.amazon.com/bedrock/latest/userguide/conversation-inference-call.html
"""

from collections.abc import AsyncGenerator
from contextlib import ExitStack, aclosing
from dataclasses import dataclass, field
from typing import Any

from bastide.audit.receipts import NOT_OURS, Draft, Model, Receipts
from bastide.inference.content import Content, said
from bastide.inference.engine_client import EngineClient
from bastide.inference.engines import Engines, Lease
from bastide.inference.prompts import STOP_POINTER, Prompt, prompt_of
from bastide.inference.quotas import Quotas
from bastide.inference.turn import Part, Turn, UnknownEnd
from bastide.inference.voice import Spent, Voice
from bastide.kernel.call import Call
from bastide.kernel.clock import Clock
from bastide.kernel.errors import ServiceError
from bastide.kernel.ids import Ids
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
SAID = (
    "messages.role",
    "messages.content.text",
    "messages.content.guardContent.text",
    "messages.content.toolUse.toolUseId",
    "messages.content.toolUse.name",
    "messages.content.toolUse.input",
    "messages.content.toolResult.toolUseId",
    "messages.content.toolResult.content.json",
    "messages.content.toolResult.content.text",
    "messages.content.toolResult.status",
    "system.text",
    "system.guardContent.text",
    "toolConfig.tools.toolSpec.name",
    "toolConfig.tools.toolSpec.description",
    "toolConfig.tools.toolSpec.inputSchema.json",
    "toolConfig.toolChoice",
)
HONOURED = (
    "modelId",
    *SAID,
    "inferenceConfig",
    "outputConfig.textFormat",
    "additionalModelRequestFields",
    "additionalModelResponseFieldPaths",
    "performanceConfig",
    "serviceTier",
)
ACCEPTED = {"requestMetadata": "it only filters invocation logs, which hold no prompts here"}
COUNTED = ("modelId", *(f"input.converse.{name}" for name in SAID))
UNCOUNTED = {
    "input.converse.additionalModelRequestFields": "sampling does not change the tokens of a prompt"
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversations:
    models: Models
    engines: Engines
    client: EngineClient
    clock: Clock
    ids: Ids
    receipts: Receipts
    quotas: Quotas

    @operation(*HONOURED, accepted=ACCEPTED)
    async def converse(self, call: Call, req: Params) -> Params:
        asked = self._asked(call, req)
        content = Content()
        async with await self._place(asked) as lease:
            turn = self._turn(lease, asked, streams=False)
            try:
                async with aclosing(turn.parts()) as parts:
                    async for part in parts:
                        content.take(part)
            except UnknownEnd as error:
                raise _unknown_end("ModelErrorException") from error
            lease.confirm()
        content.end()
        answer = {
            "output": {"message": {"role": "assistant", "content": content.blocks}},
            **asked.stopped(turn),
            **self._figures(asked, turn, content),
        }
        asked.draft.promise()
        return answer

    @operation(*HONOURED, accepted=ACCEPTED)
    async def converse_stream(self, call: Call, req: Params) -> Params:
        """What is wrong before the engine answers is an error of the call, later an event."""
        asked = self._asked(call, req)
        lease = await self._place(asked)
        with ExitStack() as undo:
            undo.callback(lease.release)  # also when the caller goes away: the place is free again
            turn = self._turn(lease, asked, streams=True)
            parts = turn.parts()
            await anext(parts)  # Opened
            undo.pop_all()
        asked.draft.promise()
        events = self._events(asked, lease, turn, parts)
        return {"stream": Answer(turn, lease, parts, events)}

    @operation(*COUNTED, accepted=UNCOUNTED)
    async def count_tokens(self, call: Call, req: Params) -> Params:
        card = self._card(call, req)
        counted = {**req["input"]["converse"], "additionalModelRequestFields": None}
        prompt = prompt_of(call.operation, counted, card.context_tokens)
        try:
            async with await self.engines.visit(card, *_whose(call)) as lease:
                return {"inputTokens": await self.client.count(lease.endpoint, prompt.first())}
        except ServiceError as error:
            if error.code in MODEL_FAILURES:  # CountTokens has no name for them
                raise ServiceError("ServiceUnavailableException", error.message) from error
            raise

    async def _events(
        self, asked: "_Asked", lease: Lease, turn: Turn, parts: AsyncGenerator[Part, None]
    ) -> AsyncGenerator[Params, None]:
        """AWS's order: start, the blocks, message stop, metadata."""
        content = Content()
        yield {"messageStart": {"role": "assistant"}}
        try:
            async for part in parts:
                for event in content.take(part):
                    yield event
        except UnknownEnd as error:
            raise _unknown_end("ModelStreamErrorException") from error
        for event in content.end():
            yield event
        yield {"messageStop": asked.stopped(turn)}
        lease.confirm()
        yield {"metadata": self._figures(asked, turn, content)}

    def _asked(self, call: Call, req: Params) -> "_Asked":
        started = self.clock.monotonic_s()
        card = self._card(call, req)
        prompt = prompt_of(call.operation, req, card.context_tokens)
        draft = self._draft(call, req, card)
        return _Asked(call=call, req=req, card=card, prompt=prompt, draft=draft, started=started)

    async def _place(self, asked: "_Asked") -> Lease:
        """An engine's place, within the agency's quotas: giving it back settles what was used."""
        prompt, spent = asked.prompt, asked.spent
        letters = sum(len(each["content"]) for each in prompt.messages)
        ticket = self.quotas.admit(
            asked.call, asked.card, letters=letters, written_max=prompt.tokens_max or 0
        )
        with ExitStack() as undo:
            undo.callback(ticket.settle, 0)
            lease = await self.engines.acquire(asked.card, *_whose(asked.call))
            undo.pop_all()
        lease.then(lambda: ticket.settle(spent.prompt + spent.written))
        return lease

    def _turn(self, lease: Lease, asked: "_Asked", *, streams: bool) -> Turn:
        voice = Voice(self.client, lease.endpoint, asked.spent, streams=streams)
        return Turn(voice, asked.prompt, self.ids)

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

    def _figures(self, asked: "_Asked", turn: Turn, content: Content) -> Params:
        """What the answer took; its receipt is whole with it."""
        took_s = self.clock.monotonic_s() - asked.started
        spent = turn.voice.spent
        for block in content.blocks:
            asked.draft.add(said(block))
        asked.draft.end(took_s, (spent.prompt, spent.written))
        audit = asked.call.notes.audit
        audit["input_tokens"], audit["output_tokens"] = str(spent.prompt), str(spent.written)
        return {
            "usage": {
                "inputTokens": spent.prompt,
                "outputTokens": spent.written,
                "totalTokens": spent.prompt + spent.written,
            },
            "metrics": {"latencyMs": int(took_s * 1000)},
            **_echoed(asked.req),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """One request, from its model and prompt to what its receipt will say."""

    call: Call
    req: Params
    card: ModelCard
    prompt: Prompt
    draft: Draft
    started: float
    spent: Spent = field(default_factory=Spent)

    def stopped(self, turn: Turn) -> Params:
        found: Params = {"stopReason": str(turn.reason)}
        if self.prompt.wants_stop_sequence:
            name = STOP_POINTER.removeprefix("/")
            found["additionalModelResponseFields"] = {name: turn.stop_sequence}
        return found


class Answer:
    """The events of one streamed answer. At its end, or when it is closed before, the generation
    is over and the place is free: also when nobody ever asked for the first event."""

    def __init__(
        self,
        turn: Turn,
        lease: Lease,
        parts: AsyncGenerator[Part, None],
        events: AsyncGenerator[Params, None],
    ) -> None:
        self._turn = turn
        self._lease = lease
        self._parts = parts
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
        await self._parts.aclose()

    def _finish(self) -> None:
        self._turn.voice.close()
        self._lease.release()


def _whose(call: Call) -> tuple[str, str]:
    """Who finds an engine warm after this call: nobody of another agency or label."""
    return call.account, call.principal.session.text


def _unknown_end(code: str) -> ServiceError:
    return ServiceError(code, "The model ended its answer in an unknown way.")


def _echoed(req: Params) -> Params:
    """Both are only taken with their default value, and said back as AWS does."""
    return {name: req[name] for name in ("performanceConfig", "serviceTier") if req.get(name)}
