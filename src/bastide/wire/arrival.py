"""A body on its way from the event loop to the thread that reads it, with back-pressure."""

import asyncio
import threading
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

from bastide.kernel.errors import ServiceError, Unavailable
from bastide.kernel.shares import Shares
from bastide.wire.payload import UNIT_SIZE, incomplete

Receive = Callable[[], Awaitable[dict[str, Any]]]
HELD_MAX = 4 * UNIT_SIZE
PATIENCE_S = 20.0  # as S3's
RATE_MIN = 1024  # bytes per second


class Room:
    """The bytes of bodies that are held: for senders whose signature waits for them, and for known
    ones until they are answered. All share it, so that strangers cannot fill the memory, nor one
    agency, and one address or agency cannot take it from the others."""

    def __init__(self, size: int) -> None:
        self._shares = Shares(size)

    @property
    def left(self) -> int:
        return self._shares.free

    def take(self, source: str, size: int) -> None:
        if not self._shares.take(source, size):
            raise Unavailable("room for request bodies")

    def leave(self, source: str, size: int) -> None:
        self._shares.give_back(source, size)


class Pace:
    """Takes the parts of a body as they come. Waiting uses up the sender's patience, bytes restore
    it: a body may take as long as it has bytes for, and none may stand still."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._patience_s = PATIENCE_S

    async def part(self) -> tuple[bytes, bool]:
        """The next bytes, and whether there are more. ServiceError for a body that is too slow,
        or is cut off."""
        loop = asyncio.get_running_loop()
        asked = loop.time()
        try:
            async with asyncio.timeout_at(asked + self._patience_s):
                message = await self._receive()
        except TimeoutError as error:
            raise _too_slow() from error
        if message["type"] == "http.disconnect":
            raise incomplete()
        data: bytes = message.get("body", b"")
        left_s = self._patience_s - (loop.time() - asked)
        self._patience_s = min(PATIENCE_S, left_s + len(data) / RATE_MIN)
        return data, message.get("more_body", False)


async def read_whole(
    receive: Receive,
    size_max: int,
    declared: str | None = None,
    room: Room | None = None,
    source: str = "",
) -> bytes:
    """A body that is small enough to be held, and comes in time. ServiceError for one that is
    not; Unavailable when there is no `room` for its source, which it leaves again at the end."""
    if declared is not None and declared.isascii() and declared.isdigit():
        _check_size(int(declared[:16]), size_max)
    pace = Pace(receive)
    taken = 0
    try:
        body = bytearray()
        more = True
        while more:
            part, more = await pace.part()
            _check_size(len(body) + len(part), size_max)
            if room is not None:
                room.take(source, len(part))
                taken += len(part)
            body += part
        return bytes(body)
    finally:
        if room is not None:
            room.leave(source, taken)


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
        self._parts: deque[memoryview] = deque()
        self._held = 0
        self._over = False
        self._broken: ServiceError | None = None
        self._news = threading.Condition()
        self._room = asyncio.Event()
        self._room.set()

    async def pump(self, receive: Receive) -> None:
        """Take what comes until the body ends; wait while the reader is behind."""
        pace = Pace(receive)
        try:
            more = True
            while more:
                part, more = await pace.part()
                self._add(part, more)
                await self._room.wait()
        except ServiceError as error:
            self._break(error)
        finally:
            if not self._over:
                self.abandon()

    def _add(self, part: bytes, more: bool) -> None:
        with self._news:
            if part:
                self._parts.append(memoryview(part))
                self._held += len(part)
            self._over = not more
            if self._held >= UNIT_SIZE or not more:
                self._news.notify()
            if self._held >= HELD_MAX and more:
                self._room.clear()

    def abandon(self) -> None:
        """Nobody will fill it any more."""
        self._break(incomplete())

    def _break(self, error: ServiceError) -> None:
        with self._news:
            self._over, self._broken = True, self._broken or error
            self._news.notify()

    def readinto(self, view: memoryview) -> int:
        """As many bytes as are here and have room, 0 at the end. The thread is woken for a
        megabyte at a time while there is more, and waits for as long as the pump does."""
        with self._news:
            self._news.wait_for(self._is_readable)
            if self._broken and not self._parts:
                raise self._broken
            taken = self._take(len(view))
            if self._held < HELD_MAX // 2 and not self._room.is_set() and not self._over:
                self._loop.call_soon_threadsafe(self._room.set)
        size = 0
        for part in taken:  # copied without the lock, which the event loop waits for
            view[size : size + len(part)] = part
            size += len(part)
        return size

    def _is_readable(self) -> bool:
        return self._over or self._held >= UNIT_SIZE

    def _take(self, size: int) -> list[memoryview]:
        taken: list[memoryview] = []
        left = size
        while left and self._parts:
            part = self._parts.popleft()
            if len(part) > left:
                self._parts.appendleft(part[left:])
                part = part[:left]
            taken.append(part)
            left -= len(part)
        self._held -= size - left
        return taken
