"""What must hold of HTTP itself before anything is read: against smuggling and ambiguity.

httptools refuses CL beside TE, obs-fold, bare LF and the like; the rest is refused here
(reference: RFC 9112; the corpus of tests/wire/gateway says which part refuses what).
"""

import asyncio
from collections import Counter
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_SIZE_MAX = 64 * 1024
HEAD_FED_MAX = 2 * HEAD_SIZE_MAX
HEADERS_MAX = 200
HEAD_TIMEOUT_S = 30.0
PIPELINE_MAX = 8
DRAINED_MAX = 4 * 1024 * 1024
# Fields that decide nothing here. Any other is given once: whoever signs `a: 1,2` could else find
# that it was read as `1` (RFC 9110, 5.3, lets a proxy join and split them).
REPEATABLE = (b"accept", b"cache-control", b"cookie", b"forwarded", b"via", b"x-forwarded-")
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"})


class StrictProtocol(HttpToolsProtocol):
    """uvicorn's httptools protocol with bounds on the head, in size and in time; origin-form
    targets only; no trailer fields (llhttp would hand them on as headers)."""

    head_size = 0  # of the fields that are complete
    head_fed = 0  # bytes received while a head is incomplete
    drained = 0  # bytes of a body that came after its answer
    in_head = True
    head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_head_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self.parser is None or self.transport.is_closing():
            return  # what follows a request that was refused is no request
        if self.in_head and self.head_timer is None:
            self._await_head()
        self.head_fed += len(data)
        super().data_received(data)
        if not self.in_head:
            self.head_fed = 0
        if self.head_fed > HEAD_FED_MAX and not self.transport.is_closing():
            self.send_400_response("The head of the request is too large.")

    def on_message_begin(self) -> None:
        if len(self.pipeline) >= PIPELINE_MAX:
            raise ValueError("too many requests at once")
        self.in_head, self.head_size, self.drained = True, 0, 0
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
        self._stop_head_timer()
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        if self.cycle.response_complete:
            self.drained += len(body)
            if self.drained > DRAINED_MAX:
                self.transport.close()
        super().on_body(body)

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self.in_head, self.head_fed = True, 0

    def _count(self, size: int) -> None:
        self.head_size += size
        if self.head_size > HEAD_SIZE_MAX or len(self.headers) > HEADERS_MAX:
            raise ValueError("the head of the request is too large")

    def _await_head(self) -> None:
        self.head_timer = self.loop.call_later(HEAD_TIMEOUT_S, self.timeout_keep_alive_handler)

    def _stop_head_timer(self) -> None:
        if self.head_timer is not None:
            self.head_timer.cancel()
            self.head_timer = None


def fault(scope: dict[str, Any]) -> str:
    """What is wrong with a request's head; "" for nothing."""
    if scope.get("http_version") != "1.1":
        return "HTTP/1.1 is spoken here."
    if scope["method"] not in METHODS:
        return "The method is not known."
    fields = Counter(name for name, _ in scope["headers"])
    if fields[b"host"] != 1:
        return "A request has exactly one Host."
    for name, count in fields.items():
        if count > 1 and not name.startswith(REPEATABLE):
            return f"{name.decode('latin-1')[:64]} is given twice."
    coding = next((value for name, value in scope["headers"] if name == b"transfer-encoding"), None)
    if coding is not None and coding.lower() != b"chunked":
        return "Transfer-Encoding is chunked, or is not there."
    if coding is not None and b"content-length" in fields:
        return "Transfer-Encoding and Content-Length exclude each other."
    return ""
