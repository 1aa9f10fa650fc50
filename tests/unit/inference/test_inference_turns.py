"""Who waits for an engine's memory: nobody holds it for ever, and nobody is sent away early."""

import asyncio
import hashlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import pytest
from tests.wire.gateway.live import SkippingLoop

from bastide.inference.engines import Engines
from bastide.inference.model import EngineTask
from bastide.inference.process import EngineProcess, LoadFailed
from bastide.inference.walls import Walls
from bastide.kernel.clock import ManualClock
from bastide.kernel.errors import ServiceError
from bastide.kernel.ids import SeededIds
from bastide.models.model import ModelCard

TURN_S, LOAD_S = 20.0, 300.0
MIB = 65  # what one takes, and less than two
BUSY, QUIET = "111111111111", "222222222222"


@dataclass(eq=False)
class FakeEngine:
    """Runs until it is told to stop."""

    order: object
    pid: int = 1
    socket: str = "socket"
    over: asyncio.Event = field(default_factory=asyncio.Event)

    async def ended_within(self, timeout_s):
        await self.over.wait()
        return True

    def cpu_ticks(self):
        return 0

    async def stop(self):
        self.over.set()

    @property
    def process(self):
        return self

    returncode, tail = -9, ()

    def forget(self):
        assert self.over.is_set()


class World:
    """Engines of one kind of model, of which `fit` have room at once; time moves when told."""

    def __init__(self, folder: Path, fit: int = 1, slots: int = 4, **task):
        self.folder, self.loop = folder, asyncio.get_running_loop()
        self.loop.set_default_executor(ThreadPoolExecutor(1))  # `settle` comes behind all loads
        self.clock, self.running, self.most = ManualClock(), set(), 0
        self.ready, self.fails = asyncio.Event(), False
        self.ready.set()  # a load ends at once
        self.engines = Engines(
            task=EngineTask(
                memory_budget_mib=fit * MIB, turn_s=TURN_S, load_timeout_s=LOAD_S, slots=slots,
                reservable_mib={"U": 2 * MIB, "S": 2 * MIB}, **task,
            ),
            folder=folder, walls=Walls(), clock=self.clock, ids=SeededIds(1), launch=self.launch,
        )  # fmt: skip

    async def launch(self, order, timeout_s) -> EngineProcess:
        await self.ready.wait()
        if self.fails:
            raise LoadFailed("as the test asked")
        made = FakeEngine(order)
        self.running = {one for one in self.running if not one.over.is_set()} | {made}
        self.most = max(self.most, len(self.running))
        return made

    def card(self, name, held=""):
        path = self.folder / name
        if not path.exists():  # a load reads it in a thread
            path.write_bytes(name.encode())
        digest = hashlib.sha256(name.encode()).hexdigest()
        return ModelCard(
            name=name, model_id=name, title=name, provider="Test", sha256=digest,
            size=len(name), path=path, held=held,
        )  # fmt: skip

    def ask(self, name, owner, held="") -> asyncio.Task:
        return asyncio.create_task(self.engines.acquire(self.card(name, held), owner, "U"))

    async def hold(self, name, model, units, label="U") -> bool:
        return await self.engines.hold(name, self.card(model), units, label)

    async def refuses(self, name, model, units, label="U") -> bool:
        asked = asyncio.create_task(self.hold(name, model, units, label))
        await self.settle()
        await self.advance(LOAD_S)
        return not await asked

    async def until(self, condition):
        for _ in range(50):
            if condition():
                return
            await self.settle()
        raise AssertionError("it did not come")

    async def settle(self):
        """Until nothing moves: a load reads its weights in a thread."""
        for _ in range(4):  # a load that ends may let another begin
            for _ in range(20):
                await asyncio.sleep(0)
            await asyncio.to_thread(lambda: None)

    async def advance(self, seconds):
        self.clock.advance(seconds)
        self.loop.skipped_s += seconds
        await self.settle()


def play(folder, scenario, **options):
    async def whole():
        world = World(folder, **options)
        try:
            await scenario(world)
        finally:
            await world.engines.close()

    with asyncio.Runner(loop_factory=SkippingLoop) as runner:
        runner.run(whole())


def test_a_model_that_is_always_in_use_gives_way_after_its_turn(tmp_path):
    async def scenario(world):
        held = await world.ask("a", BUSY)
        waiting = world.ask("b", QUIET)
        await world.advance(TURN_S - 1)
        following = await world.ask("a", BUSY)  # its turn is not over
        held.release()
        await world.settle()
        assert not waiting.done()
        await world.advance(1)
        late = world.ask("a", BUSY)
        await world.settle()
        assert not late.done(), "it takes no new call"
        assert not waiting.done(), "what it has begun is not cut"
        following.release()
        other = await waiting
        assert not late.done()
        await world.advance(TURN_S)
        other.release()
        (await late).release()

    play(tmp_path, scenario)


