"""Usage is told on the admin port as books have it, with what was counted last, and refusals say what to do."""

import msgspec
import pytest
from prometheus_client import CollectorRegistry

from services.chassis.health import Health
from services.chassis.storage import StoreUnavailable
from services.gateway.admin import create_admin
from services.gateway.books.memory import MemoryBooks, Shelf
from services.gateway.books.port import HOUR, Books, Tally, Usage, UsageKey
from services.gateway.usage_page import MOST_HOURS, Report, usage_routes
from tests.support.asgi_end import AsgiEnd
from tests.support.clock import ManualClock

NOW = 1_800_000_000.0
LAST = int(NOW) // HOUR
KEY = UsageKey(LAST, "glm-5.2", "laptop", "crd_1")
OLD = UsageKey(LAST - 30, "glm-5.2", "laptop", "crd_1")


class Away(MemoryBooks):
    async def read(self, first: int, last: int) -> Usage:
        raise StoreUnavailable("no answer within 0.4 s")


async def get(books: Books | None, query: str = "", *, counted: Tally | None = None) -> AsgiEnd:
    async def write() -> None:
        if counted is not None and books is not None:
            await books.write({KEY: counted})

    end = AsgiEnd("GET", "/usage")
    end.scope["query_string"] = query.encode()
    app = create_admin(Health(), CollectorRegistry(), more=usage_routes(books, write, ManualClock(now=NOW)))
    await app(end.scope, end.receive, end.send)  # type: ignore[arg-type]  # the scope is one of ASGI's
    return end


def reason(end: AsgiEnd) -> str:
    return msgspec.json.decode(end.body, type=dict[str, str])["reason"]


async def test_all_processes_are_added_up_with_what_was_counted_last() -> None:
    shelf = Shelf()
    other = MemoryBooks(shelf, "other")
    await other.write({KEY: Tally(requests=2, output=5), OLD: Tally(requests=9)})

    day = await get(MemoryBooks(shelf, "one"), counted=Tally(requests=1, output=3))
    longer = await get(MemoryBooks(shelf, "one"), "hours=31")

    report = msgspec.json.decode(day.body, type=Report)
    assert (day.status, report.at, report.hours) == (200, NOW, 24)
    assert report.usage() == {KEY: Tally(requests=3, output=8)}
    assert sorted(msgspec.json.decode(longer.body, type=Report).usage()) == [OLD, KEY]
    assert day.header("cache-control") == "no-store"


@pytest.mark.parametrize("hours", ["0", "-1", "many", "", str(MOST_HOURS + 1), "1" * 5000, "²"])
async def test_hours_that_are_none_are_refused(hours: str) -> None:
    end = await get(MemoryBooks(), f"hours={hours}")

    assert (end.status, "hours must be a number" in reason(end)) == (400, True)


async def test_a_store_that_is_away_and_usage_that_is_not_kept_are_said() -> None:
    away, nothing = await get(Away()), await get(None)

    assert (away.status, reason(away)) == (503, "the store does not answer: no answer within 0.4 s")
    assert (nothing.status, "keeps no usage" in reason(nothing)) == (404, True)
