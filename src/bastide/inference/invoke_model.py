"""bedrock-runtime: InvokeModel and InvokeModelWithResponseStream, each family in its own body.

Source: https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters.html
"""

import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from bastide.audit.receipts import Bodies, Receipts
from bastide.inference.converse import Conversations
from bastide.inference.dialects import families, guard_tags
from bastide.inference.dialects.dialect import METRICS, About, Exchange, Whole, WholeCalls
from bastide.inference.dialects.json_body import malformed, parsed
from bastide.inference.ports import InvocationLog, NoLog
from bastide.inference.retelling import check_honoured
from bastide.kernel.call import Call
from bastide.kernel.clock import Clock
from bastide.kernel.errors import invalid
from bastide.kernel.operation import honours_of, operation
from bastide.models.catalogue import Models
from bastide.models.invocation_records import Invocation, of_call
from bastide.models.model import ModelCard

Params = dict[str, Any]
JSON = "application/json"
LARGE = 256 * 1024  # a body from which on the loop does not parse it itself
HONOURED = (
    "modelId",
    "body",
    "contentType",
    "accept",
    "guardrailIdentifier",
    "guardrailVersion",
    "trace",
    "performanceConfigLatency",
    "serviceTier",
    "requestMetadata",
)
METADATA_MAX = 16
_METRICS = {
    "inputTokens": "inputTokenCount",
    "outputTokens": "outputTokenCount",
    "cacheReadInputTokens": "cacheReadInputTokenCount",
    "cacheWriteInputTokens": "cacheWriteInputTokenCount",
}
_COUNTS = {
    "x-amzn-bedrock-input-token-count": "inputTokens",
    "x-amzn-bedrock-output-token-count": "outputTokens",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelInvocations:
    """`whole` are the models that are not talked to."""

    talk: Conversations
    models: Models
    clock: Clock
    receipts: Receipts
    whole: tuple[WholeCalls, ...] = ()
    log: InvocationLog = field(default_factory=NoLog)

    @operation(*HONOURED)
    async def invoke_model(self, call: Call, req: Params) -> Params:
        started = self.clock.monotonic_s()
        card, about, document = await self._read(call, req)
        for one in self.whole:
            if one.takes(about.named, card):
                if req.get("guardrailIdentifier"):
                    raise invalid("A guardrail does not apply to this model.")
                whole = Whole(card=card, named=about.named, body=document)
                found = await one.answer(call, whole)
                counts = {"inputTokens": found.input_tokens, "outputTokens": found.output_tokens}
                return self._answered(call, req, found.body, (counts, started))
        exchange, request = self._asked(call, req, (about, document))
        said = await self.talk.converse(call, request)
        answer = exchange.answer(said) | _intervened(req, said)
        return self._answered(call, req, answer, (said["usage"], started))

    @operation(*HONOURED)
    async def invoke_model_with_response_stream(self, call: Call, req: Params) -> Params:
        """What is wrong before the first byte is an error of the call, later an event."""
        started = self.clock.monotonic_s()
        card, about, document = await self._read(call, req)
        if any(one.takes(about.named, card) for one in self.whole):
            raise invalid("The model is unsupported for streaming.")
        exchange, request = self._asked(call, req, (about, document))
        await count_first(self.talk, card, call, (exchange, request))
        said = await self.talk.converse_stream(call, request)
        bodies = self.receipts.of_bodies(call, req.get("body") or b"")
        told = Telling(
            exchange=exchange,
            bodies=bodies,
            req=req,
            end=lambda chunks: self._log(call, req, chunks),
        )
        chunks = Chunks(said["stream"], told, (self.clock, started))
        return {"body": chunks, "contentType": JSON, **_echoed(req)}

    async def _read(self, call: Call, req: Params) -> tuple[ModelCard, About, Any]:
        """The model first: what AWS says of a wrong id it says whatever the body is."""
        card = self.models.called(call, req["modelId"])
        _check_kinds(req)
        body = req.get("body") or b""
        is_large = len(body) > LARGE
        document = (
            await self.talk.threads.run(call.whose, parsed, body) if is_large else parsed(body)
        )
        about = About(
            operation=call.operation,
            named=self.models.inside(call, req["modelId"]),
            request_id=call.request_id,
            at_s=int(call.time.timestamp()),
        )
        return card, about, document

    def _asked(self, call: Call, req: Params, asked: tuple[About, Any]) -> tuple[Exchange, Params]:
        """The body as an exchange, and its whole request for Converse. What Converse does not
        honour is refused here: its own callers are held to that at the gateway."""
        about, document = asked
        config = document.pop(guard_tags.MEMBER, None) if isinstance(document, dict) else None
        exchange = families.read(document, about)
        whole = {
            "modelId": req["modelId"],
            **guard_tags.guarded(req, config, exchange.request),
            **_settings(req),
        }
        check_honoured(self.talk.converse, call, whole)
        return exchange, whole

    def _answered(
        self, call: Call, req: Params, body: Any, figures: tuple[Params, float]
    ) -> Params:
        usage, started = figures
        raw = _dumps(body)
        bodies = self.receipts.of_bodies(call, req.get("body") or b"")
        bodies.add(raw)
        bodies.end()
        headers = call.notes.headers
        headers |= {header: str(usage[name]) for header, name in _COUNTS.items()}
        took_ms = int((self.clock.monotonic_s() - started) * 1000)
        headers["x-amzn-bedrock-invocation-latency"] = str(took_ms)
        self._log(call, req, body)
        return {"body": raw, "contentType": JSON, **_echoed(req)}

    def _log(self, call: Call, req: Params, answered: Any) -> None:
        """`answered`: a body, or the chunks of a stream."""

        def made() -> Invocation:
            audit = call.notes.audit
            return of_call(
                call,
                model_id=req["modelId"],
                asked=parsed(req.get("body") or b""),
                answered=answered,
                tokens=(int(audit.get("input_tokens", 0)), int(audit.get("output_tokens", 0))),
                size=len(req.get("body") or b"") + len(str(answered)),
                metadata=_settings(req).get("requestMetadata") or {},
                is_embedding="output_tokens" not in audit,
            )

        self.log.record(call.account, made)


async def count_first(
    talk: Conversations, card: ModelCard, call: Call, asked: tuple[Exchange, Params]
) -> None:
    """The tokens of the prompt, for a stream that begins with them."""
    exchange, request = asked
    if not exchange.counts_first or card.remote:
        return
    prompt = {name: request[name] for name in families.PROMPT if name in request}
    counted = {"modelId": request["modelId"], "input": {"converse": prompt}}
    if not honours_of(talk.count_tokens).stranger(counted):  # else only the end tells
        exchange.prompt_tokens = (await talk.count_tokens(call, counted))["inputTokens"]


class Stream(Protocol):
    """The events of ConverseStream."""

    def __aiter__(self) -> AsyncIterator[Params]: ...

    async def __anext__(self) -> Params: ...

    async def aclose(self) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Telling:
    """In whose words a stream is told, to what request, and what its receipt says. `end` is given
    the chunks that were told."""

    exchange: Exchange
    bodies: Bodies
    req: Params
    end: Callable[[list[Params]], None] = lambda chunks: None


class Chunks:
    """One streamed answer as a family's chunks; closed, it closes the conversation."""

    def __init__(self, events: Stream, told: Telling, since: tuple[Clock, float]) -> None:
        self._events, self._told = events, told
        self._clock, self._started = since
        self._first_ms: int | None = None
        self._stop = ""
        self._said: list[Params] = []
        self._is_logged = False
        self._ready: list[bytes] = []

    def __aiter__(self) -> "Chunks":
        return self

    async def __anext__(self) -> Params:
        while not self._ready:
            self._take(await self._events.__anext__())
        return {"chunk": {"bytes": self._ready.pop(0)}}

    async def aclose(self) -> None:
        await self._events.aclose()
        self._end()

    def _end(self) -> None:
        """The invocation log says what was told, also of an answer that broke off."""
        if not self._is_logged:
            self._is_logged = True
            self._told.end(self._said)

    def _take(self, event: Params) -> None:
        chunks = self._told.exchange.chunks(event)
        if self._first_ms is None and "contentBlockDelta" in event:
            self._first_ms = self._since_ms()
        if "messageStop" in event:
            self._stop = event["messageStop"]["stopReason"]
        if "metadata" in event:
            chunks[-1] |= self._last(event["metadata"])
        self._said += chunks
        self._ready = [_dumps(chunk) for chunk in chunks]
        for raw in self._ready:
            self._told.bodies.add(raw)
        if "metadata" in event:
            self._told.bodies.end()
            self._end()

    def _last(self, metadata: Params) -> Params:
        """What the last chunk says beside the family's own members."""
        said = metadata | {"stopReason": self._stop}
        return _intervened(self._told.req, said) | {METRICS: self._metrics(metadata)}

    def _metrics(self, metadata: Params) -> Params:
        whole, usage = self._since_ms(), metadata["usage"]
        return {
            **{name: usage[ours] for ours, name in _METRICS.items() if ours in usage},
            "invocationLatency": whole,
            "firstByteLatency": whole if self._first_ms is None else self._first_ms,
        }

    def _since_ms(self) -> int:
        return int((self._clock.monotonic_s() - self._started) * 1000)


def _dumps(document: Any) -> bytes:
    text = json.dumps(document, separators=(",", ":"), ensure_ascii=False)
    return text.encode("utf-8", "surrogatepass")


def _check_kinds(req: Params) -> None:
    """JSON in, JSON out: AWS's models of text know nothing else."""
    given = (req.get("contentType") or JSON).partition(";")[0].strip().lower()
    if given != JSON:
        raise invalid(f"The content type is not supported. Use {JSON}.")
    wanted = {
        part.partition(";")[0].strip().lower() for part in (req.get("accept") or "").split(",")
    }
    if not wanted & {"", "*/*", "application/*", JSON}:
        raise invalid(f"The accept type is not supported. Use {JSON}.")


def _intervened(req: Params, said: Params) -> Params:
    """What a guardrail did, beside the family's own members."""
    if not req.get("guardrailIdentifier"):
        return {}
    intervened = said["stopReason"] == "guardrail_intervened"
    found: Params = {"amazon-bedrock-guardrailAction": "INTERVENED" if intervened else "NONE"}
    if "trace" in said:
        found["amazon-bedrock-trace"] = said["trace"]
    return found


def _settings(req: Params) -> Params:
    found: Params = {}
    if latency := req.get("performanceConfigLatency"):
        found["performanceConfig"] = {"latency": latency}
    if tier := req.get("serviceTier"):
        found["serviceTier"] = {"type": tier}
    if metadata := req.get("requestMetadata"):
        found["requestMetadata"] = _metadata(metadata)
    return found


def _metadata(text: str) -> Params:
    found = parsed(text.encode())
    is_plain = isinstance(found, dict) and all(isinstance(each, str) for each in found.values())
    if not is_plain or len(found) > METADATA_MAX:
        raise malformed("the request metadata is not an object of at most 16 texts")
    return dict(found)


def _echoed(req: Params) -> Params:
    names = ("performanceConfigLatency", "serviceTier")
    return {name: req[name] for name in names if req.get(name)}
