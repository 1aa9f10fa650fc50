"""InvokeEndpoint, whole and as a stream.

https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_runtime_InvokeEndpoint.html
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bastide.audit.receipts import Draft, Model, Receipts
from bastide.jobs.ports import Jobs
from bastide.jobs.replicas import Answer, Asked, NotAnswered, NotReached, Replicas
from bastide.kernel import arns
from bastide.kernel.call import Call
from bastide.kernel.clock import Clock
from bastide.kernel.errors import ServiceError
from bastide.kernel.operation import operation
from bastide.serving.kind import group_name, model_digest
from bastide.serving.load import Load
from bastide.serving.ports import MetricLog
from bastide.serving.routes import Lane, Routes, pick

Params = dict[str, Any]
SIZE_MAX = 25 * 1024 * 1024  # of a body, and of an answer
MESSAGE_CHARS_MAX = 1024
TIMEOUT_S = 60.0
STREAM_TIMEOUT_S = 480.0
REPLICAS_TRIED_MAX = 3
NAMESPACE = "AWS/SageMaker"
_HEADERS = {
    "Accept": "Accept",
    "CustomAttributes": "X-Amzn-SageMaker-Custom-Attributes",
    "InferenceId": "X-Amzn-SageMaker-Inference-Id",
}
_MEMBERS = (
    "EndpointName", "Body", "ContentType", "Accept", "CustomAttributes", "TargetVariant",
    "InferenceId",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Invocations:
    clock: Clock
    jobs: Jobs
    routes: Routes
    replicas: Replicas
    metrics: MetricLog
    load: Load
    receipts: Receipts

    @operation(*_MEMBERS)
    async def invoke_endpoint(self, call: Call, req: Params) -> Params:
        asked, lane = _asked(req, TIMEOUT_S), await self._lane(call, req)
        started, status, body = self.clock.monotonic_s(), 500, bytearray()
        try:
            with ExitStack() as held, self.load.memory(call.whose) as memory:
                memory.grow(len(asked.body))
                answer = await self._ask(held, asked, lane)
                status = answer.status
                async for piece in answer.pieces():
                    memory.grow(len(piece))
                    body += piece
                    if len(body) > SIZE_MAX:
                        said = f"The answer is larger than {SIZE_MAX} bytes."
                        raise _error(call, req, status, said)
        except NotAnswered as error:
            status = 500
            raise _no_answer(call, req, lane, error) from error
        finally:
            self._measure(call, req, lane, started, status)
        if not 200 <= status < 300:
            raise _model_error(call, req, status, body)
        draft = await self._draft(call, req, lane)
        draft.add(body)
        draft.end(self.clock.monotonic_s() - started)
        draft.promise()
        return {"Body": bytes(body), **_named(answer.headers, lane)}

    @operation(*_MEMBERS)
    async def invoke_endpoint_with_response_stream(self, call: Call, req: Params) -> Params:
        """What is wrong before the first byte is an error of the call, later an event."""
        asked, lane = _asked(req, STREAM_TIMEOUT_S), await self._lane(call, req)
        started, status = self.clock.monotonic_s(), 500
        try:
            with ExitStack() as held:
                held.enter_context(self.load.memory(call.whose)).grow(len(asked.body))
                answer = await self._ask(held, asked, lane)
                status = answer.status
                if not 200 <= status < 300:
                    said = await answer.head(4 * MESSAGE_CHARS_MAX)
                    raise _model_error(call, req, status, said)
                draft = await self._draft(call, req, lane)
                kept = held.pop_all()
        except NotAnswered as error:
            raise _no_answer(call, req, lane, error) from error
        finally:
            self._measure(call, req, lane, started, status)
        draft.promise()

        def ended() -> None:
            draft.end(self.clock.monotonic_s() - started)

        parts = Parts(answer, lane, kept, (draft, ended))
        return {"Body": parts, **_named(answer.headers, lane)}

    async def _ask(self, held: ExitStack, asked: Asked, lane: Lane) -> Answer:
        """The least busy replica, held until the call is over. Another one is asked only where
        the first has not taken the request: then nothing is done twice."""
        for socket in self.load.order(self._sockets(lane))[:REPLICAS_TRIED_MAX]:
            with ExitStack() as place:
                place.enter_context(self.load.call(socket))
                try:
                    answer = await self.replicas.ask(socket, asked)
                except NotReached:
                    continue
                place.callback(answer.close)
                held.enter_context(place.pop_all())
                return answer
        raise _unavailable(lane)

    async def _lane(self, call: Call, req: Params) -> Lane:
        """Of an endpoint at the session's own label alone. What goes in is at the session's label:
        a container at a lower one would be written down to, and run at the join of both it would
        still be the one process that answers lower sessions next, with what it remembers. So it
        is not called: the wall refuses it (policy/walls.py), and nothing here finds it."""
        name = req["EndpointName"]
        key = (call.account, name, call.principal.session.text)
        route = self.routes.known(key)
        if route is None:
            route = await asyncio.to_thread(self.routes.load, key)
        if route is None:
            raise ServiceError(
                "ValidationError", f"Endpoint {name} of account {call.account} not found.",
                status=400,
            )  # fmt: skip
        if not route.lanes:
            raise ServiceError(
                "ValidationError",
                f"Endpoint {name} of account {call.account} is not in service: {route.status}.",
                status=400,
            )
        target = req.get("TargetVariant")
        if not target:
            return pick(route.lanes)
        for lane in route.lanes:
            if lane.name == target:
                return lane
        raise ServiceError(
            "ValidationError", f"Variant {target} not found for endpoint {name}.", status=400
        )

    async def _draft(self, call: Call, req: Params, lane: Lane) -> Draft:
        endpoint = arns.regional(
            call.region, "sagemaker", call.account, f"endpoint/{req['EndpointName'].lower()}"
        )
        if not lane.digest:
            lane.digest = await asyncio.to_thread(model_digest, self.jobs.work(lane.job_id))
        model = Model(name=f"{endpoint}#{lane.name}", digest=lane.digest, cores=lane.cpus)
        return self.receipts.begin(call, model, bytes(req.get("Body") or b""))

    def _sockets(self, lane: Lane) -> list[Path]:
        sockets = list(self.jobs.sockets(lane.job_id))
        if not sockets:
            raise _unavailable(lane)
        return sockets

    def _measure(self, call: Call, req: Params, lane: Lane, started_s: float, status: int) -> None:
        """AWS's own names: https://docs.aws.amazon.com/sagemaker/latest/dg/monitoring-cloudwatch.html"""
        dimensions = {"EndpointName": req["EndpointName"], "VariantName": lane.name}
        micros = (self.clock.monotonic_s() - started_s) * 1_000_000
        now, marking = self.clock.now(), call.principal.session.text
        for name, value, unit in (
            ("Invocations", 1.0, "None"),
            ("ModelLatency", micros, "Microseconds"),
            ("Invocation4XXErrors", float(400 <= status < 500), "None"),
            ("Invocation5XXErrors", float(status >= 500), "None"),
        ):
            self.metrics.put(call.account, marking, NAMESPACE, name, dimensions, value, now, unit)


