"""The client of replicas against servers that behave, break off, stall and answer too much."""

import asyncio
import contextlib

import pytest

from bastide.jobs.replica_protocol import Budget
from bastide.jobs.replicas import Asked, NotAnswered, NotReached, Replicas
from bastide.kernel.errors import ServiceError
from bastide.kernel.shares import view_of
from bastide.serving.load import BYTES_MAX, REPLICA_CALLS_MAX, Load

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
pytestmark = pytest.mark.asyncio


@contextlib.asynccontextmanager
async def serving(path, behave):
    """`behave(reader, writer, nth)` is what the nth connection meets."""
    count = 0

    async def accepted(reader, writer):
        nonlocal count
        count += 1
        try:
            await behave(reader, writer, count)
        finally:
            writer.close()

    replicas = Replicas()
    async with await asyncio.start_unix_server(accepted, str(path)):
        yield replicas, lambda: count
        await replicas.close()


async def request(reader):
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
    return head, await reader.readexactly(length)


def asked(body=b"x", timeout_s=5.0):
    return Asked(headers={"Content-Type": "a/b"}, body=body, timeout_s=timeout_s)


async def whole(replicas, path, one=None):
    answer = await replicas.ask(path, one or asked())
    try:
        return b"".join([piece async for piece in answer.pieces()])
    finally:
        answer.close()


async def test_a_connection_is_used_again_and_only_what_was_asked_is_sent(tmp_path):
    heads = []

    async def behave(reader, writer, nth):
        with contextlib.suppress(asyncio.IncompleteReadError):
            while True:
                heads.append((await request(reader))[0])
                writer.write(OK)

    async with serving(tmp_path / "s", behave) as (replicas, count):
        for _ in range(3):
            assert await whole(replicas, tmp_path / "s") == b"ok"
        assert count() == 1
    names = {line.partition(b":")[0].lower() for line in heads[0].split(b"\r\n")[1:] if line}
    assert names == {b"host", b"content-type", b"content-length"}


async def test_a_request_that_was_read_is_never_sent_twice(tmp_path):
    async def behave(reader, writer, nth):
        await request(reader)

    async with serving(tmp_path / "s", behave) as (replicas, count):
        with pytest.raises(NotAnswered):
            await whole(replicas, tmp_path / "s")
        assert count() == 1


async def test_a_request_that_nobody_read_was_not_taken(tmp_path):
    async def behave(reader, writer, nth):
        if nth == 1:
            await request(reader)
            writer.write(OK)
            return  # keeps silent about it, and goes
        await reader.read(1)

    async with serving(tmp_path / "s", behave) as (replicas, _):
        assert await whole(replicas, tmp_path / "s") == b"ok"
        big = asked(b"x" * 1_000_000)
        with pytest.raises(NotReached):
            await whole(replicas, tmp_path / "s", big)
        with pytest.raises(NotReached):
            await whole(replicas, tmp_path / "nothing")


@pytest.mark.parametrize(
    "said",
    [
        b"nonsense\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 100_000 + b"\r\n\r\n",
    ],
)
async def test_what_is_no_answer(tmp_path, said):
    async def behave(reader, writer, nth):
        await request(reader)
        writer.write(said)

    async with serving(tmp_path / "s", behave) as (replicas, _):
        with pytest.raises(NotAnswered) as caught:
            await whole(replicas, tmp_path / "s")
        assert not caught.value.timed_out


@pytest.mark.parametrize("begun", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nab"])
async def test_the_time_is_bounded_to_the_last_byte(tmp_path, begun):
    async def behave(reader, writer, nth):
        await request(reader)
        writer.write(begun)
        await reader.read()  # until the client gives up

    async with serving(tmp_path / "s", behave) as (replicas, _):
        with pytest.raises(NotAnswered) as caught:
            await whole(replicas, tmp_path / "s", asked(timeout_s=0.05))
        assert caught.value.timed_out


async def test_a_caller_that_leaves_ends_the_connection(tmp_path):
    left = asyncio.Event()
    came = asyncio.Event()

    async def behave(reader, writer, nth):
        await request(reader)
        came.set()
        await reader.read()
        left.set()

    async with serving(tmp_path / "s", behave) as (replicas, _):
        task = asyncio.create_task(whole(replicas, tmp_path / "s"))
        await came.wait()
        task.cancel()
        await asyncio.wait_for(left.wait(), 5)
        await asyncio.gather(task, return_exceptions=True)


async def test_load_is_bounded(tmp_path):
    load, a, b = Load(), tmp_path / "a", tmp_path / "b"
    with contextlib.ExitStack() as held:
        for _ in range(REPLICA_CALLS_MAX):
            held.enter_context(load.call(a))
        assert load.order([a, b]) == [b, a]
        with pytest.raises(ServiceError, match="ServiceUnavailable"), load.call(a):
            pass
        memory = held.enter_context(load.memory(view_of("1", "S")))
        memory.grow(BYTES_MAX)
        with (
            pytest.raises(ServiceError, match="ServiceUnavailable"),
            load.memory(view_of("1", "S")) as more,
        ):
            more.grow(1)
        for whose in (("2", "S"), ("1", "U")):  # nor is below told what is held above
            with load.memory(view_of(*whose)) as other:
                other.grow(1)
    assert (load.busy, load.held) == ({}, {})


FLOODS = {
    "interim answers": (b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 4000),
    "a head without end": (b"HTTP/1.1 200 OK\r\n", b"x-a: " + b"b" * 4000 + b"\r\n"),
    "tiny chunks": (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
                    b"1\r\nx\r\n" * 10_000),
}  # fmt: skip


@pytest.mark.parametrize("flood", FLOODS)
async def test_a_replica_that_sends_little_but_framing_is_broken_off(tmp_path, flood):
    first, more = FLOODS[flood]
    sent = 0

    async def behave(reader, writer, nth):
        nonlocal sent
        await request(reader)
        writer.write(first)
        with contextlib.suppress(ConnectionError):
            while sent < 64 << 20:
                writer.write(more)
                await writer.drain()
                sent += len(more)

    async with serving(tmp_path / "s", behave) as (replicas, _):
        with pytest.raises(NotAnswered):  # and not asked again
            await whole(replicas, tmp_path / "s", asked(timeout_s=60))
    assert sent < 8 << 20


async def test_a_long_body_in_small_parts_is_whole(tmp_path):
    """Words of a model: five bytes of framing for each ten."""

    async def behave(reader, writer, nth):
        await request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
        for _ in range(200):
            writer.write(b"a\r\n0123456789\r\n" * 500)
            await writer.drain()
        writer.write(b"0\r\n\r\n")
        await writer.drain()

    async with serving(tmp_path / "s", behave) as (replicas, _):
        assert len(await whole(replicas, tmp_path / "s", asked(timeout_s=60))) == 1_000_000


async def test_who_takes_more_of_the_loop_than_its_share_waits():
    budget = Budget()
    assert budget.spend(0.2, 100.0) == 0
    assert budget.spend(0.2, 100.0) == pytest.approx(1.5)  # 0.15 s too much, at a tenth
    assert budget.spend(0.0, 101.5) == 0
