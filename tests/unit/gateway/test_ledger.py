"""Exchanges that are over are told of in batches, to everybody, once, and where they can between two exchanges."""

import asyncio
import logging
from collections.abc import Sequence

import pytest

from services.gateway.ledger import Ledger
from services.gateway.observation import Observation


def _seen(request_id: str = "id", *, ended_at: float = 100.0) -> Observation:
    seen = Observation("POST", "/v1/messages", request_id, 100.0)
    seen.ended_at = ended_at
    return seen


async def test_what_comes_together_is_told_together() -> None:
    told: list[Sequence[Observation]] = []
    ledger = Ledger(told.append, interval=0.0)
    for _ in range(3):
        ledger.observe(_seen())
    while not told:
        await asyncio.sleep(0)

    assert [3] == [len(batch) for batch in told]


async def test_the_end_of_an_exchange_tells_of_those_that_have_waited_and_no_sooner() -> None:
    told: list[Sequence[Observation]] = []
    ledger = Ledger(told.append, interval=60)
    for ended_at in (100.0, 130.0, 159.9):
        ledger.observe(_seen(ended_at=ended_at))
        await asyncio.sleep(0)
    assert [] == told

    ledger.observe(_seen(ended_at=160.0))
    assert [] == told  # whoever ends is not kept
    ledger.observe(_seen(ended_at=160.1))
    await asyncio.sleep(0)
    assert [5] == [len(batch) for batch in told]

    ledger.observe(_seen(ended_at=200.0))
    await asyncio.sleep(0)
    assert [5] == [len(batch) for batch in told]  # which begins anew
    ledger.flush()


async def test_the_last_ones_are_told_of_though_nothing_follows() -> None:
    told: list[Sequence[Observation]] = []
    ledger = Ledger(told.append, interval=0.01)
    ledger.observe(_seen())
    async with asyncio.timeout(5):
        while not told:
            await asyncio.sleep(0.001)

    assert [1] == [len(batch) for batch in told]


async def test_a_crowd_does_not_wait() -> None:
    told: list[Sequence[Observation]] = []
    ledger = Ledger(told.append, interval=60)
    for _ in range(128):
        ledger.observe(_seen())
    await asyncio.sleep(0)

    assert [128] == [len(batch) for batch in told]


async def test_who_asks_hears_at_once_and_nothing_twice() -> None:
    told: list[Sequence[Observation]] = []
    ledger = Ledger(told.append, interval=60)
    ledger.observe(_seen())
    ledger.flush()
    ledger.flush()

    assert [1] == [len(batch) for batch in told]


async def test_one_that_fails_does_not_keep_the_others_from_hearing(caplog: pytest.LogCaptureFixture) -> None:
    told: list[Sequence[Observation]] = []

    def fails(_: Sequence[Observation]) -> None:
        raise RuntimeError("planted")

    ledger = Ledger(fails, interval=60)
    ledger.add(told.append)
    ledger.observe(_seen())
    with caplog.at_level(logging.ERROR):
        ledger.flush()

    assert 1 == len(told)
    assert ["an observer of exchanges failed"] == [record.message for record in caplog.records]