def _asked(req: Params, timeout_s: float) -> Asked:
    body = req.get("Body") or b""
    if len(body) > SIZE_MAX:
        raise ServiceError("ValidationError", f"Body is larger than {SIZE_MAX} bytes.", status=413)
    headers = {header: req[key] for key, header in _HEADERS.items() if req.get(key)}
    headers["Content-Type"] = req.get("ContentType") or "application/octet-stream"
    if not all(value.isascii() and value.isprintable() for value in headers.values()):
        raise ServiceError(
            "ValidationError", "A header holds a line break or is not ASCII.", status=400
        )
    return Asked(headers=headers, body=bytes(body), timeout_s=timeout_s)


def _unavailable(lane: Lane) -> ServiceError:
    return ServiceError(
        "ServiceUnavailable",
        f"No instance of variant {lane.name} is ready; try again.",
        status=503,
    )


def _named(headers: Mapping[str, str], lane: Lane) -> Params:
    return {
        "ContentType": _printable(headers, "content-type") or "application/octet-stream",
        "InvokedProductionVariant": lane.name,
        **_attributes(_printable(headers, "x-amzn-sagemaker-custom-attributes")),
    }


def _attributes(text: str) -> Params:
    return {"CustomAttributes": text[:1024]} if text else {}


def _printable(headers: Mapping[str, str], name: str) -> str:
    """A replica may say anything; what no header can hold is left out."""
    text = headers.get(name, "")
    return text if text.isascii() and text.isprintable() else ""


class Parts:
    """The events of a streamed answer. At its end, or when it is closed before, the replica is
    free: also when nobody ever asked for the first event."""

    def __init__(
        self,
        answer: Answer,
        lane: Lane,
        held: ExitStack,
        receipt: tuple[Draft, Callable[[], None]],
    ) -> None:
        """`receipt`, and what to call when the last part is there."""
        self._lane = lane
        self._draft, self._ended = receipt
        self._pieces: AsyncGenerator[bytes, None] = answer.pieces()
        self._held = held

    def __aiter__(self) -> "Parts":
        return self

    async def __anext__(self) -> Params:
        with ExitStack() as ending:
            ending.callback(self._held.close)  # its end, a failure or a cancellation: all end it
            try:
                piece = await self._pieces.__anext__()
            except StopAsyncIteration:
                self._ended()
                raise
            except NotAnswered as error:
                code = "ModelInvocationTimeExceeded" if error.timed_out else "StreamBroken"
                raise ServiceError(
                    "ModelStreamError", _broke_off(self._lane), members={"ErrorCode": code}
                ) from error
            ending.pop_all()
        self._draft.add(piece)
        return {"PayloadPart": {"Bytes": piece}}

    async def aclose(self) -> None:
        self._held.close()
        await self._pieces.aclose()


def _model_error(call: Call, req: Params, status: int, body: bytes | bytearray) -> ServiceError:
    said = body[: 4 * MESSAGE_CHARS_MAX].decode(errors="replace")[:MESSAGE_CHARS_MAX]
    return _error(call, req, status, said)


def _no_answer(call: Call, req: Params, lane: Lane, error: NotAnswered) -> ServiceError:
    said = _broke_off(lane)
    if error.timed_out:
        said = (
            "Your invocation timed out while waiting for a response from container primary. "
            "Review the latency metrics for each container in Amazon CloudWatch, resolve the "
            "issue, and try again."
        )
    return _error(call, req, 0, said)


def _broke_off(lane: Lane) -> str:
    return f"The container of variant {lane.name} broke off its answer."


def _error(call: Call, req: Params, status: int, said: str) -> ServiceError:
    side = "client" if 400 <= status < 500 else "server"
    group = group_name(req["EndpointName"])
    return ServiceError(
        "ModelError",
        f'Received {side} error ({status}) from primary with message "{said}". See the log group '
        f"{group} in account {call.account} for more information.",
        status=424,
        members={
            "OriginalStatusCode": status,
            "OriginalMessage": said,
            "LogStreamArn": arns.regional(call.region, "logs", call.account, f"log-group:{group}"),
        },
    )