def test_the_one_that_was_there_the_longest_gives_way(tmp_path):
    async def scenario(world):
        oldest = await world.ask("a", BUSY)
        await world.advance(5)
        newer = await world.ask("b", BUSY)
        waiting = world.ask("c", QUIET)
        await world.advance(TURN_S)
        (await world.ask("b", BUSY)).release()
        late = world.ask("a", BUSY)
        await world.settle()
        assert not late.done()
        oldest.release()
        (await waiting).release()
        (await late).release()
        newer.release()

    play(tmp_path, scenario, fit=2)


def test_who_gives_up_opens_it_again(tmp_path):
    async def scenario(world):
        held = await world.ask("a", BUSY)
        waiting = world.ask("b", QUIET)
        await world.advance(TURN_S)
        late = world.ask("a", BUSY)
        await world.settle()
        assert not late.done()
        await world.advance(LOAD_S)
        with pytest.raises(ServiceError, match="ModelNotReady"):
            await waiting
        held.release()
        with pytest.raises(ServiceError, match="ModelNotReady"):
            await late  # waited as long
        (await world.ask("a", BUSY)).release()

    play(tmp_path, scenario)


def test_all_who_wait_have_their_turn_the_oldest_first(tmp_path):
    """Every agency always has two calls of its own model under way; one engine fits."""

    async def scenario(world):
        order = []

        async def agency(name, calls):
            for _ in range(calls):
                lease = await world.ask(name, f"{ord(name):012}")
                if not order or order[-1] != name:
                    order.append(name)
                await asyncio.sleep(1)
                lease.release()

        tasks = [asyncio.create_task(agency(name, 60)) for name in "abcd" for _ in range(2)]
        for _ in range(2000):
            await world.advance(0.5)
            if all(task.done() for task in tasks):
                break
        await asyncio.gather(*tasks)
        assert order[:4] == ["a", "b", "c", "d"]
        assert all(order[n] not in order[n + 1 : n + 4] for n in range(8))
        assert world.most == 1

    play(tmp_path, scenario)


@pytest.mark.parametrize("seed", range(4))
def test_whatever_is_asked_all_are_served_in_bounded_time(tmp_path, seed):
    """Five models of which two fit, calls of up to 5 s without a pause."""

    async def scenario(world):
        random, longest = Random(seed), []

        async def agency(number):
            for _ in range(30):
                asked = world.clock.monotonic_s()
                lease = await world.ask(random.choice("abcde"[: number + 1]), f"{number:012}")
                longest.append(world.clock.monotonic_s() - asked)
                await asyncio.sleep(random.uniform(0, 5))
                lease.release()

        tasks = [asyncio.create_task(agency(number)) for number in range(5) for _ in range(2)]
        for _ in range(4000):
            await world.advance(0.5)
            if all(task.done() for task in tasks):
                break
        await asyncio.gather(*tasks)
        assert len(longest) == 300
        assert max(longest) < 2 * (TURN_S + 2 * 5)
        assert world.most <= 2

    play(tmp_path, scenario, fit=2)


def sockets(leases):
    return {lease.endpoint.key for lease in leases}


def test_a_second_replica_is_loaded_when_the_first_is_full(tmp_path):
    async def scenario(world):
        first = await world.ask("a", BUSY)
        second = await world.ask("a", BUSY)
        assert second.endpoint.key != first.endpoint.key
        third = world.ask("a", QUIET)
        await world.settle()
        assert not third.done(), "two are the most"
        first.release()
        assert (await third).endpoint.key == first.endpoint.key
        assert world.most == 2

    play(tmp_path, scenario, fit=3, slots=1, replicas={"a": 2})


def test_no_replica_more_where_it_does_not_fit(tmp_path):
    async def scenario(world):
        held = await world.ask("a", BUSY)
        waiting = world.ask("a", BUSY)
        await world.settle()
        assert not waiting.done()
        held.release()
        (await waiting).release()
        assert world.most == 1

    play(tmp_path, scenario, fit=1, slots=1, replicas={"a": 2})


def test_one_of_two_replicas_drains_for_who_needs_room(tmp_path):
    async def scenario(world):
        leases = [await world.ask("a", BUSY) for _ in range(2)]
        waiting = world.ask("b", QUIET)
        await world.advance(TURN_S)
        (draining,) = [row for row in world.engines.rows() if row["state"] == "draining"]
        assert draining["requests"] == 1, "what it has begun is not cut"
        other = world.ask("a", BUSY)
        await world.settle()
        assert not other.done()
        for lease in leases:
            lease.release()
        assert (await other).endpoint.key in sockets(leases), "the one that stays"
        (await waiting).release()
        assert world.most == 2

    play(tmp_path, scenario, fit=2, slots=1, replicas={"a": 2})


def test_one_replica_that_dies_leaves_the_other_at_work(tmp_path):
    async def scenario(world):
        leases = [await world.ask("a", BUSY) for _ in range(2)]
        dead = next(one for one in world.running if one.order.key == leases[0].endpoint.key)
        dead.over.set()
        await world.until(lambda: len(world.engines.rows()) == 1)
        leases[0].release()  # of an engine that is gone
        leases[1].release()
        again = await world.ask("a", QUIET)
        assert again.endpoint.key == leases[1].endpoint.key

    play(tmp_path, scenario, fit=2, slots=1, replicas={"a": 2})


