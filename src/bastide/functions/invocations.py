"""lambda: Invoke.

Source: https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html
"""

import json
from dataclasses import dataclass

from bastide.functions.invoking import Invoking, tail_of
from bastide.functions.model import LATEST, Params
from bastide.functions.ports import Threads
from bastide.functions.shelf import Shelf
from bastide.kernel.call import Call
from bastide.kernel.errors import ServiceError, unsupported
from bastide.kernel.operation import operation

PAYLOAD_MAX = 6_291_456  # bytes of an event, as AWS counts them


@dataclass(frozen=True, slots=True, kw_only=True)
class Invocations:
    shelf: Shelf
    invoking: Invoking
    threads: Threads

    @operation("FunctionName", "InvocationType", "LogType", "Payload", "Qualifier")
    async def invoke(self, call: Call, req: Params) -> Params:
        kind = req.get("InvocationType") or "RequestResponse"
        if kind not in ("RequestResponse", "DryRun"):
            raise unsupported(call.operation, f"InvocationType={kind}")
        return await self.threads.run(call.whose, self._invoke, call, req, kind)

    def _invoke(self, call: Call, req: Params, kind: str) -> Params:
        one = self.shelf.found(call, req["FunctionName"], req.get("Qualifier") or "")
        call.notes.label = self.shelf.marks.own(call.principal)  # it has read what it was sent
        if kind == "DryRun":
            self.invoking.check(call.principal, one)
            return {"StatusCode": 204}
        payload = bytes(req.get("Payload") or b"{}")
        _check(payload)
        ran = self.invoking.run(call.principal, one, payload, call.request_id)
        answer: Params = {"StatusCode": 200, "ExecutedVersion": LATEST, "Payload": ran.answer}
        if ran.failure:
            answer["FunctionError"] = "Unhandled"
        if req.get("LogType") == "Tail":
            answer["LogResult"] = tail_of(ran)
        return answer


def _check(payload: bytes) -> None:
    if len(payload) > PAYLOAD_MAX:
        message = f"{len(payload)} byte payload is too large for the RequestResponse invocation type (limit {PAYLOAD_MAX} bytes)"  # noqa: E501
        raise ServiceError("RequestTooLargeException", message, status=413)
    try:
        json.loads(payload)
    except (ValueError, RecursionError):
        message = "Could not parse request body into json."
        raise ServiceError("InvalidRequestContentException", message) from None
