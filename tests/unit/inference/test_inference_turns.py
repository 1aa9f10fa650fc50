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
from bastide.inference.process import EngineProcess
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


class World:
    """Engines of one kind of model, of which `fit` have room at once; time moves when told."""

    def __init__(self, folder: Path, fit: int = 1):
        self.folder, self.loop = folder, asyncio.get_running_loop()
        self.loop.set_default_executor(ThreadPoolExecutor(1))  # `settle` comes behind all loads
        self.clock, self.running, self.most = ManualClock(), set(), 0
        self.engines = Engines(
            task=EngineTask(memory_budget_mib=fit * MIB, turn_s=TURN_S, load_timeout_s=LOAD_S),
            folder=folder, walls=Walls(), clock=self.clock, ids=SeededIds(1), launch=self.launch,
        )  # fmt: skip

    async def launch(self, order, timeout_s) -> EngineProcess:
        made = FakeEngine(order)
        self.running = {one for one in self.running if not one.over.is_set()} | {made}
        self.most = max(self.most, len(self.running))
        return made

    def card(self, name):
        path = self.folder / name
        if not path.exists():  # a load reads it in a thread
            path.write_bytes(name.encode())
        digest = hashlib.sha256(name.encode()).hexdigest()
        return ModelCard(
            name=name, model_id=name, title=name, provider="Test", sha256=digest,
            size=len(name), path=path,
        )  # fmt: skip

    def ask(self, name, owner) -> asyncio.Task:
        return asyncio.create_task(self.engines.acquire(self.card(name), owner, "U"))

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
