"""The engines of a region: loaded on first use, kept within a memory budget, restarted when dead.

Calls that come while a model loads share that load. Where all places of a model are taken and
another replica of it is allowed and fits, one more is loaded beside. One that keeps failing is left
alone for a while, longer each time. A reservation (`hold`) has replicas of its own, for its calls
alone.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

from bastide.inference.lease import Lease
from bastide.inference.model import Endpoint, EngineTask, RemoteEngine
from bastide.inference.places import Asker, Place, PlacesClosed, PlacesFull
from bastide.inference.process import EngineOrder, EngineProcess, LoadFailed, start
from bastide.inference.remotes import Remotes
from bastide.inference.replica import HEALTHY_AFTER_S, BackOff, Group, Replica
from bastide.inference.room import NeverFits, Room
from bastide.inference.walls import Walls
from bastide.kernel.clock import Clock
from bastide.kernel.errors import ServiceError, Unavailable
from bastide.kernel.ids import Ids
from bastide.models.model import ModelCard, NotAdmitted
from bastide.models.shelf import verify

logger = logging.getLogger(__name__)
WEIGHTS_FACTOR = 1.9  # the engine keeps a second copy in SIMD order (reference/models.md, 4)
PROCESS_MIB = 60
MEMORY_FACTOR, MEMORY_SPARE_MIB = 2, 512  # the limit ends a runaway, not one that we guessed low
PLACE_LETTERS = 12
NOT_READY = "The model is not ready to serve inference requests. Try again in a while."
BUSY = "Too many requests, please wait before trying again."
FITS_NOT = "The model does not fit here."
Key = tuple[str, str]  # a model's name, and the reservation, "" for none


class CannotLoad(ServiceError):
    """An engine of the model did not come up: it is not others that it waits for."""

    def __init__(self) -> None:
        super().__init__("ModelNotReadyException", NOT_READY)


def not_ready() -> ServiceError:
    return ServiceError("ModelNotReadyException", NOT_READY)


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
    _remotes: Remotes = field(init=False)
    _room: Room = field(init=False)
    _back_off: BackOff = field(init=False)
    _groups: dict[Key, Group] = field(default_factory=dict)
    _holds: dict[str, "_Hold"] = field(default_factory=dict)
    _turns: WeakValueDictionary[str, asyncio.Lock] = field(default_factory=WeakValueDictionary)
    _tasks: set["asyncio.Task[Any]"] = field(default_factory=set)
    _closed: bool = False

    def __post_init__(self) -> None:
        self._back_off = BackOff(self.clock)
        self._remotes = Remotes(
            servers=self.remote,
            back_off=BackOff(self.clock),
            queue_timeout_s=self.task.queue_timeout_s,
        )
        self._room = Room(
            budget_mib=self.task.memory_budget_mib,
            parts_mib=self.task.reservable_mib,
            turn_s=self.task.turn_s,
            clock=self.clock,
            groups=lambda: self._groups.values(),
            end=self._end,
        )

    async def acquire(
        self, card: ModelCard, owner: str, label: str, *, begins: str = "", tokens: int = 0
    ) -> Lease:
        """A place for one request of agency `owner` in a session at `label`; `begins` and `tokens`
        as in `Asker`. Raises ServiceError."""
        asker = Asker(owner, label, begins, tokens)
        try:
            if card.remote:
                return await self._remotes.lease(card, asker)
            return await self._local_lease(card, asker)
        except (PlacesFull, TimeoutError):
            raise ServiceError("ThrottlingException", BUSY) from None
        except PlacesClosed:
            raise not_ready() from None

    async def visit(self, card: ModelCard, owner: str, label: str) -> Lease:
        """For a request that generates nothing: one of our own engines needs no place for it."""
        if card.remote:
            return await self.acquire(card, owner, label)
        group = await self._entered(card)
        replica = group.ready[0]
        replica.users += 1
        return Lease(self._endpoint(group, replica), lambda: self._leave(group, replica))

    def unreachable(self, url: str) -> None:
        """A server that somebody else runs could not be connected to."""
        self._remotes.unreachable(url)

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
                "model": group.card.name,
                "reservation": group.held,
                "state": _state(one),
                "pid": one.process.pid if one.process else None,
                "memory_mib": group.cost_mib,
                "requests": one.users,
                "waiting": 0 if number else group.waiting,
            }
            for group in self._groups.values()
            for number, one in enumerate(group.replicas)
        ]

    async def hold(self, name: str, card: ModelCard, units: int, label: str) -> bool:
        """Load `units` replicas for the calls of cards that are `held` by that name; their memory
        is kept until `let_go`, of that label's part. False where they do not fit, or do not load.
        The same again changes nothing, and who asks it meanwhile is answered when it is true."""
        async with self._turn_of(name):
            there = self._holds.get(name)
            if there is not None and (there.sha256, there.units) == (card.sha256, units):
                return True
            await self._let_go(name)
            return await self._held(name, card, units, label)

    async def let_go(self, name: str) -> None:
        """End what was held, and what it was answering."""
        async with self._turn_of(name):
            await self._let_go(name)

    def _turn_of(self, name: str) -> asyncio.Lock:
        """One change of a reservation at a time."""
        turn = self._turns.get(name)
        if turn is None:
            turn = self._turns[name] = asyncio.Lock()
        return turn

    async def _held(self, name: str, card: ModelCard, units: int, label: str) -> bool:
        cost_mib = self.cost_mib(card) * units
        try:
            await self._room.hold(label, cost_mib, self.task.load_timeout_s)
        except (NeverFits, TimeoutError):
            return False
        self._holds[name] = _Hold(card.sha256, units, label, cost_mib)
        loaded = False
        try:
            group = self._group(card, held=name)
            with suppress(ServiceError):
                await asyncio.gather(*[self._begin(group) for _ in range(units)])
                loaded = True
        finally:
            if not loaded:
                await self._let_go(name)
        if self._closed:
            raise Unavailable("the region ends")
        return loaded

    async def _let_go(self, name: str) -> None:
        hold = self._holds.pop(name, None)
        if hold is None:
            return
        for group in [one for one in self._groups.values() if one.held == name]:
            await self._close(group)
        self._room.let_go(hold.label, hold.cost_mib)

    async def unload(self, name: str) -> None:
        """End the engines of the model of that name: it is gone."""
        for group in [one for one in self._groups.values() if one.card.name == name]:
            await self._close(group)

    async def close(self) -> None:
        """End every engine."""
        self._closed = True
        await asyncio.gather(*(self._close(one) for one in list(self._groups.values())))
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _close(self, group: Group) -> None:
        loads = [one.loading for one in group.replicas if one.process is None and one.loading]
        for load in loads:
            load.cancel()
        await asyncio.gather(*loads, return_exceptions=True)
        await asyncio.gather(*(self._end(group, one) for one in list(group.replicas)))

    async def _local_lease(self, card: ModelCard, asker: Asker) -> Lease:
        group = await self._entered(card)
        with ExitStack() as undo:
            undo.callback(self._left, group)
            place, warm = await self._place(group, asker)
            undo.pop_all()
        replica = group.of(place.engine)
        if replica is None:  # it ended just as its place was given
            group.places.give_back(place)
            self._left(group)
            raise not_ready()
        replica.users += 1

        def back() -> None:
            group.places.give_back(place)
            self._leave(group, replica)

        endpoint = replace(self._endpoint(group, replica), slot=place.number, warm=warm)
        return Lease(endpoint, back, lambda: group.places.remember(place))

    async def _place(self, group: Group, asker: Asker) -> tuple[Place, bool]:
        if not group.places.waits_for(asker):  # no timer for it
            return await group.places.take(asker)
        self._grow(group)
        async with asyncio.timeout(self.task.queue_timeout_s):
            return await group.places.take(asker)

    def _grow(self, group: Group) -> None:
        """One replica more where one is allowed and there is room that nobody else wants."""
        loading = any(one.process is None for one in group.replicas)
        if loading or len(group.replicas) >= group.most or self._back_off.holds(group.card.name):
            return
        if group.held or self._room.has(group.cost_mib):
            self._begin(group)

    async def _entered(self, card: ModelCard) -> Group:
        """A group with a loaded engine, which stays while its user does. Call `_left` or `_leave`
        afterwards."""
        group = self._groups.get((card.name, card.held))
        if group is not None and not group.open.is_set():
            group = await self._opened(card)
        if group is None:
            group = self._group(card, held=card.held)
        group.users += 1
        with ExitStack() as undo:
            undo.callback(self._left, group)
            while not group.ready:
                await self._loaded(group)
            undo.pop_all()
        return group

    async def _loaded(self, group: Group) -> None:
        """Until an engine of the group is, or is not, there. Raises ModelNotReadyException."""
        if self._groups.get((group.card.name, group.held)) is not group:
            raise not_ready()
        loads = [one.loading for one in group.replicas if one.loading and not one.loading.done()]
        load = loads[0] if loads else self._begin(group)
        await asyncio.shield(load)  # who goes away does not end others' load

    async def _opened(self, card: ModelCard) -> Group | None:
        """Wait while the engine yields; None once it has ended."""
        key = card.name, card.held
        try:
            async with asyncio.timeout(self.task.load_timeout_s):
                while (group := self._groups.get(key)) and not group.open.is_set():
                    await group.open.wait()
        except TimeoutError:
            raise not_ready() from None
        return group

    def _endpoint(self, group: Group, replica: Replica) -> Endpoint:
        assert replica.process is not None
        return Endpoint(
            url="http://engine/v1",
            key=replica.key,
            model=group.card.name,
            socket=replica.process.socket,
        )

    def _leave(self, group: Group, replica: Replica) -> None:
        replica.users -= 1
        replica.used_at = self.clock.monotonic_s()
        if replica.draining and not replica.users and not replica.ended:
            self._keep(asyncio.create_task(self._end(group, replica)))
        self._left(group)

    def _left(self, group: Group) -> None:
        group.users -= 1
        self._room.changed()

    def _group(self, card: ModelCard, held: str) -> Group:
        """Raises ModelNotReadyException for a reservation that is not there."""
        hold = self._holds.get(held)
        if held and (hold is None or hold.sha256 != card.sha256):
            raise not_ready()
        wanted = self.task.replicas
        most = hold.units if hold else wanted.get(card.model_id, wanted.get(card.name, 1))
        group = Group(card=card, cost_mib=self.cost_mib(card), most=most, held=held)
        group.open.set()
        self._groups[card.name, held] = group
        return group

    def _begin(self, group: Group) -> "asyncio.Task[None]":
        """Start to load. Raises ModelNotReadyException while it is left alone."""
        if self._closed or self._back_off.holds(group.card.name):
            self._drop(group)
            raise not_ready()
        one = Replica(key=self.ids.token(24).hex())
        group.replicas.append(one)
        one.loading = asyncio.create_task(self._load(group, one))
        one.loading.add_done_callback(_seen)
        return one.loading

    async def _load(self, group: Group, one: Replica) -> None:
        card = group.card
        try:
            await self._make_room(group, one)
            await asyncio.to_thread(verify, card)
            one.process = await self.launch(self._order(group, one), self.task.load_timeout_s)
        except (LoadFailed, NotAdmitted, OSError) as error:
            logger.error("the engine of %s did not start: %s", card.name, error)
            self._back_off.failed(card.name)
            self._gone(group, one)
            raise CannotLoad from error
        except BaseException:  # cancelled, or no room: not the engine's fault
            self._gone(group, one)
            raise
        one.ready_at = one.used_at = self.clock.monotonic_s()
        group.places.join(one.key, self.task.slots)
        self._keep(asyncio.create_task(self._watch(group, one, one.process)))

    def _order(self, group: Group, one: Replica) -> EngineOrder:
        assert group.card.path is not None
        return EngineOrder(
            model=group.card.path,
            place=self.folder / one.key[:PLACE_LETTERS],
            walls=self.walls,
            memory_mib=group.cost_mib * MEMORY_FACTOR + MEMORY_SPARE_MIB,
            key=one.key,
            threads=self.task.threads,
            slots=self.task.slots,
            context_tokens=self._order_tokens(group.card),
        )

    def _keep(self, task: "asyncio.Task[Any]") -> None:
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _watch(self, group: Group, one: Replica, process: EngineProcess) -> None:
        """Notice the end of an engine that nobody asked to end, and end one that hangs: one that
        has work and uses no processor time."""
        before, name = None, group.card.name
        while not await process.ended_within(self.task.hung_after_s):
            now = await asyncio.to_thread(process.cpu_ticks) if one.users else None
            if now is not None and now == before:
                logger.error("the engine of %s hangs and is killed", name)
                process.process.kill()
            before = now
        if one.ended:
            return
        process.forget()
        code, tail = process.process.returncode, " | ".join(list(process.tail)[-5:])
        logger.error("the engine of %s ended with %s: %s", name, code, tail)
        if self.clock.monotonic_s() - one.ready_at < HEALTHY_AFTER_S:
            self._back_off.failed(name)
        else:
            self._back_off.worked(name)
        self._gone(group, one)

    def _gone(self, group: Group, one: Replica) -> None:
        one.ended = True
        group.places.leave(one.key)
        if one in group.replicas:
            group.replicas.remove(one)
        if one.reserved:
            one.reserved = False
            self._room.give_back(group.cost_mib)
        self._drop(group)
        self._room.changed()

    def _drop(self, group: Group) -> None:
        """The last of its engines has ended: who waits for a place hears of it."""
        if group.replicas:
            return
        group.open.set()
        group.places.close()
        key = group.card.name, group.held
        if self._groups.get(key) is group:
            del self._groups[key]

    async def _make_room(self, group: Group, one: Replica) -> None:
        """Wait until it fits, ending idle engines. Raises when it does not in time."""
        if group.held:
            return  # it has its room
        try:
            await self._room.take(group.cost_mib, self.task.load_timeout_s)
        except NeverFits:
            raise ServiceError("ServiceUnavailableException", FITS_NOT) from None
        except TimeoutError:
            raise not_ready() from None
        one.reserved = True

    async def _end(self, group: Group, one: Replica) -> None:
        if one.ended:
            return
        self._gone(group, one)
        if one.process is not None:
            await one.process.stop()

    def _order_tokens(self, card: ModelCard) -> int:
        return self.context_tokens(card) * self.task.slots

    def cost_mib(self, card: ModelCard) -> int:
        """What one engine of a model takes."""
        cache = self._order_tokens(card) * card.kv_bytes_per_token
        return int((card.size * WEIGHTS_FACTOR + cache) / (1 << 20)) + PROCESS_MIB


@dataclass(frozen=True, slots=True)
class _Hold:
    sha256: str
    units: int
    label: str
    cost_mib: int


def _state(one: Replica) -> str:
    if one.process is None:
        return "loading"
    return "draining" if one.draining else "ready"


def _seen(load: "asyncio.Task[None]") -> None:
    """A load that fails after everybody went away is in the log already."""
    if not load.cancelled():
        load.exception()
