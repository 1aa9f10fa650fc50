"""Errors onto the wire, in each protocol's own form.

Sources: https://smithy.io/2.0/aws/protocols/ and
https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from bastide.kernel.errors import ServiceError
from bastide.wire import cbor, dialects
from bastide.wire.mantle import DIALECTS
from bastide.wire.model import Operation, Shape
from bastide.wire.route import CBOR
from bastide.wire.serialize_values import plain_text, xml_text
from bastide.wire.types import Headers, RawResponse

STATUS = {
    "AccessDenied": 403,
    "AccessDeniedException": 403,
    "ExpiredToken": 403,
    "ExpiredTokenException": 403,
    "IncompleteSignature": 403,
    "InternalError": 500,
    "InternalFailure": 500,
    "InvalidAccessKeyId": 403,
    "InvalidClientTokenId": 403,
    "InvalidSignatureException": 403,
    "MethodNotAllowed": 405,
    "MissingAuthenticationTokenException": 403,
    "RequestTimeTooSkewed": 403,
    "ServiceUnavailable": 503,
    "ServiceUnavailableException": 503,
    "SignatureDoesNotMatch": 403,
    "SlowDown": 503,
    "ThrottlingException": 429,
    "UnknownOperationException": 404,
    "UnrecognizedClientException": 403,
    "UnsupportedOperation": 501,
}


@dataclass(frozen=True, slots=True)
class _Told:
    """An error, and what its operation's model says of it."""

    operation: Operation | None
    error: ServiceError
    request_id: str

    @property
    def shape(self) -> Shape | None:
        return self.operation.error(self.error.code) if self.operation is not None else None

    @property
    def status(self) -> int:
        """The error's own status, else its shape's, else a known code's, else 400."""
        if self.error.status is not None:
            return self.error.status
        if self.shape is not None:
            modelled = self.shape.metadata.get("error", {}).get("httpStatusCode")
            if modelled or self.shape.metadata.get("fault"):
                return int(modelled or 500)
        return STATUS.get(self.error.code, 400)

    @property
    def name(self) -> str:
        """The shape's name: what JSON and CBOR call the error."""
        return self.shape.name if self.shape is not None else self.error.code

    @property
    def code(self) -> str:
        """What the query protocol calls it, which may differ: NoSuchEntity for
        NoSuchEntityException."""
        return str(self.shape.error_code) if self.shape is not None else self.error.code

    @property
    def fault(self) -> str:
        return "Receiver" if self.status >= 500 else "Sender"

    @property
    def members(self) -> Mapping[str, object]:
        return {key: value for key, value in self.error.members.items() if value is not None}

    def elements(self, text: Callable[[str], str]) -> str:
        return "".join(f"<{key}>{text(str(value))}</{key}>" for key, value in self.members.items())

    def headers(self, content_type: str, *more: tuple[str, str]) -> Headers:
        """With the query protocol's code for clients that were written for that one."""
        found = (("content-type", content_type), ("x-amzn-requestid", self.request_id), *more)
        if self.operation is not None and self.operation.service.query_compatible:
            return (*found, ("x-amzn-query-error", f"{self.code};{self.fault}"))
        return found


def serialize_error(
    operation: Operation | None,
    protocol: str,
    error: ServiceError,
    request_id: str,
    *,
    is_head: bool = False,
) -> RawResponse:
    """The answer that a client of `protocol` reads as `error`."""
    told = _Told(operation, error, request_id)
    if protocol == "rest-xml":
        return _s3(told, is_head=is_head)
    if protocol == "query":
        return _query(told)
    if protocol == CBOR:
        return _cbor(told)
    if protocol in DIALECTS:
        return dialects.refused(protocol, error, told.status, request_id)
    return _json(told, protocol)


def _json(told: _Told, protocol: str) -> RawResponse:
    service = told.operation.service if told.operation is not None else None
    version = service.json_version if service is not None else "1.1"
    is_rest = protocol == "rest-json"
    kind = "application/json" if is_rest else f"application/x-amz-json-{version}"
    key = "Message" if told.shape is not None and "Message" in told.shape.members else "message"
    body = {"__type": told.name, key: told.error.message, **told.members}
    return RawResponse(
        status=told.status,
        headers=told.headers(kind, ("x-amzn-errortype", told.name)),
        body=json.dumps(body, default=str).encode(),
    )


def _cbor(told: _Told) -> RawResponse:
    body = {
        "__type": f"com.amazonaws#{told.name}",
        "message": told.error.message,
        **told.members,
    }
    headers = told.headers("application/cbor", ("smithy-protocol", "rpc-v2-cbor"))
    return RawResponse(status=told.status, headers=headers, body=cbor.dumps(body))


def _query(told: _Told) -> RawResponse:
    space = told.operation.service.xml_namespace if told.operation is not None else ""
    body = (
        f'<ErrorResponse xmlns="{space}"><Error><Type>{told.fault}</Type>'
        f"<Code>{plain_text(told.code)}</Code><Message>{plain_text(told.error.message)}</Message>"
        f"{told.elements(plain_text)}</Error><RequestId>{told.request_id}</RequestId></ErrorResponse>"
    )
    headers = (("content-type", "text/xml"), ("x-amzn-requestid", told.request_id))
    return RawResponse(status=told.status, headers=headers, body=body.encode())


def _s3(told: _Told, *, is_head: bool) -> RawResponse:
    headers = (
        ("content-type", "application/xml"),
        ("x-amz-request-id", told.request_id),
        ("x-amz-id-2", told.request_id),
    )
    if is_head or told.status == 304:
        return RawResponse(status=told.status, headers=headers[1:], body=b"")
    body = (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{xml_text(told.error.code)}</Code>'
        f"<Message>{xml_text(told.error.message)}</Message>{told.elements(xml_text)}"
        f"<RequestId>{told.request_id}</RequestId><HostId>{told.request_id}</HostId></Error>"
    )
    return RawResponse(status=told.status, headers=headers, body=body.encode())
