import asyncio

import pytest

from bastide.inference.cache_points import KNOWN_MAX, TTL_S, CachePoint, CachePoints
from bastide.kernel.clock import ManualClock

LOW, HIGH = ("lab", "U", "model"), ("lab", "S", "model")


def point(*texts, ttl="5m"):
    return CachePoint([{"role": "user", "content": text} for text in texts], TTL_S[ttl])


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture
def told(clock):
    """`told(view, *points)`; each letter is a token. `told.counted`: what an engine was asked."""
    cache, counted = CachePoints(clock), []

    async def count(messages):
        counted.append(messages)
        return sum(len(one["content"]) for one in messages)

    def ask(view, *points):
        return asyncio.run(cache.told(view, points, count))

    ask.counted, ask.cache = counted, cache
    return ask


def test_what_a_view_had_remembered_is_read_by_it_alone(told):
    assert told(LOW, point("rules")) == (0, 5)
    assert told(LOW, point("rules")) == (5, 5)
    assert told(HIGH, point("rules")) == (0, 5)
    assert told(("lab", "U", "another"), point("rules")) == (0, 5)
    assert told(LOW, point("Rules")) == (0, 5)


def test_the_longest_known_beginning_counts(told):
    told(LOW, point("rules"), point("rules", "long"))
    assert told(LOW, point("rules"), point("rules", "other")) == (5, 10)
    assert told(LOW, point("rules"), point("rules", "long"), point("rules", "long", "x")) == (9, 10)


def test_what_is_known_is_not_counted_again(told):
    told(LOW, point("rules"))
    told(LOW, point("rules"))
    assert len(told.counted) == 1


@pytest.mark.parametrize(("ttl", "seconds"), [("5m", 300), ("1h", 3600)])
def test_a_beginning_is_remembered_as_long_as_was_asked_since_it_was_last_used(
    told, clock, ttl, seconds
):
    told(LOW, point("rules", ttl=ttl))
    for read in (5, 5, 0):
        clock.elapsed_s += seconds - 1 if read else seconds
        assert told(LOW, point("rules", ttl=ttl)) == (read, 5)


def test_no_view_forgets_for_another_and_none_keeps_without_end(told, clock):
    told(LOW, point("rules"))
    for number in range(KNOWN_MAX + 1):
        told(HIGH, point(f"{number:5}"))
    assert told(HIGH, point(f"{1:5}"))[0] == 5
    assert told(HIGH, point(f"{0:5}"))[0] == 0
    assert told(LOW, point("rules"))[0] == 5
    clock.elapsed_s += 300
    another = ("lab", "C", "model")
    told(another, point("rules"))
    assert list(told.cache._views) == [another]


def test_texts_are_not_run_together(told):
    told(LOW, point("ab", "c"))
    assert told(LOW, point("a", "bc"))[0] == 0


def test_who_comes_while_tokens_are_counted_changes_nothing(clock):
    """What a view forgets of others is never what one of them is about to remember."""
    cache = CachePoints(clock)

    async def plain(messages):
        return 5

    async def slow(messages):
        clock.elapsed_s += 400
        await cache.told(HIGH, [point("above")], plain)
        return 5

    assert asyncio.run(cache.told(LOW, [point("rules")], slow)) == (0, 5)
    assert asyncio.run(cache.told(LOW, [point("rules")], plain)) == (5, 5)
