"""The places of an engine: fair, bounded, and warm for their own agency only."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bastide.inference.places import WAITING_PER_PLACE_MAX, Asker, Places, PlacesClosed, PlacesFull

pytestmark = pytest.mark.asyncio


def of_one_engine(count):
    places = Places()
    places.join("e", count)
    return places


async def used(places, owner):
    place, warm = await places.take(Asker(owner))
    places.remember(place)
    places.give_back(place)
    return place.number, warm


async def test_warm_only_for_the_same_owner():
    places = of_one_engine(2)
    assert await used(places, "a") == (0, False)
    assert await used(places, "a") == (0, True)
    assert await used(places, "b") == (1, False)
    assert await used(places, "c") == (0, False), "the longest unused"
    assert await used(places, "a") == (1, False)


async def test_cold_for_the_same_owner_at_another_label():
    places = of_one_engine(1)
    for label, warm in (("S", False), ("S", True), ("U", False), ("S", False)):
        place, was_warm = await places.take(Asker("a", label))
        assert was_warm is warm
        places.remember(place)
        places.give_back(place)


async def test_a_request_that_failed_leaves_its_place_cold():
    places = of_one_engine(1)
    await used(places, "a")
    place, warm = await places.take(Asker("b"))
    assert not warm
    places.give_back(place)
    assert await used(places, "b") == (0, False)
    assert await used(places, "b") == (0, True)


async def test_in_the_order_of_asking():
    places = of_one_engine(1)
    place, _ = await places.take(Asker("a"))
    order = []

    async def wait(name):
        taken, _ = await places.take(Asker(name))
        order.append(name)
        places.give_back(taken)

    tasks = [asyncio.create_task(wait(name)) for name in "xyz"]
    await asyncio.sleep(0)
    tasks[1].cancel()
    places.give_back(place)
    await asyncio.gather(*tasks, return_exceptions=True)
    assert order == ["x", "z"]
    assert (await places.take(Asker("a")))[0].number == 0


async def test_a_place_given_to_one_who_just_left_is_not_lost():
    places = of_one_engine(1)
    place, _ = await places.take(Asker("a"))
    waiting = asyncio.create_task(places.take(Asker("b")))
    await asyncio.sleep(0)
    places.give_back(place)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    assert (await asyncio.wait_for(places.take(Asker("c")), 1))[0].number == 0


async def test_the_next_place_goes_to_who_holds_the_fewest():
    """One agency with many requests does not keep another from its share."""
    places = of_one_engine(4)
    held = [(await places.take(Asker("big")))[0] for _ in range(4)]
    served = []

    async def wait(owner):
        served.append((owner, (await places.take(Asker(owner)))[0]))

    tasks = [asyncio.create_task(wait(owner)) for owner in ["big"] * 8 + ["one", "two", "one"]]
    await asyncio.sleep(0)
    for place in held:
        places.give_back(place)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    assert [owner for owner, _ in served] == ["one", "two", "big", "one"]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_bounded_and_closed():
    places = of_one_engine(1)
    await places.take(Asker("a"))
    waiting = [asyncio.create_task(places.take(Asker("b"))) for _ in range(WAITING_PER_PLACE_MAX)]
    await asyncio.sleep(0)
    with pytest.raises(PlacesFull):
        await places.take(Asker("b"))
    late = asyncio.create_task(places.take(Asker("c")))
    await asyncio.sleep(0)
    with pytest.raises(PlacesFull):
        await waiting.pop()
    waiting.append(late)
    places.close()
    for found in await asyncio.gather(*waiting, return_exceptions=True):
        assert isinstance(found, PlacesClosed)
    with pytest.raises(PlacesClosed):
        await places.take(Asker("d"))


async def test_a_full_line_above_refuses_nothing_below():
    """Else what is refused at a low label would tell what the same agency asks at a high one."""
    places, above, below = of_one_engine(1), Asker("a", "SECRET"), Asker("a", "CUI")
    held = (await places.take(above))[0]
    waiting = [asyncio.create_task(places.take(above)) for _ in range(WAITING_PER_PLACE_MAX)]
    await asyncio.sleep(0)
    late = asyncio.create_task(places.take(below))
    await asyncio.sleep(0)
    assert not late.done()
    places.give_back(held)  # to who waited first
    places.give_back((await asyncio.wait_for(waiting[0], 5))[0])
    assert (await asyncio.wait_for(late, 5))[0].number == 0
    places.close()
    await asyncio.gather(*waiting, return_exceptions=True)


async def test_a_request_goes_to_the_engine_that_is_the_least_busy():
    places = Places()
    for engine in "xyz":
        places.join(engine, 4)
    taken = [(await places.take(Asker("a")))[0] for _ in range(9)]
    assert sorted(place.engine for place in taken) == sorted("xyz" * 3)
    for place in taken:
        if place.engine == "y":
            places.give_back(place)
    assert (await places.take(Asker("b")))[0].engine == "y"


async def test_a_conversation_returns_to_the_engine_that_remembers_how_it_begins():
    places = Places()
    for engine in "xy":
        places.join(engine, 8)
    first, _ = await places.take(Asker("a", "U", "one"))
    second, _ = await places.take(Asker("a", "U", "two"))
    assert first.engine != second.engine
    for place in (first, second):
        places.remember(place)
        places.give_back(place)
    for begins, place in (("one", first), ("two", second), ("one", first)):
        again, warm = await places.take(Asker("a", "U", begins))
        assert (again, warm) == (place, True)
        places.remember(again)
        places.give_back(again)
    held = [first.engine, *("xy" * 20)]
    others = []
    while held.count(first.engine):  # the engine that remembers becomes much busier than the other
        held.remove(first.engine)
        place, _ = await places.take(Asker("b"))
        others.append(place)
        if len(others) == 14:
            break
    for place in others:
        if place.engine != first.engine:
            places.give_back(place)
    elsewhere, _ = await places.take(Asker("a", "U", "one"))
    assert elsewhere.engine != first.engine


async def test_nobody_of_another_label_finds_an_engine_by_how_a_prompt_begins():
    places = Places()
    places.join("x", 1)
    place, _ = await places.take(Asker("a", "S", "one"))
    places.remember(place)
    places.give_back(place)
    assert (await places.take(Asker("a", "U", "one")))[1] is False


async def test_tokens_admit_as_many_requests_as_an_engine_holds():
    places = Places()
    places.join("x", 8, tokens=100)
    first, _ = await places.take(Asker("a", tokens=60))
    large = asyncio.create_task(places.take(Asker("a", tokens=50)))
    small = asyncio.create_task(places.take(Asker("a", tokens=1)))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert not large.done()
    assert not small.done(), "who waits is not overtaken for ever"
    places.give_back(first)
    second, third = (await large)[0], (await small)[0]
    places.give_back(second)
    places.give_back(third)
    whole, _ = await places.take(Asker("b", tokens=1000))  # alone, more than all of it
    later = asyncio.create_task(places.take(Asker("c", tokens=1)))
    await asyncio.sleep(0)
    assert not later.done()
    places.give_back(whole)
    await later


async def test_an_engine_that_leaves_is_given_no_more_and_keeps_what_it_has():
    places = Places()
    places.join("x", 1)
    held, _ = await places.take(Asker("a"))
    places.leave("x")
    waiting = asyncio.create_task(places.take(Asker("a")))
    await asyncio.sleep(0)
    places.give_back(held)
    await asyncio.sleep(0)
    assert not waiting.done()
    places.join("y", 1)
    assert (await waiting)[0].engine == "y"


@given(data=st.data())
async def test_whatever_happens_no_place_is_given_twice_and_none_is_lost(data):
    """Against a plain count: of free places and tokens, by engine."""
    places, held, joined = Places(), [], {}
    for number in range(data.draw(st.integers(1, 3))):
        tokens = data.draw(st.none() | st.integers(10, 50))
        joined[str(number)] = (data.draw(st.integers(1, 3)), tokens)
        places.join(str(number), *joined[str(number)])
    for _ in range(data.draw(st.integers(0, 30))):
        asker = Asker(data.draw(st.sampled_from("ab")), "U", "", data.draw(st.integers(0, 30)))
        if held and data.draw(st.booleans()):
            places.give_back(held.pop(data.draw(st.integers(0, len(held) - 1))))
        elif not places.waits_for(asker):
            held.append((await places.take(asker))[0])
        assert len({(place.engine, place.number) for place in held}) == len(held)
        for engine, (count, tokens) in joined.items():
            mine = [place.holder.tokens for place in held if place.engine == engine]
            assert places.busy(engine) == len(mine) <= count
            assert tokens is None or len(mine) <= 1 or sum(mine) <= tokens
