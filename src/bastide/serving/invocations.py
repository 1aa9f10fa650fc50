"""InvokeEndpoint, whole and as a stream.

https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_runtime_InvokeEndpoint.html
"""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bastide.jobs.ports import Jobs
from bastide.kernel import arns
from bastide.kernel.call import Call
from bastide.kernel.clock import Clock
from bastide.kernel.errors import ServiceError
from bastide.kernel.operation import operation
from bastide.serving.kind import group_name
from bastide.serving.ports import MetricLog
from bastide.serving.routes import Lane, Routes
from bastide.serving.unix_http import Answered, Asked, Connections, NotAnswered, pieces

Params = dict[str, Any]
BODY_SIZE_MAX = 6_291_456
ANSWER_SIZE_MAX = 32 * 1024 * 1024
MESSAGE_CHARS_MAX = 1024
TIMEOUT_S = 60.0
STREAM_TIMEOUT_S = 480.0
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
    connections: Connections
    metrics: MetricLog

    @operation(*_MEMBERS)
    def invoke_endpoint(self, call: Call, req: Params) -> Params:
        asked, lane = _asked(call, req, TIMEOUT_S), self._lane(call, req)
        started = self.clock.monotonic_s()
        with self.routes.replica(self._sockets(lane)) as socket:
            try:
                answer = self.connections.ask(socket, asked, ANSWER_SIZE_MAX)
            except NotAnswered as error:
                self._measure(call, req, lane, started, 500)
                raise _no_answer(call, req, lane, error) from error
        self._measure(call, req, lane, started, answer.status)
        if not 200 <= answer.status < 300:
            raise _model_error(call, req, lane, answer)
        return {"Body": answer.body, **_named(answer.headers, lane)}

    @operation(*_MEMBERS)
    def invoke_endpoint_with_response_stream(self, call: Call, req: Params) -> Params:
        asked, lane = _asked(call, req, STREAM_TIMEOUT_S), self._lane(call, req)
        started = self.clock.monotonic_s()
        with ExitStack() as held:
            socket = held.enter_context(self.routes.replica(self._sockets(lane)))
            status, headers, response = self._opened(held, socket, asked, call, req, lane)
            self._measure(call, req, lane, started, status)
            if not 200 <= status < 300:
                body = response.read(MESSAGE_CHARS_MAX)
                raise _model_error(call, req, lane, Answered(status, headers, body))
            kept = held.pop_all()
        return {"Body": _parts(response, kept), **_named(headers, lane)}

    def _opened(
        self, held: ExitStack, socket: Path, asked: Asked, call: Call, req: Params, lane: Lane
    ) -> tuple[int, dict[str, str], Any]:
        try:
            return held.enter_context(self.connections.open(socket, asked))
        except NotAnswered as error:
            raise _no_answer(call, req, lane, error) from error

    def _lane(self, call: Call, req: Params) -> Lane:
        name = req["EndpointName"]
        route = self.routes.find(call.account, name)
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
            return self.routes.pick(route)
        for lane in route.lanes:
            if lane.name == target:
                return lane
        raise ServiceError(
            "ValidationError", f"Variant {target} not found for endpoint {name}.", status=400
        )

    def _sockets(self, lane: Lane) -> list[Path]:
        sockets = list(self.jobs.sockets(lane.job_id))
        if not sockets:
            raise ServiceError(
                "ServiceUnavailable",
                f"No instance of variant {lane.name} is ready; try again.",
                status=503,
            )
        return sockets

    def _measure(self, call: Call, req: Params, lane: Lane, started_s: float, status: int) -> None:
        """AWS's own names: https://docs.aws.amazon.com/sagemaker/latest/dg/monitoring-cloudwatch.html"""
        dimensions = {"EndpointName": req["EndpointName"], "VariantName": lane.name}
        micros = (self.clock.monotonic_s() - started_s) * 1_000_000
        now = self.clock.now()
        for name, value, unit in (
            ("Invocations", 1.0, "None"),
            ("ModelLatency", micros, "Microseconds"),
            ("Invocation4XXErrors", float(400 <= status < 500), "None"),
            ("Invocation5XXErrors", float(status >= 500), "None"),
        ):
            self.metrics.put(call.account, NAMESPACE, name, dimensions, value, now, unit)


def _asked(call: Call, req: Params, timeout_s: float) -> Asked:
    body = req.get("Body")
    if body is None:
        body = _rest(call)
    if len(body) > BODY_SIZE_MAX:
        raise _too_large()
    headers = {header: req[key] for key, header in _HEADERS.items() if req.get(key)}
    headers["Content-Type"] = req.get("ContentType") or "application/octet-stream"
    headers["Content-Length"] = str(len(body))
    if not all(value.isascii() and value.isprintable() for value in headers.values()):
        raise ServiceError(
            "ValidationError", "A header holds a line break or is not ASCII.", status=400
        )
    return Asked(
        method="POST", path="/invocations", headers=headers, body=bytes(body), timeout_s=timeout_s
    )


def _rest(call: Call) -> bytes:
    data = bytearray()
    while chunk := call.body.read(256 * 1024):
        data += chunk
        if len(data) > BODY_SIZE_MAX:
            raise _too_large()
    return bytes(data)


def _too_large() -> ServiceError:
    return ServiceError(
        "ValidationError", f"Body is larger than {BODY_SIZE_MAX} bytes.", status=413
    )


def _named(headers: Mapping[str, str], lane: Lane) -> Params:
    answer: Params = {
        "ContentType": headers.get("content-type", "application/octet-stream"),
        "InvokedProductionVariant": lane.name,
    }
    if attributes := headers.get("x-amzn-sagemaker-custom-attributes"):
        answer["CustomAttributes"] = attributes[:1024]
    return answer


def _parts(response: Any, kept: ExitStack) -> Iterator[Params]:
    """The connection and the replica are held until the last part, or until nobody reads."""
    with kept:
        try:
            for chunk in pieces(response):
                yield {"PayloadPart": {"Bytes": chunk}}
        except NotAnswered as error:
            code = "StreamBroken" if not error.timed_out else "ModelInvocationTimeExceeded"
            yield {"ModelStreamError": {"Message": str(error), "ErrorCode": code}}


def _model_error(call: Call, req: Params, lane: Lane, answer: Answered) -> ServiceError:
    said = answer.body[: 4 * MESSAGE_CHARS_MAX].decode(errors="replace")[:MESSAGE_CHARS_MAX]
    return _error(call, req, answer.status, said)


def _no_answer(call: Call, req: Params, lane: Lane, error: NotAnswered) -> ServiceError:
    said = f"The container of variant {lane.name} broke off its answer."
    if error.timed_out:
        said = (
            "Your invocation timed out while waiting for a response from container primary. "
            "Review the latency metrics for each container in Amazon CloudWatch, resolve the "
            "issue, and try again."
        )
    return _error(call, req, 0, said)


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
