"""The places of one engine, each remembering for whom it last worked.

An engine keeps the last prompt of a place to save work on the next one. Across agencies, and across
the labels of one agency, that would tell by its speed what another has asked: only a session of the
same agency at the same label finds its place warm.
Who waits is served by shares: the next place goes to the agency that holds the fewest.
"""

import asyncio
from collections import Counter, deque

WAITING_PER_SLOT_MAX = 64


class SlotsFull(Exception):
    """Too many wait already."""


class SlotsClosed(Exception):
    """The engine has ended."""


class Slots:
    def __init__(self, count: int) -> None:
        self._prompts: list[tuple[str, str] | None] = [None] * count  # whose: agency, label
        self._holders: list[str | None] = [None] * count
        self._free: deque[int] = deque(range(count))  # the most recently used on the right
        self._waiting: dict[str, deque[asyncio.Future[int]]] = {}  # who was served last is last
        self._waiting_max = count * WAITING_PER_SLOT_MAX
        self._closed = False

    @property
    def has_free(self) -> bool:
        return bool(self._free)

    async def take(self, owner: str, label: str = "") -> tuple[int, bool]:
        """A place, and whether it is warm."""
        if self._closed:
            raise SlotsClosed
        if self._free:
            slot = self._best((owner, label))
            self._holders[slot] = owner
        else:
            slot = await self._queue(owner)
        warm = self._prompts[slot] == (owner, label)
        self._prompts[slot] = None  # until it is certain what the place remembers
        return slot, warm

    def remember(self, slot: int, owner: str, label: str = "") -> None:
        """The place holds nothing but a prompt of `owner` at that label now."""
        self._prompts[slot] = (owner, label)

    def give_back(self, slot: int) -> None:
        self._holders[slot] = None
        if not self._waiting:
            self._free.append(slot)
            return
        held = Counter(self._holders)
        owner = min(self._waiting, key=lambda one: held[one])
        line = self._waiting.pop(owner)
        line.popleft().set_result(slot)
        self._holders[slot] = owner
        if line:
            self._waiting[owner] = line

    def close(self) -> None:
        """Everybody who waits hears that the engine has ended."""
        self._closed = True
        for line in self._waiting.values():
            for one in line:
                one.set_exception(SlotsClosed())
        self._waiting.clear()

    def _best(self, whose: tuple[str, str]) -> int:
        """Their own latest place, else one of nobody, else the longest unused."""
        slot: int | None = None
        if whose in self._prompts:
            slot = next((one for one in reversed(self._free) if self._prompts[one] == whose), None)
        if slot is None:
            unused = (one for one in self._free if self._prompts[one] is None)
            slot = next(unused, self._free[0])
        self._free.remove(slot)
        return slot

    async def _queue(self, owner: str) -> int:
        self._make_way(owner)
        place: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(owner, deque()).append(place)
        try:
            return await asyncio.shield(place)  # so that a line holds no cancelled place
        except asyncio.CancelledError:
            if not place.done():
                self._leave_line(owner, place)
            elif place.exception() is None:
                self.give_back(place.result())  # it was given just as the caller went away
            raise

    def _make_way(self, owner: str) -> None:
        """When too many wait, the last of the longest line goes. Raises SlotsFull."""
        if sum(map(len, self._waiting.values())) < self._waiting_max:
            return
        longest = max(self._waiting, key=lambda one: len(self._waiting[one]))
        if len(self._waiting[longest]) <= len(self._waiting.get(owner, ())) + 1:
            raise SlotsFull
        self._waiting[longest].pop().set_exception(SlotsFull())

    def _leave_line(self, owner: str, place: asyncio.Future[int]) -> None:
        line = self._waiting[owner]
        line.remove(place)
        if not line:
            del self._waiting[owner]
