"""bedrock-runtime: Converse, ConverseStream and CountTokens.

Source: https://docs.aws.amazon.com/bedrock/latest/userguide/conversation-inference-call.html
"""

from collections.abc import AsyncGenerator
from contextlib import ExitStack, aclosing
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from bastide.audit.receipts import NOT_OURS, Draft, Model, Receipts
from bastide.inference.answer import Answer
from bastide.inference.cache_points import CachePoints
from bastide.inference.content import Content, events_of, said
from bastide.inference.dialects import families
from bastide.inference.dialects.dialect import About
from bastide.inference.documents import Documents, NoReader
from bastide.inference.engine_client import EngineClient
from bastide.inference.engines import Engines
from bastide.inference.guarding import WHOLE, Guarded, guarded_by
from bastide.inference.lease import Lease
from bastide.inference.pointers import pointed_at
from bastide.inference.ports import Guards, InvocationLog, NoLog, Threads
from bastide.inference.prompts import Prompt, prompt_of
from bastide.inference.quotas import LETTERS_PER_TOKEN, Quotas, Ticket
from bastide.inference.turn import Part, Speaking, Turn, UnknownEnd
from bastide.inference.upstream.turn import UpstreamTurn
from bastide.inference.upstream.upstreams import Upstreams
from bastide.inference.voice import Spent, Voice
from bastide.kernel.call import Call
from bastide.kernel.clock import Clock
from bastide.kernel.errors import ServiceError, unsupported
from bastide.kernel.ids import Ids
from bastide.kernel.operation import honours_of, operation
from bastide.kernel.receipts import conversation
from bastide.models.catalogue import Models
from bastide.models.invocation_records import Invocation, of_call
from bastide.models.model import ModelCard, ModelKind

Params = dict[str, Any]
NOT_TALKED_TO = (
    "This action doesn't support the model that you provided. Try again with a supported text or "
    "chat model."
)
MODEL_FAILURES = ("ModelErrorException", "ModelNotReadyException", "ModelTimeoutException")


def _documents(at: str) -> tuple[str, ...]:
    members = (
        "name", "format", "context", "source.text", "source.bytes", "source.content.text",
        "citations.enabled",
    )  # fmt: skip
    return tuple(f"{at}.document.{member}" for member in members)


