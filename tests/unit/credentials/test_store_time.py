"""The store's clock, at hand."""

from services.credentials.store_time import StoreTime
from services.credentials.stores.memory import MemoryStore
from tests.support.clock import ManualClock


async def test_it_is_the_stores_clock_whatever_this_machine_thinks() -> None:
    clock, store = ManualClock(now=5_000.0), MemoryStore(ManualClock(now=9_000.0))
    time = StoreTime(clock)
    before = time.now()
    await time.sample(store)
    clock.advance(10.0)
    clock.step_wall(-600.0)

    assert (before, time.now()) == (5_000.0, 9_010.0)


async def test_a_clock_that_is_set_back_makes_nothing_younger() -> None:
    clock = ManualClock(now=5_000.0)
    store = MemoryStore(clock)
    time = StoreTime(clock)
    await time.sample(store)
    clock.step_wall(-600.0)
    await time.sample(store)
    held = time.now()
    clock.step_wall(1_200.0)
    await time.sample(store)

    assert (held, time.now()) == (5_000.0, 5_600.0)
