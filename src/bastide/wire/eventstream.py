"""AWS event streams out: one binary frame for each event, sent as it comes.

A frame is a prelude (total length, headers length, CRC32 of both), headers, payload and the CRC32
of all that. Source: https://smithy.io/2.0/aws/amazon-eventstream.html
"""

import json
import struct
import zlib
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from functools import lru_cache
from typing import Any

from bastide.kernel.errors import ServiceError, Unavailable
from bastide.wire.model import Shape

STRING = 7
Frame = bytes


@lru_cache(maxsize=1024)
def _headers(pairs: tuple[tuple[str, str], ...]) -> bytes:
    out = bytearray()
    for name, value in pairs:
        raw = value.encode()
        out += bytes([len(name)]) + name.encode() + bytes([STRING])
        out += struct.pack(">H", len(raw)) + raw
    return bytes(out)


def frame(headers: Mapping[str, str], payload: bytes) -> Frame:
    """One message: headers of type string, and its payload."""
    return _framed(_headers(tuple(headers.items())), payload)


def _framed(head: bytes, payload: bytes) -> Frame:
    prelude = struct.pack(">II", len(head) + len(payload) + 16, len(head))
    prelude += struct.pack(">I", zlib.crc32(prelude))
    message = prelude + head + payload
    return message + struct.pack(">I", zlib.crc32(message))


def event(name: str, content_type: str, payload: bytes) -> Frame:
    return _framed(_event_head(name, content_type), payload)


def _event_head(name: str, content_type: str) -> bytes:
    return _headers(
        ((":event-type", name), (":content-type", content_type), (":message-type", "event"))
    )


def exception(name: str, members: Mapping[str, object]) -> Frame:
    headers = {
        ":exception-type": name,
        ":content-type": "application/json",
        ":message-type": "exception",
    }
    return frame(headers, json.dumps(members).encode())


def initial_response(payload: bytes) -> Frame:
    """The first message of a json protocol's stream: the output's other members."""
    return event("initial-response", "application/x-amz-json-1.1", payload)


class EventWriter:
    """Writes the events of one output member: `{"contentBlockDelta": {…}}` → a frame."""

    def __init__(self, union: Shape, body_of: Callable[[Shape], Callable[[Any], bytes]]) -> None:
        self._writers: dict[str, Callable[[Any], Frame]] = {}
        self._exceptions: dict[str, str] = {}
        self._messages: dict[str, str] = {}  # how each exception spells its message
        for name, shape in union.members.items():
            if shape.metadata.get("exception"):
                spelled = [key for key in shape.members if key.lower() == "message"]
                self._messages[name] = spelled[0] if spelled else "message"
                self._exceptions[shape.name] = name
                self._exceptions[shape.error_code if shape.type_name == "structure" else name] = (
                    name
                )
            self._writers[name] = _event_writer(name, shape, body_of)

    def write(self, given: Mapping[str, Any]) -> Frame:
        (name, value), *rest = given.items()
        assert not rest, "an event has exactly one member"
        return self._writers[name](value)

    def failed(self, error: ServiceError | Unavailable) -> Frame:
        """How a stream that has begun tells that it cannot go on."""
        if isinstance(error, Unavailable):
            error = ServiceError("ServiceUnavailableException", "The service is not available now.")
        name = self._exceptions.get(error.code, error.code)
        said = self._messages.get(name, "message")
        return exception(name, {said: error.message, **error.members})

    def frames(self, events: Iterator[Mapping[str, Any]]) -> Iterator[Frame]:
        try:
            for one in events:
                yield self.write(one)
        except (ServiceError, Unavailable) as error:
            yield self.failed(error)

    async def frames_async(self, events: AsyncIterator[Mapping[str, Any]]) -> AsyncIterator[Frame]:
        try:
            async for one in events:
                yield self.write(one)
        except (ServiceError, Unavailable) as error:
            yield self.failed(error)
        finally:
            close = getattr(events, "aclose", None)
            if close is not None:
                await close()


def _event_writer(
    name: str, shape: Shape, body_of: Callable[[Shape], Callable[[Any], bytes]]
) -> Callable[[Any], Frame]:
    """An event whose payload is one raw member, or one whose members are a document."""
    for member_name, member in shape.members.items():
        if member.serialization.get("eventpayload"):
            return _payload_writer(name, member_name, member, body_of)
    write, head = body_of(shape), _event_head(name, "application/json")
    return lambda value: _framed(head, write(value))


def _payload_writer(
    name: str, member_name: str, member: Shape, body_of: Callable[[Shape], Callable[[Any], bytes]]
) -> Callable[[Any], Frame]:
    if member.type_name == "blob":
        return lambda value: event(name, "application/octet-stream", value.get(member_name, b""))
    if member.type_name == "string":
        return lambda value: event(name, "text/plain", value.get(member_name, "").encode())
    write = body_of(member)
    return lambda value: event(name, "application/json", write(value.get(member_name, {})))
