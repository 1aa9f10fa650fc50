"""Answers in OpenAI's and in Anthropic's words: JSON, server-sent events, and errors.

Sources: https://platform.openai.com/docs/guides/error-codes and
https://docs.anthropic.com/en/api/errors; both clients choose their exception by the HTTP status.
"""

import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

from bastide.kernel.errors import ServiceError, Unavailable
from bastide.wire.mantle import ANTHROPIC
from bastide.wire.types import Headers, RawResponse

JSON = "application/json"
EVENT_STREAM = "text/event-stream; charset=utf-8"
UNKNOWN_KEY = frozenset({
    "ExpiredTokenException", "IncompleteSignature", "InvalidSignatureException",
    "MissingAuthenticationTokenException", "UnrecognizedClientException",
})  # fmt: skip
# A status that the clients would answer by asking again, of what will not be otherwise then.
_FINAL = {"UnsupportedOperation": 400, "ModelErrorException": 500, "ModelTimeoutException": 504}
_OPENAI_CODES = {401: "invalid_api_key", 404: "not_found", 429: "rate_limit_exceeded"}
_ANTHROPIC_TYPES = {
    400: "invalid_request_error", 401: "authentication_error", 403: "permission_error",
    404: "not_found_error", 413: "request_too_large", 429: "rate_limit_error",
    503: "overloaded_error", 504: "timeout_error",
}  # fmt: skip
_dumps = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode


def answered(dialect: str, output: Mapping[str, Any], status: int, request_id: str) -> RawResponse:
    """`output` has a `body`, or the `events` of an answer that streams."""
    if "events" in output:
        headers = (*_headers(EVENT_STREAM, request_id), ("cache-control", "no-store"))
        frames = _frames(dialect, output["events"], request_id)
        return RawResponse(status=status, headers=headers, body=frames)
    body = _encoded(_dumps(output["body"]))
    return RawResponse(status=status, headers=_headers(JSON, request_id), body=body)


def refused(dialect: str, error: ServiceError, status: int, request_id: str) -> RawResponse:
    status = 401 if error.code in UNKNOWN_KEY else _FINAL.get(error.code, status)
    body = _encoded(_dumps(_told(dialect, error, status, request_id)))
    headers = (*_headers(JSON, request_id), ("x-amzn-errortype", error.code))
    return RawResponse(status=status, headers=headers, body=body)


def _headers(kind: str, request_id: str) -> Headers:
    """Each of the three clients reads the id under a name of its own."""
    names = ("x-amzn-requestid", "x-request-id", "request-id")
    return (("content-type", kind), *((name, request_id) for name in names))


def _told(dialect: str, error: ServiceError, status: int, request_id: str) -> dict[str, Any]:
    if dialect == ANTHROPIC:
        kind = _ANTHROPIC_TYPES.get(status)
        kind = kind or ("invalid_request_error" if status < 500 else "api_error")
        found = {"type": kind, "message": error.message}
        return {"type": "error", "error": found, "request_id": request_id}
    code = "unsupported" if error.code == "UnsupportedOperation" else _OPENAI_CODES.get(status)
    kind = "invalid_request_error" if status < 500 else "server_error"
    return {"error": {"message": error.message, "type": kind, "param": None, "code": code}}


async def _frames(
    dialect: str, events: AsyncIterator[Any], request_id: str
) -> AsyncIterator[bytes]:
    """What goes wrong under way is the last event."""
    try:
        async for event in events:
            yield _frame(event)
    except (ServiceError, Unavailable) as error:
        if isinstance(error, Unavailable):
            error = ServiceError("ServiceUnavailableException", "The service is not available now.")
        yield _frame(_told(dialect, error, 500, request_id))
    finally:
        close = getattr(events, "aclose", None)
        if close is not None:
            await close()


def _frame(event: Any) -> bytes:
    """An event with a type is named by it; one that is text is the text: OpenAI's `[DONE]`."""
    if isinstance(event, str):
        return f"data: {event}\n\n".encode()
    name = f"event: {event['type']}\n" if "type" in event else ""
    return _encoded(f"{name}data: {_dumps(event)}\n\n")


def _encoded(text: str) -> bytes:
    """A model may cut a character in two; half of one is no text."""
    return text.encode("utf-8", "replace")