SAID = (
    "messages.role",
    "messages.content.text",
    "messages.content.guardContent.text",
    *_documents("messages.content"),
    *_documents("messages.content.toolResult.content"),
    "messages.content.cachePoint.type",
    "messages.content.cachePoint.ttl",
    "messages.content.toolUse.toolUseId",
    "messages.content.toolUse.name",
    "messages.content.toolUse.input",
    "messages.content.toolResult.toolUseId",
    "messages.content.toolResult.content.json",
    "messages.content.toolResult.content.text",
    "messages.content.toolResult.status",
    "system.text",
    "system.guardContent.text",
    "system.cachePoint.type",
    "system.cachePoint.ttl",
    "toolConfig.tools.toolSpec.name",
    "toolConfig.tools.toolSpec.description",
    "toolConfig.tools.toolSpec.inputSchema.json",
    "toolConfig.tools.toolSpec.strict",
    "toolConfig.tools.cachePoint.type",
    "toolConfig.tools.cachePoint.ttl",
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
    "guardrailConfig",
    "requestMetadata",
)
BODIES = "bedrock-runtime.InvokeModel"
UNLOGGED = ("modelId", "requestMetadata")
COUNTED = ("modelId", "input.invokeModel.body", *(f"input.converse.{name}" for name in SAID))
UNCOUNTED = {
    "input.converse.additionalModelRequestFields": (
        "sampling does not change the tokens of a prompt"
    ),
    **{
        f"input.converse.{name}": "what is remembered is counted as all else is"
        for name in SAID
        if name.endswith("cachePoint.ttl")
    },
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
    guards: Guards
    threads: Threads
    cache_points: CachePoints
    documents: Documents = field(default_factory=lambda: Documents(NoReader()))
    upstreams: Upstreams = field(default_factory=Upstreams)
    log: InvocationLog = field(default_factory=NoLog)

    @operation(*HONOURED)
    async def converse(self, call: Call, req: Params) -> Params:
        asked = await self._asked(call, req)
        content = Content()
        if asked.is_refused:
            return self._refused(asked)
        async with await self._place(asked) as lease:
            turn = self._turn(lease, asked, streams=False)
            try:
                async with aclosing(asked.guarded.parts(turn, turn.parts(), WHOLE)) as parts:
                    async for part in parts:
                        content.take(part)
            except UnknownEnd as error:
                raise _unknown_end("ModelErrorException") from error
            finally:
                asked.bill(turn, content)
            lease.confirm()
            figures = await self._figures(asked, turn, lease)
        asked.draft.promise()
        return {
            "output": {"message": {"role": "assistant", "content": content.blocks}},
            **asked.stopped(turn),
            **figures,
        }

    @operation(*HONOURED)
    async def converse_stream(self, call: Call, req: Params) -> Params:
        """What is wrong before the engine answers is an error of the call, later an event."""
        asked = await self._asked(call, req)
        if asked.is_refused:
            return {"stream": events_of(self._refused(asked))}
        lease = await self._place(asked)
        turn, content = self._turn(lease, asked, streams=True), Content()
        bill = partial(asked.bill, turn, content)
        with ExitStack() as undo:  # also when the caller goes away: the place is free again
            undo.callback(lease.release)
            undo.callback(bill)  # a tool may have been chosen by then
            parts = asked.guarded.parts(turn, turn.parts(), asked.guarded.mode)
            await anext(parts)  # Opened
            undo.pop_all()
        asked.draft.promise()
        events = self._events(asked, lease, turn, (parts, content))
        return {"stream": Answer(turn.voice, lease, (events, parts), bill)}

    @operation(*COUNTED, accepted=UNCOUNTED)
    async def count_tokens(self, call: Call, req: Params) -> Params:
        card = self._card(call, req)
        counted = {**self._counted(call, req), "additionalModelRequestFields": None}
        opened = await self.documents.opened(call, counted)
        operation = BODIES if "invokeModel" in req["input"] else call.operation
        prompt = prompt_of(operation, opened, card.context_tokens)
        try:
            async with await self.engines.visit(card, *_whose(call)) as lease:
                if self.upstreams.has(card):
                    source = self.upstreams.source(
                        call, card, client=self.client, endpoint=lease.endpoint, said=opened
                    )
                    return {"inputTokens": await source.count()}
                if lease.endpoint.local:
                    return {"inputTokens": await self.client.count(lease.endpoint, prompt.first())}
                return {"inputTokens": await self._counted_elsewhere(call, card, lease, prompt)}
        except ServiceError as error:
            if error.code in MODEL_FAILURES:  # CountTokens has no name for them
                raise ServiceError("ServiceUnavailableException", error.message) from error
            raise

    async def _counted_elsewhere(
        self, call: Call, card: ModelCard, lease: Lease, prompt: Prompt
    ) -> int:
        """An engine that is not ours answers with a token to tell it: that is an inference."""
        ticket = self.quotas.admit(call, card, letters=prompt.letters, written_max=1)
        with ExitStack() as undo:
            undo.callback(ticket.settle, 0)
            found = await self.client.count(lease.endpoint, prompt.first())
            ticket.settle(found + 1)
            undo.pop_all()
        return found

    def _counted(self, call: Call, req: Params) -> Params:
        """Of a body for InvokeModel, which the wire does not look into, the mark holds here."""
        given: Params = req["input"]
        if "invokeModel" not in given:
            found: Params = given["converse"]
            return found
        about = About(
            operation=call.operation,
            named=self.models.inside(call, req["modelId"]),
            request_id=call.request_id,
            at_s=int(call.time.timestamp()),
        )
        prompt = families.prompt_in(given["invokeModel"]["body"], about)
        asked = {"input": {"converse": prompt}}
        if stranger := honours_of(self.count_tokens).stranger(asked):
            raise unsupported(call.operation, stranger.removeprefix("input.converse."))
        return prompt

    async def _events(
        self,
        asked: "_Asked",
        lease: Lease,
        turn: Speaking,
        said: tuple[AsyncGenerator[Part, None], Content],
    ) -> AsyncGenerator[Params, None]:
        """AWS's order: start, the blocks, message stop, metadata."""
        parts, content = said
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
        yield {"metadata": await self._figures(asked, turn, lease)}

    async def _asked(self, call: Call, req: Params) -> "_Asked":
        """What is hidden from the model is no less what the caller said, and its receipt's."""
        started = self.clock.monotonic_s()
        card = self._card(call, req)
        opened = await self.documents.opened(call, req)
        guarded = guarded_by(self.guards, self.threads, call, req)
        admitted = await guarded.admitted(opened)
        prompt = prompt_of(call.operation, admitted or opened, card.context_tokens)
        most = card.context_tokens if prompt.tokens_max is None else prompt.tokens_max
        return _Asked(
            call=call,
            req=req,
            opened=dict(admitted or opened),
            card=card,
            prompt=prompt,
            draft=self._draft(call, req, card),
            ticket=self.quotas.admit(call, card, letters=prompt.letters, written_max=most),
            clock=self.clock,
            started=started,
            guarded=guarded,
            log=self.log,
        )

    def _refused(self, asked: "_Asked") -> Params:
        """The guardrail's own answer to what it did not let in: no model was asked."""
        asked.ticket.settle(0)
        return {
            **asked.guarded.refusal(),
            "usage": {"inputTokens": 0, "outputTokens": 0, "totalTokens": 0},
            "metrics": {"latencyMs": int(asked.took_s() * 1000)},
            **_echoed(asked.req),
        }

    async def _place(self, asked: "_Asked") -> Lease:
        with ExitStack() as undo:
            undo.callback(asked.ticket.settle, 0)
            lease = await self.engines.acquire(
                asked.card,
                *_whose(asked.call),
                begins=asked.prompt.begins,
                tokens=asked.tokens,
            )
            undo.pop_all()
        return lease

    def _turn(self, lease: Lease, asked: "_Asked", *, streams: bool) -> Speaking:
        if self.upstreams.has(asked.card):
            source = self.upstreams.source(
                asked.call,
                asked.card,
                client=self.client,
                endpoint=lease.endpoint,
                said=asked.opened,
            )
            return UpstreamTurn(source, asked.prompt.tools)
        return Turn(
            Voice(self.client, lease.endpoint, streams=streams),
            asked.prompt,
            self.ids,
            call_threshold=asked.card.call_threshold,
        )

    def _card(self, call: Call, req: Params) -> ModelCard:
        """The model that answers, named in a header and in the audit record."""
        card = self.models.called(call, req["modelId"])
        if card.kind is not ModelKind.TEXT:
            raise ServiceError("ValidationException", NOT_TALKED_TO)
        self.upstreams.check(call, card)
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

    async def _figures(self, asked: "_Asked", turn: Speaking, lease: Lease) -> Params:
        spent = turn.voice.produced()
        usage = {
            "inputTokens": spent.prompt,
            "outputTokens": spent.written,
            "totalTokens": spent.prompt + spent.written,
        }
        if asked.prompt.points and lease.endpoint.local:
            usage |= await self._remembered(asked, spent, lease)
        return {
            "usage": usage,
            "metrics": {"latencyMs": int(asked.took_s() * 1000)},
            **asked.guarded.traced(),
            **_echoed(asked.req),
        }

    async def _remembered(self, asked: "_Asked", spent: Spent, lease: Lease) -> dict[str, int]:
        """Up to the last cachePoint: what the view had remembered, and what this call adds."""
        read, up_to = await self.cache_points.told(
            (*_whose(asked.call), asked.card.sha256 or ""),
            asked.prompt.points,
            partial(self.client.count, lease.endpoint),
        )
        up_to = min(spent.prompt, up_to)
        return {
            "inputTokens": spent.prompt - up_to,
            "cacheReadInputTokens": min(read, up_to),
            "cacheWriteInputTokens": up_to - min(read, up_to),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """One request, from its model and prompt to what its receipt will say. `opened`: what the model
    may see of it, its documents as text."""

    call: Call
    req: Params
    opened: Params
    card: ModelCard
    prompt: Prompt
    draft: Draft
    ticket: Ticket
    clock: Clock
    started: float
    guarded: Guarded
    log: InvocationLog

    @property
    def tokens(self) -> int:
        """What it may come to, as far as can be told before it is read."""
        written = self.prompt.tokens_max
        most = self.card.context_tokens if written is None else written
        return self.prompt.letters // LETTERS_PER_TOKEN + most

    @property
    def is_refused(self) -> bool:
        return self.guarded.is_blocked

    def stopped(self, turn: Speaking) -> Params:
        found: Params = {"stopReason": str(turn.reason)}
        beside = pointed_at({"stop_sequence": turn.stop_sequence}, self.prompt.pointers)
        return {**found, "additionalModelResponseFields": beside} if beside else found

    def bill(self, turn: Speaking, content: Content) -> None:
        """What was produced, also of an answer that broke off: its receipt is whole with it."""
        produced = turn.voice.produced()
        tokens = (produced.prompt, produced.written)
        if turn.voice.unheard:  # else whoever leaves in time has the engine work for nothing
            self.ticket.forfeit()
        self.ticket.settle(sum(tokens))
        if not any(tokens):
            return  # the engine has done nothing
        content.end()
        for block in content.blocks:
            self.draft.add(said(block))
        self.draft.end(self.took_s(), tokens)
        self.call.notes.audit["input_tokens"], self.call.notes.audit["output_tokens"] = map(
            str, tokens
        )
        if not self.call.operation.startswith(BODIES):  # they are logged in their own words
            self.log.record(self.call.account, lambda: self._logged(turn, content, tokens))

    def _logged(self, turn: Speaking, content: Content, tokens: tuple[int, int]) -> Invocation:
        message = {"role": "assistant", "content": list(content.blocks)}
        asked = {name: value for name, value in self.req.items() if name not in UNLOGGED}
        written = sum(len(block.get("text", "")) for block in content.blocks)
        return of_call(
            self.call,
            model_id=self.req["modelId"],
            asked=asked,
            answered={"output": {"message": message}, "stopReason": str(turn.reason or "")},
            tokens=tokens,
            size=self.prompt.letters + written,
            metadata=self.req.get("requestMetadata") or {},
        )

    def took_s(self) -> float:
        return self.clock.monotonic_s() - self.started


def _whose(call: Call) -> tuple[str, str]:
    """Who finds an engine warm after this call: nobody of another agency or label."""
    return call.account, call.principal.session.text


def _unknown_end(code: str) -> ServiceError:
    return ServiceError(code, "The model ended its answer in an unknown way.")


def _echoed(req: Params) -> Params:
    """Both are only taken with their default value, and said back as AWS does."""
    return {name: req[name] for name in ("performanceConfig", "serviceTier") if req.get(name)}
