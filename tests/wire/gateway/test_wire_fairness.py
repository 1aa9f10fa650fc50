"""One agency takes no thread from another: slow uploads and slow handlers hold its own share."""

import asyncio
import contextlib
import select
import threading

import pytest

from bastide.wire import pool
from bastide.wire.pool import Pool, Throttled
from tests.waiting import eventually
from tests.wire.gateway.kit import OTHER_KEY, SECRET_KEY, Request, World
from tests.wire.gateway.live import Live, SkippingLoop, statuses
from tests.wire.gateway.test_wire_connections import answer_of


@pytest.fixture
def live():
    made = Live(World(allow_plain=True), make_loop=SkippingLoop)
    yield made
    made.world.handlers.gate.set()
    made.close()


IDENTITY = Request("POST", "/", [("content-type", "application/x-www-form-urlencoded")],
                   b"Action=GetCallerIdentity&Version=2011-06-15", "sts")  # fmt: skip


def signed(request: Request, key: str | None = None) -> bytes:
    one = Request(request.method, request.target, list(request.headers), request.body,
                  request.service)  # fmt: skip
    return (one.sign(key=key) if key else one.sign()).wire()


UPLOAD = Request("PUT", "/bucket/key", [], b"x" * 100_000)
SLOW = Request("GET", "/?prefix=slow")


@pytest.mark.parametrize("key", [OTHER_KEY, SECRET_KEY])
@pytest.mark.parametrize(("request_", "sent"), [(UPLOAD, -1), (SLOW, None)])
def test_a_whole_share_of_slow_requests_leaves_others_alone(live, request_, sent, key):
    """Others are another agency, and the same one at another label."""
    reached = live.world.handlers.reached
    data = signed(request_)
    with contextlib.ExitStack() as kept:
        socks = [kept.enter_context(live.connect()) for _ in range(6)]
        for sock in socks:
            sock.sendall(data[:sent])
        eventually(lambda: len(reached) == 2)  # of four threads
        for other in (IDENTITY, Request("GET", "/"), Request("PUT", "/bucket/key", [], b"x")):
            answer = live.raw(signed(other, key))
            assert statuses(answer) == [200], answer
        lines = [line for one in live.world.pools for line in one._waiting.values()]
        eventually(lambda: sum(len(line) for line in lines) == 4)
        live.loop.skip(pool.WAIT_S + 0.1)
        for answer in answers(socks, 4):  # which two had a turn is chance
            assert statuses(answer) == [503]
            assert b"SlowDown" in answer
            assert b"retry-after: 2" in answer
        live.world.handlers.gate.set()


def answers(socks, count: int) -> list[bytes]:
    """The answers of the first `count` that have one."""
    found = []
    while len(found) < count:
        ready, _, _ = select.select(socks, [], [], 10)
        assert ready, "no more answers came"
        found += [answer_of(sock) for sock in ready]
        socks = [sock for sock in socks if sock not in ready]
    assert len(found) == count
    return found


def test_a_slow_upload_is_asked_for_only_when_it_has_a_thread(live):
    head = Request("PUT", "/bucket/key", [("expect", "100-continue")], b"x" * 100_000)
    data = signed(head).removesuffix(head.body)
    with contextlib.ExitStack() as kept:
        socks = [kept.enter_context(live.connect()) for _ in range(3)]
        for sock in socks[:2]:
            sock.sendall(data)
            assert sock.recv(100).startswith(b"HTTP/1.1 100")
        socks[2].sendall(data)
        eventually(lambda: live.world.pools[1]._waiting)
        live.loop.skip(pool.WAIT_S + 0.1)
        assert answer_of(socks[2]).startswith(b"HTTP/1.1 503")


def run(main) -> None:
    loop = SkippingLoop()
    try:
        loop.run_until_complete(main(loop))
    finally:
        loop.close()


@pytest.fixture
def threads():
    made = Pool(4, "test-pool")
    yield made
    made.close()


def test_turns_go_round(threads):
    async def main(loop):
        order, gate = [], threading.Event()

        def work(name):
            gate.wait(10)
            order.append(name)

        for_a = [asyncio.ensure_future(threads.run("a", work, "a")) for _ in range(6)]
        await asyncio.sleep(0)
        for_b = [asyncio.ensure_future(threads.run("b", work, "b")) for _ in range(3)]
        await asyncio.sleep(0)
        assert threads._shares.free == 1
        gate.set()
        await asyncio.gather(*for_a, *for_b)
        assert sorted(order) == ["a"] * 6 + ["b"] * 3
        assert "b" in order[:5], "it did not wait for all of the others'"
        assert (threads._shares.free, threads._waiting) == (4, {})

    run(main)


def test_who_waits_too_long_or_leaves_gives_up_its_place(threads):
    async def main(loop):
        gate = threading.Event()
        held = [asyncio.ensure_future(threads.run("a", gate.wait, 10)) for _ in range(2)]
        late = asyncio.ensure_future(threads.run("a", gate.wait, 10))
        gone = asyncio.ensure_future(threads.run("a", gate.wait, 10))
        patient = asyncio.ensure_future(_for_ever(threads))
        await asyncio.sleep(0.01)
        gone.cancel()
        await asyncio.sleep(0)
        loop.skipped_s += pool.WAIT_S + 0.1
        with pytest.raises(Throttled):
            await late
        assert not patient.done()
        gate.set()
        await asyncio.gather(*held, patient)
        assert (threads._shares.free, threads._waiting) == (4, {})

    run(main)


async def _for_ever(threads: Pool) -> None:
    async with threads.turn("a", wait_s=None):
        pass


def test_who_leaves_when_called_passes_the_turn_on(threads):
    async def main(loop):
        async with threads.turn("a"), threads.turn("a"):
            first = asyncio.ensure_future(_for_ever(threads))
            second = asyncio.ensure_future(_for_ever(threads))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        first.cancel()  # it has been called, and has not run yet
        await second
        assert (threads._shares.free, threads._waiting) == (4, {})

    run(main)


def test_the_line_is_bounded(threads, monkeypatch):
    monkeypatch.setattr(pool, "WAITING_MAX", 1)

    async def main(loop):
        async with threads.turn("a"), threads.turn("a"):
            waiting = asyncio.ensure_future(_for_ever(threads))
            await asyncio.sleep(0)
            with pytest.raises(Throttled):
                await threads.run("a", print)
        await waiting

    run(main)
