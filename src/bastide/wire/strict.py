"""What must hold of HTTP itself before anything is read: against smuggling, ambiguity and clients
that hold a connection for nothing.

httptools refuses CL beside TE, obs-fold, bare LF and the like; the rest is refused here
(reference: RFC 9112; the corpus of tests/wire/gateway says which part refuses what). How slowly a
body may come while it is waited for is `arrival.py`'s affair.
"""

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_SIZE_MAX = 64 * 1024
HEAD_FED_MAX = 2 * HEAD_SIZE_MAX
HEADERS_MAX = 200
HEAD_TIMEOUT_S = 30.0
LINGER_S = 5.0
STALL_S = 60.0  # an answer that nobody reads
PIPELINE_MAX = 8
DRAINED_MAX = 16 * 1024 * 1024
HELD_MAX = 16 * 1024  # what one record of TLS takes
# Fields that decide nothing here. Any other is given once: whoever signs `a: 1,2` could else find
# that it was read as `1` (RFC 9110, 5.3, lets a proxy join and split them).
REPEATABLE = (b"accept", b"cache-control", b"cookie", b"forwarded", b"via", b"x-forwarded-")
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"})


class StrictProtocol(HttpToolsProtocol):
    """uvicorn's httptools protocol with bounds on the head, in size and in time; origin-form
    targets only; no trailer fields (llhttp would hand them on as headers). A connection is kept
    only behind a request that came whole."""

    head_size = 0  # of the fields that are complete
    head_fed = 0  # bytes received while a head is incomplete
    drained = 0  # bytes that came after the last answer
    in_head = True
    is_too_large = False  # the head
    keeps = True  # the connection, once the request is whole
    parting = False
    held = b""  # of answers, until this turn of the loop is over
    timer: asyncio.TimerHandle | None = None
    stall: asyncio.TimerHandle | None = None
    _gone: Callable[[], None] | None = None
    _is_gone = False

    def when_gone(self, told: Callable[[], None]) -> None:
        """Call `told` when the connection is lost, which may be now."""
        self._gone = told
        if self._is_gone:
            told()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._await(HEAD_TIMEOUT_S)

    def connection_lost(self, exc: Exception | None) -> None:
        self._is_gone = True
        self._stop_timer()
        super().connection_lost(exc)
        if self._gone is not None:
            self._gone()

    def data_received(self, data: bytes) -> None:
        if self.parser is None or self.transport.is_closing():
            return
        if self.parting:  # what follows the last answer is no request
            self.drained += len(data)
            if self.drained > DRAINED_MAX:
                self.transport.abort()
            return
        self.head_fed += len(data)
        super().data_received(data)
        if not self.in_head:
            self.head_fed = 0
        elif self.head_fed > HEAD_FED_MAX and not self.parting:
            self.is_too_large = True
            self.send_400_response("")
        elif self.timer is None and self.head_fed:
            self._await(HEAD_TIMEOUT_S)

    def on_message_begin(self) -> None:
        if len(self.pipeline) >= PIPELINE_MAX:
            raise ValueError("too many requests at once")
        self.in_head, self.head_size = True, 0
        self.head_fed = max(1, self.head_fed)  # it may begin behind another request's end
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self.in_head:
            raise ValueError("no trailer fields are taken")
        self._count(len(name) + len(value) + 4)
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        if not self.url.startswith(b"/") or b"#" in self.url:
            raise ValueError("only origin-form targets are taken")
        self.in_head = False
        self._stop_timer()
        super().on_headers_complete()
        cycle = self.cycle
        self.keeps, cycle.keep_alive = cycle.keep_alive, False
        cycle.transport = _Parting(self)  # type: ignore[assignment]  # all that a cycle asks of one

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self.in_head, self.head_fed = True, 0
        if not self.cycle.response_started:
            self.cycle.keep_alive = self.keeps
            self.cycle.transport = _Staying(self)  # type: ignore[assignment]  # as above

    def on_response_complete(self) -> None:
        if not self.parting:
            super().on_response_complete()

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no HTTP. Whose protocol it was to be is not known; S3's is plain."""
        code = "BadRequest"
        if self.is_too_large:
            code = "RequestHeaderSectionTooLarge"
            msg = "Your request header and query parameters exceed the maximum allowed size."
        body = f"<Error><Code>{code}</Code><Message>{msg}</Message></Error>".encode()
        head = (
            b"HTTP/1.1 400 Bad Request\r\ncontent-type: application/xml\r\n"
            b"connection: close\r\ncontent-length: %d\r\n\r\n"
        )
        self.send(head % len(body) + body)
        self.part()

    def part(self) -> None:
        """Close soon. To close on bytes that nobody has read resets the connection, and can take
        the answer from a client that is still sending (RFC 9112, 9.6)."""
        self.flush()
        self.parting = True
        self._unset_keepalive_if_required()
        self._await(LINGER_S)
        self.flow.resume_reading()
        if self.transport.can_write_eof():
            self.transport.write_eof()

    def send(self, data: bytes) -> None:
        """A head goes out with the body that follows it in the same turn of the loop, as one
        record of TLS and one packet."""
        if not self.held:
            self.loop.call_soon(self.flush)
        self.held += data
        if len(self.held) > HELD_MAX:
            self.flush()

    def flush(self) -> None:
        held, self.held = self.held, b""
        if held and not self.transport.is_closing():
            self.transport.write(held)

    def shutdown(self) -> None:
        self.keeps = False
        if self.cycle is None or self.cycle.response_complete or self.parting:
            self._hang_up()
        else:
            self.cycle.keep_alive = False

    def timeout_keep_alive_handler(self) -> None:
        self._hang_up()

    def pause_writing(self) -> None:
        super().pause_writing()
        self.stall = self.loop.call_later(STALL_S, self.transport.abort)

    def resume_writing(self) -> None:
        self._stop_stall()
        super().resume_writing()

    def _count(self, size: int) -> None:
        self.head_size += size
        if self.head_size > HEAD_SIZE_MAX or len(self.headers) > HEADERS_MAX:
            self.is_too_large = True
            raise ValueError("the head of the request is too large")

    def _hang_up(self) -> None:
        """Nothing is owed. TLS is told, but its answer, which an idle client never sends, is not
        waited for."""
        self.flush()
        self.transport.close()
        self.loop.call_soon(self.transport.abort)

    def _await(self, seconds: float) -> None:
        self._stop_timer()
        self.timer = self.loop.call_later(seconds, self._hang_up)

    def _stop_timer(self) -> None:
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None

    def _stop_stall(self) -> None:
        if self.stall is not None:
            self.stall.cancel()
            self.stall = None


