"""What exchanges used is counted by the hour and written down beside the data path, whatever the store does."""

import asyncio
import logging
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from services.chassis.storage import StoreUnavailable
from services.gateway.books.memory import MemoryBooks, Shelf
from services.gateway.books.port import HOUR, Tally, Usage, UsageKey
from services.gateway.observation import Observation
from services.gateway.translation.streams.events import Usage as Tokens
from services.gateway.usage_book import MOST_ROWS, UsageBook
from tests.support.clock import ManualClock

NOW = 1_800_000_000
THIS_HOUR = NOW // HOUR


class _Stumbling(MemoryBooks):
    """Books that fail or hang for as long as they are told to."""

    failing = False
    hanging = False

    async def write(self, totals: Usage) -> None:
        if self.hanging:
            await asyncio.Event().wait()
        if self.failing:
            raise StoreUnavailable("planted")
        await super().write(totals)


class _Desk:
    def __init__(self, **settings: Any) -> None:
        self.clock = ManualClock(now=NOW)
        self.books = _Stumbling(Shelf(self.clock))
        self.registry = CollectorRegistry()
        self.book = UsageBook(
            self.books,
            self.registry,
            is_known_model=lambda name: name == "glm-5.2",
            hours=24,
            clock=self.clock,
            **settings,
        )

    async def read(self) -> Usage:
        return await self.books.read(0, 10 * THIS_HOUR)

    def writes(self, outcome: str) -> float | None:
        return self.registry.get_sample_value("zcode_usage_writes_total", {"outcome": outcome})


def _seen(model: str = "glm-5.2", **fields: Any) -> Observation:
    seen = Observation("POST", "/v1/messages", "id", 100.0)
    seen.model, seen.status, seen.key_id, seen.credential_id, seen.sent_at = model, 200, "key", "crd", 100.1
    for name, value in fields.items():
        setattr(seen, name, value)
    return seen


def _key(model: str = "glm-5.2", hour: int = THIS_HOUR) -> UsageKey:
    return UsageKey(hour, model, "key", "crd")


async def test_tokens_are_counted_by_kind() -> None:
    desk = _Desk()
    usage = Tokens(input=1, cache_read=2, cache_write=3, output=4, reasoning=2)
    desk.book.take([_seen(usage=usage), _seen(usage=Tokens(output=10)), _seen(status=500), _seen(sent_at=None)])
    await desk.book.write()

    expected = Tally(requests=3, failures=1, input=1, cache_read=2, cache_write=3, output=14, reasoning=2)
    assert {_key(): expected} == await desk.read()
    assert 1 == desk.writes("written")


async def test_hours_are_kept_apart_and_let_go_when_written() -> None:
    desk = _Desk()
    desk.book.take([_seen()])
    desk.clock.advance(HOUR)
    desk.book.take([_seen()])
    await desk.book.write()

    assert {_key(): Tally(requests=1), _key(hour=THIS_HOUR + 1): Tally(requests=1)} == await desk.read()
    assert [THIS_HOUR + 1] == [key.hour for key in desk.book._totals]


async def test_what_could_not_be_written_is_written_later_and_once(caplog: pytest.LogCaptureFixture) -> None:
    desk = _Desk()
    desk.books.failing = True
    desk.book.take([_seen()])
    with caplog.at_level(logging.WARNING):
        assert not await desk.book.write()
        desk.clock.advance(HOUR)
        assert not await desk.book.write()
    assert 1 == len(caplog.records)  # said once, not every ten seconds

    desk.books.failing = False
    desk.book.take([_seen()])
    assert await desk.book.write()
    assert await desk.book.write()
    assert {_key(): Tally(requests=1), _key(hour=THIS_HOUR + 1): Tally(requests=1)} == await desk.read()
    assert 2 == desk.writes("failed")


async def test_a_name_that_nobody_knows_is_kept_only_when_the_upstream_took_it() -> None:
    desk = _Desk()
    desk.book.take([_seen("glm-6"), _seen("nonsense", status=404), _seen("m" * 1000)])
    await desk.book.write()

    assert {"glm-6", "other", "m" * 128} == {key.model for key in await desk.read()}


@pytest.mark.promise("P-51")
async def test_any_number_of_names_makes_a_bounded_number_of_rows() -> None:
    desk = _Desk()
    for number in range(10_000):
        desk.book.take([_seen(f"m{number}")])
    await desk.book.write()

    found = await desk.read()
    assert MOST_ROWS + 1 == len(found)
    assert 10_000 == sum(tally.requests for tally in found.values())


async def test_it_is_written_by_itself_and_at_the_end() -> None:
    desk = _Desk(every=0.001)
    desk.book.start()
    desk.book.take([_seen()])
    async with asyncio.timeout(30):
        while not await desk.read():
            await asyncio.sleep(0.001)

    desk.book.take([_seen()])
    await desk.book.aclose()
    assert {_key(): Tally(requests=2)} == await desk.read()


async def test_a_store_that_hangs_does_not_hold_up_the_end(caplog: pytest.LogCaptureFixture) -> None:
    desk = _Desk()
    desk.books.hanging = True
    desk.book.take([_seen()])
    with caplog.at_level(logging.WARNING):
        async with asyncio.timeout(30):
            await desk.book.aclose()

    assert ["the last usage was not written down"] == [record.message for record in caplog.records]


async def test_old_hours_are_pruned_once_an_hour() -> None:
    desk = _Desk()
    await desk.books.write({_key(hour=THIS_HOUR - 25): Tally(requests=1), _key(hour=THIS_HOUR - 24): Tally(requests=2)})
    desk.book.take([_seen()])
    await desk.book.write()

    assert {THIS_HOUR - 24, THIS_HOUR} == {key.hour for key in await desk.read()}
