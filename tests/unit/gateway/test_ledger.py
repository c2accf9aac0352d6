"""Exchanges that are over are told of in batches, to everybody, once."""

import asyncio
import logging
from collections.abc import Sequence

import pytest

from services.gateway.ledger import Ledger
from services.gateway.observation import Observation


def _seen(request_id: str = "id") -> Observation:
    return Observation("POST", "/v1/messages", request_id, 100.0)


async def test_what_comes_together_is_told_together() -> None:
    told: list[Sequence[Observation]] = []
    ledger = Ledger(told.append, interval=0.0)
    for _ in range(3):
        ledger.observe(_seen())
    while not told:
        await asyncio.sleep(0)

    assert [3] == [len(batch) for batch in told]


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
