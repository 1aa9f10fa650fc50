"""The places of one engine, each remembering for whom it last worked.

An engine keeps the last prompt of a place to save work on the next one. Across agencies that
would tell by its speed what another has asked, so only the same agency finds its place warm.
"""

import asyncio
from collections import deque

WAITING_PER_SLOT_MAX = 64


class SlotsFull(Exception):
    """Too many wait already."""


class SlotsClosed(Exception):
    """The engine has ended."""


class Slots:
    def __init__(self, count: int) -> None:
        self._owners: list[str | None] = [None] * count
        self._free: deque[int] = deque(range(count))  # the most recently used on the right
        self._waiting: deque[asyncio.Future[int]] = deque()
        self._waiting_max = count * WAITING_PER_SLOT_MAX
        self._closed = False

    async def take(self, owner: str) -> tuple[int, bool]:
        """A place, and whether it is warm. In the order of asking when all are taken."""
        if self._closed:
            raise SlotsClosed
        slot = self._best(owner) if self._free else await self._queue()
        warm = self._owners[slot] == owner
        self._owners[slot] = None  # until it is certain what the place remembers
        return slot, warm

    def remember(self, slot: int, owner: str) -> None:
        """The place holds nothing but a prompt of `owner` now."""
        self._owners[slot] = owner

    def give_back(self, slot: int) -> None:
        while self._waiting:
            next_one = self._waiting.popleft()
            if not next_one.done():
                next_one.set_result(slot)
                return
        self._free.append(slot)

    def close(self) -> None:
        """Everybody who waits hears that the engine has ended."""
        self._closed = True
        for one in self._waiting:
            if not one.done():
                one.set_exception(SlotsClosed())
        self._waiting.clear()

    def _best(self, owner: str) -> int:
        """The owner's own latest place, else one of nobody, else the longest unused."""
        slot: int | None = None
        if owner in self._owners:
            slot = next((one for one in reversed(self._free) if self._owners[one] == owner), None)
        if slot is None:
            unused = (one for one in self._free if self._owners[one] is None)
            slot = next(unused, self._free[0])
        self._free.remove(slot)
        return slot

    async def _queue(self) -> int:
        if len(self._waiting) >= self._waiting_max:
            raise SlotsFull
        place: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._waiting.append(place)
        try:
            return await place
        except asyncio.CancelledError:
            if place.done() and not place.cancelled() and place.exception() is None:
                self.give_back(place.result())  # it was given just as the caller went away
            raise
