"""Errors onto the wire, in each protocol's own form.

Sources: https://smithy.io/2.0/aws/protocols/ and
https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
"""

import json

from bastide.kernel.errors import ServiceError
from bastide.wire import cbor
from bastide.wire.model import Operation
from bastide.wire.serialize_values import xml_text
from bastide.wire.types import RawResponse

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


def status_of(operation: Operation | None, error: ServiceError) -> int:
    """The error's own status, else its shape's, else a known code's, else 400."""
    if error.status is not None:
        return error.status
    if operation is not None:
        shape = operation.errors.get(error.code)
        if shape is not None:
            modelled = shape.metadata.get("error", {}).get("httpStatusCode")
            if modelled:
                return int(modelled)
            if shape.metadata.get("fault"):
                return 500
    return STATUS.get(error.code, 400)


def serialize_error(
    operation: Operation | None,
    protocol: str,
    error: ServiceError,
    request_id: str,
    *,
    is_head: bool = False,
) -> RawResponse:
    """The answer that a client of `protocol` reads as `error`."""
    status = status_of(operation, error)
    code = _wire_code(operation, error.code)
    if protocol == "rest-xml":
        return _s3(status, error, request_id, is_head=is_head)
    if protocol == "query":
        return _query(operation, status, code, error, request_id)
    if protocol == "smithy-rpc-v2-cbor":
        return _cbor(operation, status, code, error, request_id)
    return _json(operation, protocol, status, code, error, request_id)


def _wire_code(operation: Operation | None, code: str) -> str:
    """The code as the model spells it: clients look for `error.code`, not for the shape's name."""
    if operation is not None and operation.service.protocols == ("query",):
        shape = operation.errors.get(code)
        if shape is not None:
            return str(shape.error_code)
    return code


def _members(error: ServiceError) -> dict[str, object]:
    return {key: value for key, value in error.members.items() if value is not None}


def _json(
    operation: Operation | None,
    protocol: str,
    status: int,
    code: str,
    error: ServiceError,
    request_id: str,
) -> RawResponse:
    kind = "application/json" if protocol == "rest-json" else "application/x-amz-json-1.1"
    headers = [
        ("content-type", kind),
        ("x-amzn-errortype", code),
        ("x-amzn-requestid", request_id),
    ]
    body: dict[str, object] = {"__type": code, "message": error.message}
    if operation is not None:
        shape = operation.errors.get(error.code)
        if shape is not None and "Message" in shape.members:
            body["Message"] = body.pop("message")
        if operation.service.query_compatible:
            fault = "Receiver" if status >= 500 else "Sender"
            headers.append(("x-amzn-query-error", f"{_query_code(operation, error)};{fault}"))
    body |= _members(error)
    return RawResponse(
        status=status, headers=tuple(headers), body=json.dumps(body, default=str).encode()
    )


def _query_code(operation: Operation, error: ServiceError) -> str:
    shape = operation.errors.get(error.code)
    return str(shape.metadata.get("error", {}).get("code", error.code)) if shape else error.code


def _cbor(
    operation: Operation | None, status: int, code: str, error: ServiceError, request_id: str
) -> RawResponse:
    headers = [
        ("content-type", "application/cbor"),
        ("smithy-protocol", "rpc-v2-cbor"),
        ("x-amzn-requestid", request_id),
    ]
    if operation is not None and operation.service.query_compatible:
        fault = "Receiver" if status >= 500 else "Sender"
        headers.append(("x-amzn-query-error", f"{_query_code(operation, error)};{fault}"))
    shape = operation.errors.get(error.code) if operation else None
    name = shape.name if shape is not None else code
    body = {"__type": f"com.amazonaws#{name}", "message": error.message, **_members(error)}
    return RawResponse(status=status, headers=tuple(headers), body=cbor.dumps(body))


def _query(
    operation: Operation | None, status: int, code: str, error: ServiceError, request_id: str
) -> RawResponse:
    space = operation.service.xml_namespace if operation else ""
    fault = "Receiver" if status >= 500 else "Sender"
    extra = "".join(
        f"<{key}>{xml_text(str(value))}</{key}>" for key, value in _members(error).items()
    )
    body = (
        f'<ErrorResponse xmlns="{space}"><Error><Type>{fault}</Type><Code>{xml_text(code)}</Code>'
        f"<Message>{xml_text(error.message)}</Message>{extra}</Error>"
        f"<RequestId>{request_id}</RequestId></ErrorResponse>"
    )
    headers = (("content-type", "text/xml"), ("x-amzn-requestid", request_id))
    return RawResponse(status=status, headers=headers, body=body.encode())


def _s3(status: int, error: ServiceError, request_id: str, *, is_head: bool) -> RawResponse:
    headers = (
        ("content-type", "application/xml"),
        ("x-amz-request-id", request_id),
        ("x-amz-id-2", request_id),
    )
    if is_head or status == 304:
        return RawResponse(status=status, headers=headers[1:], body=b"")
    extra = "".join(
        f"<{key}>{xml_text(str(value))}</{key}>" for key, value in _members(error).items()
    )
    body = (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{xml_text(error.code)}</Code>'
        f"<Message>{xml_text(error.message)}</Message>{extra}"
        f"<RequestId>{request_id}</RequestId><HostId>{request_id}</HostId></Error>"
    )
    return RawResponse(status=status, headers=headers, body=body.encode())