class _Staying:
    """The transport of a cycle."""

    __slots__ = ("_protocol",)

    def __init__(self, protocol: StrictProtocol) -> None:
        self._protocol = protocol

    def write(self, data: bytes) -> None:
        self._protocol.send(data)

    def is_closing(self) -> bool:
        return self._protocol.transport.is_closing()

    def close(self) -> None:
        self._protocol.flush()
        self._protocol.transport.close()


class _Parting(_Staying):
    """That of a request whose body is still coming: its end is the connection's."""

    __slots__ = ()

    def close(self) -> None:
        self._protocol.part()


def fault(scope: dict[str, Any]) -> str:
    """What is wrong with a request's head; "" for nothing."""
    if scope.get("http_version") != "1.1":
        return "HTTP/1.1 is spoken here."
    if scope["method"] not in METHODS:
        return "The method is not known."
    names = [name for name, _ in scope["headers"]]
    if names.count(b"host") != 1:
        return "A request has exactly one Host."
    if len(set(names)) < len(names):
        for name, count in Counter(names).items():
            if count > 1 and not name.startswith(REPEATABLE):
                return f"{name.decode('latin-1')[:64]} is given twice."
    if b"transfer-encoding" not in names:
        return ""
    coding = next(value for name, value in scope["headers"] if name == b"transfer-encoding")
    if coding.lower() != b"chunked":
        return "Transfer-Encoding is chunked, or is not there."
    if b"content-length" in names:
        return "Transfer-Encoding and Content-Length exclude each other."
    return ""
