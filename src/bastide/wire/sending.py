"""Answers on their way out: headers that handlers add, bodies that stream, clients that leave."""

import asyncio
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from typing import Any

from bastide.kernel.call import Call
from bastide.kernel.errors import ServiceError, Unavailable
from bastide.wire.arrival import Receive
from bastide.wire.types import RawResponse

Send = Callable[[dict[str, Any]], Awaitable[None]]
InThread = Callable[[Callable[[Any], Any], Any], Awaitable[Any]]
_END: Any = object()
NO_BODY = frozenset({204, 304})
UNIT_SIZE = 512 * 1024
EVENT_SIZE_MAX = 64 * 1024
LABEL = "x-bastide-label"


def dressed(response: RawResponse, call: Call, status: int | None = None) -> RawResponse:
    """The response with its label and the handler's own headers, and its status if it says one."""
    label = call.notes.label or call.principal.session.text
    extra = ((name.lower(), value) for name, value in call.notes.headers.items())
    headers = (*response.headers, (LABEL, label), *extra)
    return RawResponse(status=status or response.status, headers=headers, body=response.body)


async def gone(receive: Receive) -> None:
    """Returns when the client has left."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def send_response(response: RawResponse, receive: Receive, send: Send, run: InThread) -> None:
    """Send an answer; one that streams ends when its client leaves. `run` takes a blocking body's
    steps."""
    headers = _encoded(response)
    body = response.body
    if response.status in NO_BODY and isinstance(body, bytes):
        body = b""  # an output without members is `{}` in JSON, and 204 has no body
    if isinstance(body, bytes):
        await send(_start(response.status, headers, len(body)))
        await send({"type": "http.response.body", "body": body})
        return
    await send(_start(response.status, headers, None))
    source = body if isinstance(body, AsyncIterator) else _threaded(body, run)
    work = asyncio.ensure_future(_stream(source, send))
    leaving = asyncio.ensure_future(gone(receive))
    try:
        await asyncio.wait((work, leaving), return_when=asyncio.FIRST_COMPLETED)
        if work.done():
            work.result()
    finally:
        leaving.cancel()
        work.cancel()
        await asyncio.gather(work, leaving, return_exceptions=True)


class Watched:
    """The events of a stream. How one breaks off is told to `broke`: its status has left long
    before, and only the record of the call's end can say it."""

    def __init__(self, events: Any, broke: Callable[[ServiceError | Unavailable], None]) -> None:
        self._events, self._broke = events, broke

    def __aiter__(self) -> "Watched":
        return self

    async def __anext__(self) -> Any:
        try:
            return await self._events.__anext__()
        except (ServiceError, Unavailable) as error:
            self._broke(error)
            raise

    async def aclose(self) -> None:
        close = getattr(self._events, "aclose", None)
        if close is not None:
            await close()


async def discard(output: Mapping[str, Any]) -> None:
    """Let go of what the streams of an output hold, when it will not be sent. A generator around
    one that was never started has no `finally` to run, so the streams themselves are closed."""
    for value in output.values():
        close = getattr(value, "aclose", None) or getattr(value, "close", None)
        if close is not None:
            done = close()
            if inspect.isawaitable(done):
                await done


def _start(status: int, headers: list[tuple[bytes, bytes]], length: int | None) -> dict[str, Any]:
    given = any(name == b"content-length" for name, _ in headers)
    if length is not None and not given and status not in NO_BODY:
        headers.append((b"content-length", str(length).encode()))
    return {"type": "http.response.start", "status": status, "headers": headers}


def _encoded(response: RawResponse) -> list[tuple[bytes, bytes]]:
    """Header values as bytes. Line ends and NULs cannot be in one: they are left out."""
    return [
        (name.encode("latin-1"), value.translate(_CLEAN).encode("utf-8"))
        for name, value in response.headers
    ]


_CLEAN = {ord("\r"): None, ord("\n"): None, 0: None}


async def _stream(source: AsyncIterator[bytes], send: Send) -> None:
    try:
        async for part in source:
            await send({"type": "http.response.body", "body": part, "more_body": True})
    finally:
        close = getattr(source, "aclose", None)
        if close is not None:
            await close()
    await send({"type": "http.response.body", "body": b""})


async def _threaded(body: Iterator[bytes], run: InThread) -> AsyncIterator[bytes]:
    """A blocking iterator, on a worker thread, one step ahead of what is being sent."""
    ahead = asyncio.ensure_future(run(_unit, body))
    try:
        while (part := await asyncio.shield(ahead)) is not _END:
            ahead = asyncio.ensure_future(run(_unit, body))
            yield part
    finally:
        await asyncio.gather(ahead, return_exceptions=True)  # it may be in the middle of a step
        close = getattr(body, "close", None)
        if close is not None:
            await run(_close, close)


def _close(close: Callable[[], None]) -> None:
    close()


def _unit(body: Iterator[bytes]) -> Any:
    """The next parts, as many as make a unit worth a hop between threads; _END after the last.
    A small part is an event, or an end: it goes at once."""
    parts: list[bytes] = []
    size = 0
    for part in body:
        parts.append(part)
        size += len(part)
        if size >= UNIT_SIZE or len(part) < EVENT_SIZE_MAX:
            break
    return b"".join(parts) if parts else _END
