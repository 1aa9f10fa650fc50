"""Keeps the spans of turns: lines of OTLP in JSON, in a log group of the agent's, at the label of
the conversation. Whoever may read the agency's logs at that label reads them, and nobody else.

Source: https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding
"""

import hashlib
import json
import logging
import re
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from bastide.agents.asked import Asked
from bastide.agents.ports import Lines, Threads
from bastide.agents.spans import Span, Spans, Value
from bastide.kernel.call import Call
from bastide.kernel.clock import Clock, epoch_ms
from bastide.kernel.errors import ServiceError, Unavailable

logger = logging.getLogger(__name__)

Params = dict[str, Any]
GROUP = "/aws/bedrock/agents/"
LINE_MAX = 40  # spans: a line is well below what an event of a log holds
_INTERNAL, _CLIENT, _ERROR = 1, 3, 2  # SpanKind and StatusCode
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tracing:
    lines: Lines
    threads: Threads
    clock: Clock

    async def watched(
        self, asked: Asked, events: AsyncIterator[Params]
    ) -> AsyncGenerator[Params, None]:
        """The same events. Of a turn that its caller breaks off nothing is kept: it never was."""
        key, spans = asked.held.key, Spans(trace_id=trace_id(asked.call.request_id))
        spans.begin(key.agent_id, key.alias_id, asked.agent["foundationModel"], self.clock.now())
        try:
            async with aclosing(events) as source:  # type: ignore[type-var]  # it is a generator
                async for event in source:
                    spans.take(event)
                    yield event
        except ServiceError as error:
            spans.end(self.clock.now(), error.code)
            await self._keep(asked, spans)
            raise
        spans.end(self.clock.now())
        await self._keep(asked, spans)

    async def _keep(self, asked: Asked, spans: Spans) -> None:
        """That it cannot be told is not the turn's failure."""
        now, key = self.clock.now(), asked.held.key
        at_ms = epoch_ms(now)
        events = [(at_ms, line) for line in told(asked.call, key.label, key.id, spans)]
        group, stream = f"{GROUP}{key.agent_id}", now.strftime("%Y/%m/%d")
        try:
            await self.threads.run(
                key.whose, self.lines.put, key.account, key.label, group, stream, events
            )
        except (ServiceError, Unavailable) as error:
            logger.warning("the trace of a turn is lost: %s", error)


def trace_id(request_id: str) -> str:
    """32 digits, as OpenTelemetry has them: those of the call's own id."""
    digits = request_id.replace("-", "").lower()
    if re.fullmatch("[0-9a-f]{32}", digits):
        return digits
    return hashlib.sha256(request_id.encode()).hexdigest()[:32]


def told(call: Call, label: str, session_id: str, spans: Spans) -> Iterator[str]:
    resource = _attributes({
        "service.name": "bastide", "cloud.region": call.region.name,
        "cloud.account.id": call.principal.account, "bastide.label": label,
    })  # fmt: skip
    scope = {
        "name": "bastide.agents",
        "attributes": _attributes(
            {"gen_ai.conversation.id": session_id, "aws.request_id": call.request_id}
        ),
    }
    for start in range(0, len(spans.spans), LINE_MAX):
        some = [_span(spans.trace_id, one) for one in spans.spans[start : start + LINE_MAX]]
        scoped = [{"scope": scope, "spans": some}]
        document = {"resourceSpans": [{"resource": {"attributes": resource}, "scopeSpans": scoped}]}
        yield json.dumps(document, separators=(",", ":"))


def _span(trace: str, span: Span) -> Params:
    says = {**span.says, **({"error.type": span.error} if span.error else {})}
    asks = str(span.says["gen_ai.operation.name"]) == "chat"
    return {
        "traceId": trace,
        "spanId": span.id,
        **({"parentSpanId": span.parent} if span.parent else {}),
        "name": span.name,
        "kind": _CLIENT if asks else _INTERNAL,
        "startTimeUnixNano": str(_nanos(span.began)),
        "endTimeUnixNano": str(_nanos(span.ended or span.began)),
        "attributes": _attributes(says),
        "status": {"code": _ERROR} if span.error else {},
    }


def _attributes(says: Mapping[str, Value]) -> Sequence[Params]:
    return [{"key": name, "value": _value(value)} for name, value in says.items()]


def _value(value: Value) -> Params:
    if isinstance(value, bool):
        return {"boolValue": value}
    return {"intValue": str(value)} if isinstance(value, int) else {"stringValue": value}


def _nanos(at: datetime) -> int:
    gone = at - _EPOCH
    return ((gone.days * 86_400 + gone.seconds) * 1_000_000 + gone.microseconds) * 1_000
