"""The engines of a region: loaded on first use, kept within a memory budget, restarted when dead.

Calls that come while a model loads share that load. Only an engine that nobody uses makes room,
the least recently used first. Where all are in use, the one that has been there the longest, for a
turn at least, takes no new calls until who waits for its room has it; its own callers wait behind.
One that keeps failing is left alone for a while, longer each time.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Any

from bastide.inference.model import Endpoint, EngineTask, RemoteEngine
from bastide.inference.process import EngineOrder, EngineProcess, LoadFailed, start
from bastide.inference.slots import Slots, SlotsClosed, SlotsFull
from bastide.inference.walls import Walls
from bastide.kernel.clock import Clock
from bastide.kernel.errors import ServiceError
from bastide.kernel.ids import Ids
from bastide.models.model import ModelCard, NotAdmitted
from bastide.models.shelf import verify

logger = logging.getLogger(__name__)
WEIGHTS_FACTOR = 1.9  # the engine keeps a second copy in SIMD order (reference/models.md, 4)
PROCESS_MIB = 60
MEMORY_FACTOR, MEMORY_SPARE_MIB = 2, 512  # the limit ends a runaway, not one that we guessed low
PLACE_LETTERS = 12
BACK_OFF_S = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0)
HEALTHY_AFTER_S = 10.0  # an engine that lives shorter counts as one that failed to load
REMOTE_REQUESTS_MAX = 256
NOT_READY = "The model is not ready to serve inference requests. Try again in a while."
BUSY = "Too many requests, please wait before trying again."


def not_ready() -> ServiceError:
    return ServiceError("ModelNotReadyException", NOT_READY)


@dataclass(slots=True, kw_only=True, eq=False)
class _Running:
    """One engine of ours, from the moment its load began."""

    card: ModelCard
    cost_mib: int
    slots: Slots
    key: str
    users: int = 0
    used_at: float = 0.0
    ready_at: float = 0.0
    process: EngineProcess | None = None
    loading: "asyncio.Task[None] | None" = None
    ended: bool = False
    reserved: bool = False
    open: asyncio.Event = field(default_factory=asyncio.Event)  # or else it yields its room

    @property
    def idle(self) -> bool:
        return self.users == 0 and self.process is not None


@dataclass(slots=True)
class _Failures:
    count: int = 0
    until: float = 0.0


@dataclass(slots=True, eq=False)
class Lease:
    """The right to send one request. Give it back with `release()`, or use `async with`."""

    endpoint: Endpoint
    _back: Callable[[], None]
    _remember: Callable[[], None] = lambda: None
    _held: bool = True

    def confirm(self) -> None:
        """The request was answered to its end: its place now remembers this prompt alone."""
        self._remember()

    def release(self) -> None:
        if self._held:
            self._held = False
            self._back()

    async def __aenter__(self) -> "Lease":
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()


@dataclass(slots=True, kw_only=True)
class Engines:
    """All of it runs on one event loop. `folder` is for the sockets, and nobody else's; `remote`:
    model id → the server that runs it."""

    task: EngineTask
    folder: Path
    walls: Walls
    clock: Clock
    ids: Ids
    remote: Mapping[str, RemoteEngine] = field(default_factory=dict)
    launch: Callable[[EngineOrder, float], Awaitable[EngineProcess]] = start
    _running: dict[str, _Running] = field(default_factory=dict)
    _failures: dict[str, _Failures] = field(default_factory=dict)
    _remote_slots: dict[str, Slots] = field(default_factory=dict)
    _room: asyncio.Lock = field(default_factory=asyncio.Lock)
    _changed: asyncio.Event = field(default_factory=asyncio.Event)
    _tasks: set["asyncio.Task[Any]"] = field(default_factory=set)
    _closed: bool = False

    async def acquire(self, card: ModelCard, owner: str, label: str) -> Lease:
        """A place for one request of agency `owner` in a session at `label`. Raises
        ServiceError."""
        try:
            if card.remote:
                return await self._remote_lease(card, owner)
            return await self._local_lease(card, owner, label)
        except (SlotsFull, TimeoutError):
            raise ServiceError("ThrottlingException", BUSY) from None
        except SlotsClosed:
            raise not_ready() from None

    async def visit(self, card: ModelCard, owner: str, label: str) -> Lease:
        """For a request that generates nothing: one of our own engines needs no place for it."""
        if card.remote:
            return await self.acquire(card, owner, label)
        one = await self._entered(card)
        return Lease(self._endpoint(one), lambda: self._leave(one))

    def context_tokens(self, card: ModelCard) -> int:
        """What one request may use of our own engine; 0 when it is not known."""
        if card.remote:
            return card.context_tokens
        share = self.task.context_tokens // self.task.slots
        return min(share, card.context_tokens) if card.context_tokens else share

    def rows(self) -> list[dict[str, Any]]:
        """What `bastide status` shows of the engines."""
        return [
            {
                "model": one.card.name,
                "state": "ready" if one.process else "loading",
                "pid": one.process.pid if one.process else None,
                "memory_mib": one.cost_mib,
                "requests": one.users,
            }
            for one in self._running.values()
        ]

    async def close(self) -> None:
        """End every engine."""
        self._closed = True
        loads = [one.loading for one in self._running.values() if one.loading is not None]
        for load in loads:
            load.cancel()
        await asyncio.gather(*loads, return_exceptions=True)
        await asyncio.gather(*(self._end(one) for one in list(self._running.values())))
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _remote_lease(self, card: ModelCard, owner: str) -> Lease:
        server = self.remote[card.model_id]
        slots = self._remote_slots.setdefault(card.model_id, Slots(REMOTE_REQUESTS_MAX))
        slot, _ = await self._place(slots, owner, "")
        endpoint = Endpoint(
            url=server.url, key=server.key, model=server.model, ca_file=server.ca_file
        )
        return Lease(endpoint, lambda: slots.give_back(slot))

    async def _local_lease(self, card: ModelCard, owner: str, label: str) -> Lease:
        one = await self._entered(card)
        with ExitStack() as undo:
            undo.callback(self._leave, one)
            slot, warm = await self._place(one.slots, owner, label)
            undo.pop_all()

        def back() -> None:
            one.slots.give_back(slot)
            self._leave(one)

        endpoint = replace(self._endpoint(one), slot=slot, warm=warm)
        return Lease(endpoint, back, lambda: one.slots.remember(slot, owner, label))

    async def _place(self, slots: Slots, owner: str, label: str) -> tuple[int, bool]:
        if slots.has_free:  # nobody waits: no timer for it
            return await slots.take(owner, label)
        async with asyncio.timeout(self.task.queue_timeout_s):
            return await slots.take(owner, label)

    async def _entered(self, card: ModelCard) -> _Running:
        """The loaded engine, which stays while its user does. Call `_leave` afterwards."""
        one = self._running.get(card.name)
        if one is not None and not one.open.is_set():
            one = await self._opened(card)
        if one is None or one.ended:
            one = self._begin(card)
        one.users += 1
        with ExitStack() as undo:
            undo.callback(self._leave, one)
            if one.process is None:
                assert one.loading is not None
                await asyncio.shield(one.loading)  # who goes away does not end others' load
            undo.pop_all()
        return one

    async def _opened(self, card: ModelCard) -> _Running | None:
        """Wait while the engine yields; None once it has ended."""
        try:
            async with asyncio.timeout(self.task.load_timeout_s):
                while (one := self._running.get(card.name)) and not one.open.is_set():
                    await one.open.wait()
        except TimeoutError:
            raise not_ready() from None
        return one

    def _endpoint(self, one: _Running) -> Endpoint:
        assert one.process is not None
        return Endpoint(
            url="http://engine/v1", key=one.key, model=one.card.name, socket=one.process.socket
        )

    def _leave(self, one: _Running) -> None:
        one.users -= 1
        one.used_at = self.clock.monotonic_s()
        self._changed.set()

    def _begin(self, card: ModelCard) -> _Running:
        """Start to load. Raises ModelNotReadyException while it is left alone."""
        failed = self._failures.get(card.name)
        if self._closed or (failed is not None and self.clock.monotonic_s() < failed.until):
            raise not_ready()
        one = _Running(
            card=card,
            cost_mib=self._cost_mib(card),
            slots=Slots(self.task.slots),
            key=self.ids.token(24).hex(),
        )
        one.open.set()
        self._running[card.name] = one
        one.loading = asyncio.create_task(self._load(one))
        one.loading.add_done_callback(_seen)
        return one

    async def _load(self, one: _Running) -> None:
        try:
            await self._make_room(one)
            await asyncio.to_thread(verify, one.card)
            assert one.card.path is not None
            order = EngineOrder(
                model=one.card.path,
                place=self.folder / one.key[:PLACE_LETTERS],
                walls=self.walls,
                memory_mib=one.cost_mib * MEMORY_FACTOR + MEMORY_SPARE_MIB,
                key=one.key,
                threads=self.task.threads,
                slots=self.task.slots,
                context_tokens=self._order_tokens(one.card),
            )
            one.process = await self.launch(order, self.task.load_timeout_s)
        except (LoadFailed, NotAdmitted, OSError) as error:
            logger.error("the engine of %s did not start: %s", one.card.name, error)
            self._failed(one)
            raise not_ready() from error
        except BaseException:  # cancelled, or no room: not the engine's fault
            self._gone(one)
            raise
        one.ready_at = one.used_at = self.clock.monotonic_s()
        watch = asyncio.create_task(self._watch(one, one.process))
        self._tasks.add(watch)
        watch.add_done_callback(self._tasks.discard)

    async def _watch(self, one: _Running, process: EngineProcess) -> None:
        """Notice the end of an engine that nobody asked to end, and end one that hangs: one that
        has work and uses no processor time."""
        before = None
        while not await process.ended_within(self.task.hung_after_s):
            now = await asyncio.to_thread(process.cpu_ticks) if one.users else None
            if now is not None and now == before:
                logger.error("the engine of %s hangs and is killed", one.card.name)
                process.process.kill()
            before = now
        if one.ended:
            return
        process.forget()
        code, tail = process.process.returncode, " | ".join(list(process.tail)[-5:])
        logger.error("the engine of %s ended with %s: %s", one.card.name, code, tail)
        if self.clock.monotonic_s() - one.ready_at < HEALTHY_AFTER_S:
            self._failed(one)
        else:
            self._failures.pop(one.card.name, None)
            self._gone(one)

    def _failed(self, one: _Running) -> None:
        failed = self._failures.setdefault(one.card.name, _Failures())
        wait_s = BACK_OFF_S[min(failed.count, len(BACK_OFF_S) - 1)]
        failed.count += 1
        failed.until = self.clock.monotonic_s() + (wait_s if failed.count > 1 else 0.0)
        self._gone(one)

    def _gone(self, one: _Running) -> None:
        one.ended = True
        one.open.set()
        one.slots.close()
        if self._running.get(one.card.name) is one:
            del self._running[one.card.name]
        self._changed.set()

    async def _make_room(self, new: _Running) -> None:
        """Wait until `new` fits, ending idle engines. Raises when it does not in time."""
        if new.cost_mib > self.task.memory_budget_mib:
            budget = self.task.memory_budget_mib
            logger.error("%s takes %s MiB of %s", new.card.name, new.cost_mib, budget)
            raise ServiceError("ServiceUnavailableException", "The model does not fit here.")
        try:
            async with asyncio.timeout(self.task.load_timeout_s), self._room:
                await self._reserve(new)
        except TimeoutError:
            raise not_ready() from None

    async def _reserve(self, new: _Running) -> None:
        try:
            while self._taken_mib() + new.cost_mib > self.task.memory_budget_mib:
                await self._free_some()
            new.reserved = True
        finally:  # who has found room, or gave up, asks for no more
            for one in self._running.values():
                one.open.set()

    async def _free_some(self) -> None:
        """End an engine that is idle; else see to it that one will be, and wait for news."""
        idle = [one for one in self._running.values() if one.idle]
        if idle:
            await self._end(min(idle, key=lambda one: one.used_at))
            return
        self._changed.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(self._ask_for_room()):
                await self._changed.wait()

    def _ask_for_room(self) -> float | None:
        """The oldest engine yields if it has had its turn; else answers how long that will be."""
        ready = [one for one in self._running.values() if one.process is not None]
        if not ready:
            return None
        oldest = min(ready, key=lambda one: one.ready_at)
        left_s = oldest.ready_at + self.task.turn_s - self.clock.monotonic_s()
        if left_s > 0:
            return left_s
        oldest.open.clear()
        return None

    def _taken_mib(self) -> int:
        return sum(one.cost_mib for one in self._running.values() if one.reserved)

    async def _end(self, one: _Running) -> None:
        self._gone(one)
        if one.process is not None:
            await one.process.stop()

    def _order_tokens(self, card: ModelCard) -> int:
        return self.context_tokens(card) * self.task.slots

    def _cost_mib(self, card: ModelCard) -> int:
        cache = self._order_tokens(card) * card.kv_bytes_per_token
        return int((card.size * WEIGHTS_FACTOR + cache) / (1 << 20)) + PROCESS_MIB


def _seen(load: "asyncio.Task[None]") -> None:
    """A load that fails after everybody went away is in the log already."""
    if not load.cancelled():
        load.exception()
