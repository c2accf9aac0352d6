"""
`/usage` on the admin port: what all gateways that share a store have used, by the hour, as JSON.

    GET /usage?hours=24     200 Report | 400 hours is no number from 1 to MOST_HOURS | 404 no usage is kept here
                            503 the store does not answer

Names and numbers only. What this gateway has counted and not written yet is written first; the others' is up to a
quarter of a minute old.
"""

from collections.abc import Awaitable, Callable
from typing import Any, Final

import msgspec
from litestar import Request, Response, get
from litestar.types import ControllerRouterHandler

from services.chassis.clock import Clock, SystemClock
from services.chassis.storage import StoreUnavailable
from services.gateway.books.port import HOUR, Books, Tally, Usage, UsageKey

PATH: Final = "/usage"
MOST_HOURS: Final = 24 * 366
_DEFAULT: Final = "24"


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """What was used of one hour, model, client key and credential."""

    hour: int  # of the epoch: seconds // 3600
    model: str
    key: str
    credential: str
    tally: Tally


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What was used in the last so many hours, the one of `at` included. `at` in seconds since the epoch."""

    at: float
    hours: int
    rows: tuple[Row, ...]

    def usage(self) -> Usage:
        """Return the rows as books do."""
        return {UsageKey(row.hour, row.model, row.key, row.credential): row.tally for row in self.rows}


def usage_routes(
    books: Books | None, write: Callable[[], Awaitable[object]], clock: Clock | None = None
) -> tuple[ControllerRouterHandler, ...]:
    """Return the route; `write` writes down what is counted and not written. `books` None: no usage is kept."""
    watch = clock or SystemClock()

    @get(PATH)
    async def usage(request: Request[Any, Any, Any]) -> Response[bytes]:
        """Say what was used."""
        text = request.query_params.get("hours", _DEFAULT)
        hours = int(text) if text.isascii() and text.isdigit() and len(text) < 6 else 0
        if not 1 <= hours <= MOST_HOURS:
            return _refused(400, f"hours must be a number from 1 to {MOST_HOURS}")
        if books is None:
            return _refused(404, "this gateway keeps no usage: no store.url, or telemetry.usageDays is 0")
        now = watch.now()
        last = int(now) // HOUR
        try:
            _ = await write()
            found = await books.read(last - hours + 1, last)
        except StoreUnavailable as error:
            return _refused(503, f"the store does not answer: {error}")
        rows = tuple(
            Row(hour=key.hour, model=key.model, key=key.key, credential=key.credential, tally=tally)
            for key, tally in sorted(found.items())
        )
        return _json(200, Report(at=now, hours=hours, rows=rows))

    return (usage,)


def _refused(status: int, reason: str) -> Response[bytes]:
    return _json(status, {"reason": reason})


def _json(status: int, value: object) -> Response[bytes]:
    headers = {"cache-control": "no-store"}
    return Response(msgspec.json.encode(value), status_code=status, media_type="application/json", headers=headers)
