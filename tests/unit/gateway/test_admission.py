"""Slots are counted, the queue is short and fair, and nothing is lost when somebody leaves it."""

import asyncio

import pytest

from services.gateway.admission import Slots
from services.gateway.errors import Overloaded


async def test_free_slots_are_taken_without_a_wait() -> None:
    slots = Slots(limit=2, queue=0, wait=1.0)

    assert [True, True, False] == [slots.take() for _ in range(3)]
    slots.give_back()
    assert slots.take()


async def test_a_full_queue_refuses_at_once_and_says_when_to_come_back() -> None:
    slots = Slots(limit=1, queue=0, wait=7.0)
    slots.take()

    with pytest.raises(Overloaded) as refusal:
        await slots.wait()

    assert 7.0 == refusal.value.fault.retry_after
    assert 429 == refusal.value.fault.status


async def test_a_wait_that_lasts_too_long_is_refused_and_leaves_the_queue() -> None:
    slots = Slots(limit=1, queue=1, wait=0.01)
    slots.take()

    with pytest.raises(Overloaded):
        await slots.wait()

    assert 0 == slots.waiting
    slots.give_back()
    assert 0 == slots.running


async def test_the_queue_is_served_in_order() -> None:
    slots, order = Slots(limit=1, queue=3, wait=1.0), list[int]()
    slots.take()

    async def one(number: int) -> None:
        await slots.wait()
        order.append(number)
        slots.give_back()

    async with asyncio.TaskGroup() as group:
        for number in range(3):
            group.create_task(one(number))
        await asyncio.sleep(0)
        assert 3 == slots.waiting
        assert not slots.take()
        slots.give_back()

    assert [0, 1, 2] == order
    assert 0 == slots.running


async def test_one_who_leaves_in_the_instant_of_being_served_gives_the_slot_on() -> None:
    slots = Slots(limit=1, queue=2, wait=1.0)
    slots.take()
    async with asyncio.TaskGroup() as group:
        leaver = group.create_task(slots.wait())
        stayer = group.create_task(slots.wait())
        await asyncio.sleep(0)
        slots.give_back()
        leaver.cancel()
        await stayer

    assert 1 == slots.running
    slots.give_back()
    assert 0 == slots.running


async def test_one_who_leaves_the_queue_is_skipped() -> None:
    slots = Slots(limit=1, queue=2, wait=1.0)
    slots.take()
    async with asyncio.TaskGroup() as group:
        leaver = group.create_task(slots.wait())
        stayer = group.create_task(slots.wait())
        await asyncio.sleep(0)
        leaver.cancel()
        slots.give_back()
        await stayer

    assert 1 == slots.running


async def test_a_slot_that_is_free_again_is_taken_instead_of_waited_for() -> None:
    slots = Slots(limit=1, queue=0, wait=1.0)

    await slots.wait()

    assert 1 == slots.running
