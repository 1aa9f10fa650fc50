"""The memory that a region's engines share.

Only an engine that nobody uses makes room, the least recently used first. Where all are in use, the
one that has been there the longest, for a turn at least, takes no new calls until who waits for its
room has it. What a reservation holds is never taken.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field

from bastide.inference.replica import Group, Replica
from bastide.kernel.clock import Clock

logger = logging.getLogger(__name__)


class NeverFits(Exception):
    """It is more than what is not reserved, even when all else has ended."""


@dataclass(slots=True, kw_only=True)
class Room:
    """`parts_mib`: what may be reserved at each label; `groups`: all that there are; `end`: ends a
    replica."""

    budget_mib: int
    parts_mib: Mapping[str, int]
    turn_s: float
    clock: Clock
    groups: Callable[[], Iterable[Group]]
    end: Callable[[Group, Replica], Awaitable[None]]
    held_mib: int = 0
    _taken_mib: int = 0
    _promised_mib: Counter[str] = field(default_factory=Counter)  # by label: held, or about to be
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    async def take(self, cost_mib: int, timeout_s: float) -> None:
        """Wait until it fits. Raises NeverFits, TimeoutError."""
        if cost_mib > self.budget_mib - self.held_mib:
            logger.error("an engine takes %s MiB of %s", cost_mib, self.budget_mib)
            raise NeverFits
        async with asyncio.timeout(timeout_s), self._turn:
            await self._emptied(cost_mib)
            self._taken_mib += cost_mib

    async def hold(self, label: str, cost_mib: int, timeout_s: float) -> None:
        """As `take`, for a reservation at a label: all of one label hold no more than its part.
        Whoever comes before one that was deleted has ended waits for that; no other label does."""
        part_mib = self.parts_mib.get(label, 0)
        if cost_mib > part_mib:
            raise NeverFits
        async with asyncio.timeout(timeout_s):
            while self._promised_mib[label] + cost_mib > part_mib:
                self._changed.clear()
                await self._changed.wait()
            self._promised_mib[label] += cost_mib
            with ExitStack() as undo:
                undo.callback(self._promise_no_more, label, cost_mib)
                await self.take(cost_mib, timeout_s)
                undo.pop_all()
        self._taken_mib -= cost_mib
        self.held_mib += cost_mib

    def give_back(self, cost_mib: int) -> None:
        self._taken_mib -= cost_mib
        self.changed()

    def let_go(self, label: str, cost_mib: int) -> None:
        self.held_mib -= cost_mib
        self._promise_no_more(label, cost_mib)

    def _promise_no_more(self, label: str, cost_mib: int) -> None:
        self._promised_mib[label] -= cost_mib
        self.changed()

    def changed(self) -> None:
        """Something ended, or is no longer in use."""
        self._changed.set()

    def has(self, cost_mib: int) -> bool:
        """Whether it fits now, with nobody waiting and nothing ended for it."""
        return not self._turn.locked() and self._fits(cost_mib)

    def _fits(self, cost_mib: int) -> bool:
        return self.held_mib + self._taken_mib + cost_mib <= self.budget_mib

    async def _emptied(self, cost_mib: int) -> None:
        try:
            while not self._fits(cost_mib):
                await self._free_some()
        finally:  # who has found room, or gave up, asks for no more
            for group in self.groups():
                group.open.set()

    async def _free_some(self) -> None:
        """End an engine that is idle; else see to it that one will be, and wait for news."""
        idle = [(group, one) for group, one in self._evictable() if group.is_idle(one)]
        if idle:
            await self.end(*min(idle, key=lambda pair: pair[1].used_at))
            return
        self._changed.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(self._ask_for_room()):
                await self._changed.wait()

    def _ask_for_room(self) -> float | None:
        """The oldest engine yields if it has had its turn; else answers how long that will be."""
        engines = self._evictable()
        ready = [(group, one) for group, one in engines if one.ready]
        if not ready or any(one.draining for _, one in engines):
            return None
        group, oldest = min(ready, key=lambda pair: pair[1].ready_at)
        left_s = oldest.ready_at + self.turn_s - self.clock.monotonic_s()
        if left_s > 0:
            return left_s
        group.give_way(oldest)
        return None

    def _evictable(self) -> list[tuple[Group, Replica]]:
        return [(group, one) for group in self.groups() if not group.held for one in group.replicas]
