"""A body on its way from the event loop to the thread that reads it, with back-pressure."""

import asyncio
import threading
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

from bastide.kernel.errors import ServiceError, Unavailable
from bastide.wire.payload import UNIT_SIZE, incomplete

Receive = Callable[[], Awaitable[dict[str, Any]]]
HELD_MAX = 4 * UNIT_SIZE
READ_TIMEOUT_S = 120.0


class Room:
    """The bytes of bodies held for senders whose signature waits for them; all connections share
    it, so that strangers cannot fill the memory."""

    def __init__(self, size: int) -> None:
        self.left = size

    def take(self, size: int) -> None:
        if size > self.left:
            raise Unavailable("room for request bodies")
        self.left -= size


async def read_whole(
    receive: Receive, size_max: int, declared: str | None = None, room: Room | None = None
) -> bytes:
    """A body that is small enough to be held, and comes in time. ServiceError for one that is
    not; Unavailable when there is no `room`, which the body leaves again at the end."""
    if declared is not None and declared.isascii() and declared.isdigit():
        _check_size(int(declared[:16]), size_max)
    taken = 0
    try:
        async with asyncio.timeout(READ_TIMEOUT_S):
            body = bytearray()
            more = True
            while more:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise incomplete()
                part = message.get("body", b"")
                _check_size(len(body) + len(part), size_max)
                if room is not None:
                    room.take(len(part))
                    taken += len(part)
                body += part
                more = message.get("more_body", False)
            return bytes(body)
    except TimeoutError as error:
        raise _too_slow() from error
    finally:
        if room is not None:
            room.left += taken


def _check_size(size: int, size_max: int) -> None:
    if size > size_max:
        raise ServiceError(
            "RequestEntityTooLargeException", "The request is too large.", status=413
        )


def _too_slow() -> ServiceError:
    return ServiceError(
        "RequestTimeout",
        "Your socket connection to the server was not read from or written to within the timeout "
        "period.",
        status=400,
    )


class Arriving:
    """Implements payload.Source. The loop fills it by `pump`, one thread reads it."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._parts: deque[bytes] = deque()
        self._held = 0
        self._over = False
        self._broken = False
        self._news = threading.Condition()
        self._room = asyncio.Event()
        self._room.set()

    async def pump(self, receive: Receive) -> None:
        """Take what comes until the body ends; wait while the reader is behind."""
        more = True
        while more:
            message = await receive()
            gone = message["type"] == "http.disconnect"
            more = not gone and message.get("more_body", False)
            with self._news:
                if part := message.get("body", b""):
                    self._parts.append(part)
                    self._held += len(part)
                self._over, self._broken = not more, gone
                if self._held >= UNIT_SIZE or not more:
                    self._news.notify()
                if self._held >= HELD_MAX:
                    self._room.clear()
            if more:
                await self._room.wait()

    def abandon(self) -> None:
        """Nobody will fill it any more."""
        with self._news:
            self._over = self._broken = True
            self._news.notify()

    def read(self, size: int = -1) -> bytes:
        """Up to `size` bytes, as many as are here; a megabyte at a time while there is more."""
        with self._news:
            done = self._news.wait_for(self._is_readable, READ_TIMEOUT_S)
            if not done:
                raise _too_slow()
            if self._broken and not self._parts:
                raise incomplete()
            data = self._take(UNIT_SIZE if size < 0 else size)
            if self._held < HELD_MAX // 2 and not self._room.is_set() and not self._over:
                self._loop.call_soon_threadsafe(self._room.set)
            return data

    def _is_readable(self) -> bool:
        return self._over or self._held >= UNIT_SIZE

    def _take(self, size: int) -> bytes:
        taken: list[bytes] = []
        left = size
        while left and self._parts:
            part = self._parts.popleft()
            if len(part) > left:
                self._parts.appendleft(part[left:])
                part = part[:left]
            taken.append(part)
            left -= len(part)
        data = taken[0] if len(taken) == 1 else b"".join(taken)
        self._held -= len(data)
        return data
