"""The places of an engine: fair, bounded, and warm for their own agency only."""

import asyncio

import pytest

from bastide.inference.slots import WAITING_PER_SLOT_MAX, Slots, SlotsClosed, SlotsFull

pytestmark = pytest.mark.asyncio


async def used(slots, owner):
    slot, warm = await slots.take(owner)
    slots.remember(slot, owner)
    slots.give_back(slot)
    return slot, warm


async def test_warm_only_for_the_same_owner():
    slots = Slots(2)
    assert await used(slots, "a") == (0, False)
    assert await used(slots, "a") == (0, True)
    assert await used(slots, "b") == (1, False)
    assert await used(slots, "c") == (0, False), "the longest unused"
    assert await used(slots, "a") == (1, False)


async def test_cold_for_the_same_owner_at_another_label():
    slots = Slots(1)
    for label, warm in (("S", False), ("S", True), ("U", False), ("S", False)):
        slot, was_warm = await slots.take("a", label)
        assert was_warm is warm
        slots.remember(slot, "a", label)
        slots.give_back(slot)


async def test_a_request_that_failed_leaves_its_place_cold():
    slots = Slots(1)
    await used(slots, "a")
    slot, warm = await slots.take("b")
    assert not warm
    slots.give_back(slot)
    assert await used(slots, "b") == (0, False)
    assert await used(slots, "b") == (0, True)


async def test_in_the_order_of_asking():
    slots = Slots(1)
    slot, _ = await slots.take("a")
    order = []

    async def wait(name):
        taken, _ = await slots.take(name)
        order.append(name)
        slots.give_back(taken)

    tasks = [asyncio.create_task(wait(name)) for name in "xyz"]
    await asyncio.sleep(0)
    tasks[1].cancel()
    slots.give_back(slot)
    await asyncio.gather(*tasks, return_exceptions=True)
    assert order == ["x", "z"]
    assert (await slots.take("a"))[0] == 0


async def test_a_place_given_to_one_who_just_left_is_not_lost():
    slots = Slots(1)
    slot, _ = await slots.take("a")
    waiting = asyncio.create_task(slots.take("b"))
    await asyncio.sleep(0)
    slots.give_back(slot)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    assert (await asyncio.wait_for(slots.take("c"), 1))[0] == 0


async def test_the_next_place_goes_to_who_holds_the_fewest():
    """One agency with many requests does not keep another from its share."""
    slots = Slots(4)
    held = [(await slots.take("big"))[0] for _ in range(4)]
    served = []

    async def wait(owner):
        served.append((owner, (await slots.take(owner))[0]))

    tasks = [asyncio.create_task(wait(owner)) for owner in ["big"] * 8 + ["one", "two", "one"]]
    await asyncio.sleep(0)
    for slot in held:
        slots.give_back(slot)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    assert [owner for owner, _ in served] == ["one", "two", "big", "one"]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_bounded_and_closed():
    slots = Slots(1)
    await slots.take("a")
    waiting = [asyncio.create_task(slots.take("b")) for _ in range(WAITING_PER_SLOT_MAX)]
    await asyncio.sleep(0)
    with pytest.raises(SlotsFull):
        await slots.take("b")
    late = asyncio.create_task(slots.take("c"))
    await asyncio.sleep(0)
    with pytest.raises(SlotsFull):
        await waiting.pop()
    waiting.append(late)
    slots.close()
    for found in await asyncio.gather(*waiting, return_exceptions=True):
        assert isinstance(found, SlotsClosed)
    with pytest.raises(SlotsClosed):
        await slots.take("d")
