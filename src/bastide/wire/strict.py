"""What must hold of HTTP itself before anything is read: against smuggling and ambiguity.

httptools refuses CL beside TE, obs-fold, bare LF and the like; the rest is refused here
(reference: RFC 9112; the corpus of tests/wire/gateway says which part refuses what).
"""

from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_SIZE_MAX = 64 * 1024
HEADERS_MAX = 200
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"})


class StrictProtocol(HttpToolsProtocol):
    """uvicorn's httptools protocol with bounds on the head, and origin-form targets only."""

    head_size = 0

    def on_message_begin(self) -> None:
        self.head_size = 0
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        self.head_size += len(url)
        self._check_size()
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        self.head_size += len(name) + len(value) + 4
        self._check_size()
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        if not self.url.startswith(b"/"):
            raise ValueError("only origin-form targets are taken")
        super().on_headers_complete()

    def _check_size(self) -> None:
        if self.head_size > HEAD_SIZE_MAX or len(self.headers) > HEADERS_MAX:
            raise ValueError("the head of the request is too large")


def fault(scope: dict[str, Any]) -> str:
    """What is wrong with a request's head; "" for nothing."""
    if scope.get("http_version") != "1.1":
        return "HTTP/1.1 is spoken here."
    if scope["method"] not in METHODS:
        return "The method is not known."
    names = [name for name, _ in scope["headers"]]
    if names.count(b"host") != 1:
        return "A request has exactly one Host."
    for name in (b"content-length", b"transfer-encoding", b"authorization", b"x-amz-date"):
        if names.count(name) > 1:
            return f"{name.decode()} is given twice."
    if b"transfer-encoding" in names and b"content-length" in names:
        return "Transfer-Encoding and Content-Length exclude each other."
    return ""