def test_what_is_held_is_for_its_own_calls_and_never_gives_way(tmp_path):
    async def scenario(world):
        assert await world.hold("r", "a", 1)
        assert await world.hold("r", "a", 1), "the same again"
        on_demand = await world.ask("a", BUSY)
        reserved = await world.ask("a", QUIET, held="r")
        assert reserved.endpoint.key != on_demand.endpoint.key
        reserved.release()
        on_demand.release()
        await world.advance(TURN_S)
        (await world.ask("b", BUSY)).release()
        rows = {(row["model"], row["reservation"]) for row in world.engines.rows()}
        assert rows == {("a", "r"), ("b", "")}

    play(tmp_path, scenario, fit=2)


def test_no_more_is_held_than_there_is_and_than_may_be(tmp_path):
    async def scenario(world):
        assert await world.refuses("big", "a", 3), "two may be held"
        assert await world.hold("r", "a", 2)
        assert await world.refuses("s", "b", 1)
        with pytest.raises(ServiceError, match="ModelNotReady"):
            await world.ask("a", BUSY, held="big")
        with pytest.raises(ServiceError, match="ModelNotReady"):
            await world.ask("b", BUSY, held="r"), "another model's"
        await world.engines.let_go("r")
        assert world.engines.rows() == []
        assert await world.hold("s", "b", 1)

    play(tmp_path, scenario, fit=4)


def test_who_takes_the_place_of_a_reservation_that_still_ends_takes_no_other_labels(tmp_path):
    async def scenario(world):
        assert await world.hold("old", "a", 2)
        new = asyncio.create_task(world.hold("new", "b", 2))  # `old` was deleted a moment ago
        await world.settle()
        assert await world.hold("s", "b", 2, "S"), "its own part is all there"
        assert not await world.hold("t", "b", 1, "TS"), "a label without a part"
        assert not new.done()
        await world.engines.let_go("old")
        assert await new
        await world.engines.let_go("s")
        assert await world.refuses("more", "b", 1), "what is free at another label is not ours"

    play(tmp_path, scenario, fit=5)


def test_who_gives_up_waiting_for_a_place_keeps_none_of_it(tmp_path):
    async def scenario(world):
        lease = await world.ask("a", BUSY)
        assert await world.refuses("r", "b", 2), "what it needs is in use all the time"
        lease.release()
        assert await world.hold("s", "b", 2)

    play(tmp_path, scenario, fit=2)


def test_two_who_hold_the_same_at_once_load_it_once_and_neither_is_told_too_early(tmp_path):
    async def scenario(world):
        world.ready = asyncio.Event()
        both = [asyncio.create_task(world.hold("r", "a", 1)) for _ in range(2)]
        await world.settle()
        assert not any(one.done() for one in both), "nothing is loaded yet"
        world.ready.set()
        assert await asyncio.gather(*both) == [True, True]
        assert world.most == 1
        await world.engines.let_go("r")
        await world.engines.let_go("r")
        assert await world.hold("s", "b", 2), "all of the room is back"

    play(tmp_path, scenario, fit=2)


def test_who_held_with_one_whose_load_failed_is_told_so(tmp_path):
    async def scenario(world):
        world.ready = asyncio.Event()
        both = [asyncio.create_task(world.hold("r", "a", 1)) for _ in range(2)]
        await world.settle()
        world.fails = True
        world.ready.set()
        assert await asyncio.gather(*both) == [False, False]
        assert world.engines.rows() == []

    play(tmp_path, scenario, fit=2)


def test_calls_and_a_reservation_that_load_at_once_share_the_room_and_not_the_load(tmp_path):
    async def scenario(world):
        on_demand = [world.ask("a", BUSY), world.ask("a", QUIET)]
        holding = asyncio.create_task(world.hold("r", "a", 1))
        other = world.ask("b", QUIET)  # only two fit
        await world.settle()
        assert await holding
        assert world.most == 2
        assert not other.done()
        for asked in on_demand:
            (await asked).release()
        (await other).release()
        assert world.most == 2

    play(tmp_path, scenario, fit=2)


def test_what_is_held_is_loaded_again_when_it_dies(tmp_path):
    async def scenario(world):
        assert await world.hold("r", "a", 1)
        (one,) = world.running
        one.over.set()
        await world.until(lambda: not world.engines.rows())
        (await world.ask("a", QUIET, held="r")).release()
        assert await world.refuses("s", "b", 2), "the room was kept"

    play(tmp_path, scenario, fit=2)


def test_a_model_that_is_gone_is_unloaded(tmp_path):
    async def scenario(world):
        (await world.ask("a", BUSY)).release()
        await world.engines.unload("a")
        assert world.engines.rows() == []
        (await world.ask("b", BUSY)).release()

    play(tmp_path, scenario)
