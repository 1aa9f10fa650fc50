"""Strangers leave evidence, and cannot fill the log with it."""

import asyncio
from datetime import timedelta

import pytest

from bastide.kernel.clock import ManualClock
from bastide.kernel.errors import Unavailable
from bastide.wire import rejections
from bastide.wire.rejections import Rejections
from tests.wire.gateway.kit import NOW, Request, StubAuditor, ask
from tests.wire.gateway.live import SkippingLoop


@pytest.fixture
def clock():
    return ManualClock(NOW)


@pytest.fixture
def auditor():
    return StubAuditor()


def from_(address: str) -> dict[str, str]:
    return {"source_ip": address, "path": "/"}


def run(main) -> None:
    loop = SkippingLoop()
    try:
        loop.run_until_complete(main(loop))
    finally:
        loop.close()


def test_the_first_are_recorded_and_the_rest_counted(auditor, clock):
    async def main(loop):
        kept = Rejections(auditor, clock)
        recorded = [kept.record(from_("192.0.2.1"), "AccessDenied") for _ in range(1000)]
        assert sum(one is not None for one in recorded) == rejections.BURST
        assert kept.record(from_("192.0.2.2"), "AccessDenied"), "another address has its own"
        clock.advance(3)
        again = [kept.record(from_("192.0.2.1"), "AccessDenied") for _ in range(10)]
        assert sum(one is not None for one in again) == 3
        loop.skipped_s += rejections.INTERVAL_S + 0.1
        await asyncio.sleep(0.01)
        assert auditor.events[-1] == ("further", "192.0.2.1", str(900 + 7))
        kept.close()
        assert auditor.kinds().count("further") == 1, "nothing is told twice"

    run(main)


def test_many_addresses_are_bounded_together(auditor, clock, monkeypatch):
    monkeypatch.setattr(rejections, "SOURCES_MAX", 50)

    async def main(loop):
        kept = Rejections(auditor, clock)
        for n in range(10_000):
            kept.record(from_(f"2001:db8:{n // 100:x}:{n % 100:x}::1"), "AccessDenied")
        assert len(auditor.events) <= rejections.ALL_BURST
        assert len(kept._sources) == 51
        before = len(auditor.events)
        kept.close()
        told = {source: int(count) for _, source, count in auditor.events[before:]}
        assert set(told) == {rejections.ELSEWHERE}
        assert before + sum(told.values()) == 10_000

    run(main)


def test_quiet_addresses_are_forgotten(auditor, clock):
    async def main(loop):
        kept = Rejections(auditor, clock)
        kept.record(from_("192.0.2.1"), "AccessDenied")
        clock.advance(rejections.INTERVAL_S)
        kept.tell()
        assert kept._sources == {}
        assert kept._tick is None

    run(main)


def test_what_could_not_be_told_is_told_later(auditor, clock):
    async def main(loop):
        kept = Rejections(auditor, clock)
        for _ in range(150):
            kept.record(from_("192.0.2.1"), "AccessDenied")
        auditor.unavailable = True
        with pytest.raises(Unavailable):
            kept.record(from_("192.0.2.9"), "AccessDenied")
        kept.tell()
        auditor.unavailable = False
        kept.close()
        assert auditor.events[-1] == ("further", "192.0.2.1", "50")

    run(main)


def test_a_flood_is_answered_all_the_same(world):
    async def main():
        answers = [await ask(world.gateway, Request("GET", "/").set("host", "h"))
                   for _ in range(300)]  # fmt: skip
        assert {answer.status for answer in answers} == {403}
        assert world.auditor.kinds() == ["rejected"] * int(rejections.BURST)
        world.gateway.rejections.close()
        assert world.auditor.events[-1] == ("further", "192.0.2.7", "200")

    asyncio.run(main())


def test_a_clock_that_goes_back_gives_nothing(auditor, clock):
    async def main(loop):
        kept = Rejections(auditor, clock)
        for _ in range(200):
            kept.record(from_("192.0.2.1"), "AccessDenied")
        clock.advance(-timedelta(days=1).total_seconds())
        assert kept.record(from_("192.0.2.1"), "AccessDenied") is None
        kept.close()

    run(main)
