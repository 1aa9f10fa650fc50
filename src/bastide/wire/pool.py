"""The threads that handlers run in, shared by all agencies, each at each of its labels (decision
0074): none takes them from the others."""

import asyncio
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import ParamSpec, TypeVar

from bastide.kernel.errors import Unavailable
from bastide.kernel.shares import Sharer, Shares

P = ParamSpec("P")
T = TypeVar("T")
WAIT_S = 10.0
WAITING_MAX = 256  # of one agency at one label
RETRY_AFTER_S = 2.0


class Throttled(Unavailable):
    """The agency has its share of the threads already at this label, and more who wait for them."""

    def __init__(self) -> None:
        super().__init__("this agency's share of the threads", RETRY_AFTER_S)


class Pool:
    """Threads, and whose turn it is: used from the event loop only."""

    def __init__(self, threads: int, name: str) -> None:
        self._executor = ThreadPoolExecutor(threads, name)
        self._shares = Shares(threads)
        self._waiting: OrderedDict[Sharer, deque[asyncio.Future[None]]] = OrderedDict()

    async def run(
        self, whose: Sharer, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Run `work` in a thread when it is its turn; Throttled if that does not come."""
        async with self.turn(whose):
            return await self.in_turn(work, *args, **kwargs)

    async def in_turn(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """The same for one who has a turn."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._executor, lambda: work(*args, **kwargs))

    @asynccontextmanager
    async def turn(self, whose: Sharer, wait_s: float | None = WAIT_S) -> AsyncIterator[None]:
        """A thread of that share. `wait_s` None: for as long as it takes."""
        if whose in self._waiting or not self._shares.take(whose):
            await self._wait(whose, wait_s)
        try:
            yield
        finally:
            self._shares.give_back(whose)
            self._call_next()

    async def _wait(self, whose: Sharer, wait_s: float | None) -> None:
        queue = self._waiting.setdefault(whose, deque())
        if wait_s is not None and len(queue) >= WAITING_MAX:
            raise Throttled
        mine = asyncio.get_running_loop().create_future()
        queue.append(mine)
        try:
            called, _ = await asyncio.wait((mine,), timeout=wait_s)
        except asyncio.CancelledError:
            self._withdraw(whose, mine)
            raise
        if not called:
            self._withdraw(whose, mine)
            raise Throttled

    def _withdraw(self, whose: Sharer, mine: "asyncio.Future[None]") -> None:
        """Whoever stops waiting at the moment of being called gives the turn to the next."""
        if mine.done():
            self._shares.give_back(whose)
            self._call_next()
            return
        queue = self._waiting[whose]
        queue.remove(mine)
        if not queue:
            del self._waiting[whose]

    def _call_next(self) -> None:
        """One of each share in turn, for as long as any may."""
        called = True
        while called:
            called = False
            for whose in list(self._waiting):
                if self._shares.take(whose):
                    queue = self._waiting[whose]
                    queue.popleft().set_result(None)
                    self._waiting.move_to_end(whose)
                    if not queue:
                        del self._waiting[whose]
                    called = True

    def close(self) -> None:
        self._executor.shutdown(cancel_futures=True)
