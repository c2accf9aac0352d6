"""
Keeps the tokens of each hour by model, client key and credential, and writes them down now and then.

The data path is not concerned: exchanges come in batches through the ledger, and a task writes what has changed. While
the store is away the numbers wait here; an hour that is over is let go as soon as it is written.
"""

import asyncio
import logging
import random
from collections.abc import Callable, Sequence
from typing import Final

from prometheus_client import CollectorRegistry

from services.chassis.clock import Clock, SystemClock
from services.chassis.process import Tasks
from services.chassis.storage import StoreUnavailable
from services.chassis.telemetry import OTHER, Counter, Family
from services.gateway.books.port import HOUR, Books, Tally, UsageKey
from services.gateway.observation import Observation

WRITES: Final = Family(
    name="zcode_usage_writes",
    kind="counter",
    help="Attempts to write usage down, by whether it was.",
    labels=("outcome",),
)
FAMILIES: Final = (WRITES,)

MOST_ROWS: Final = 1000  # of one hour in one process; what comes after is counted as `other`
_LONGEST_NAME: Final = 128
_EVERY: Final = 10.0  # seconds between two writes
_LAST: Final = 2.0  # seconds that the last write may take

_log: Final = logging.getLogger(__name__)


class UsageBook:
    """Takes observations, owns the task that writes. `start` and `aclose` it on the loop that uses it."""

    def __init__(
        self,
        books: Books,
        registry: CollectorRegistry,
        *,
        is_known_model: Callable[[str], bool],
        hours: int,
        every: float = _EVERY,
        clock: Clock | None = None,
    ) -> None:
        self._books = books
        self._is_known_model = is_known_model
        self._hours = hours
        self._every = every
        self._clock: Clock = clock or SystemClock()
        self._totals: dict[UsageKey, Tally] = {}
        self._dirty: set[UsageKey] = set()
        self._rows: dict[int, int] = {}  # of an hour
        self._pruned = 0
        self._away = False
        self._writes = Counter(WRITES, registry)
        for outcome in ("written", "failed"):  # alerts look at how these grow, so they are there from the start
            self._writes.labels(outcome)
        self._tasks = Tasks()
        self._writing = asyncio.Lock()

    def start(self) -> None:
        """Begin to write."""
        _ = self._tasks.start(self._follow(), name="usage")

    def take(self, observations: Sequence[Observation]) -> None:
        """Count exchanges that are over; one that never went upstream has used nothing."""
        hour = int(self._clock.now()) // HOUR
        for seen in observations:
            if seen.sent_at is not None:
                self._count(hour, seen)

    def _count(self, hour: int, seen: Observation) -> None:
        # The name is the client's; one that the upstream took is worth keeping, whatever we know of it.
        known = seen.status < 400 or self._is_known_model(seen.model)
        model = seen.model[:_LONGEST_NAME] if known else OTHER
        key = UsageKey(hour, model, seen.key_id, seen.credential_id)
        total = self._totals.get(key)
        if total is None:
            key, total = self._row(key)
        total.requests += 1
        total.failures += seen.status >= 400
        usage = seen.usage
        if usage is not None:
            total.input += usage.input or 0
            total.cache_read += usage.cache_read or 0
            total.cache_write += usage.cache_write or 0
            total.output += usage.output or 0
            total.reasoning += usage.reasoning or 0
        self._dirty.add(key)

    def _row(self, key: UsageKey) -> tuple[UsageKey, Tally]:
        rows = self._rows.get(key.hour, 0)
        if rows >= MOST_ROWS:
            key = UsageKey(key.hour, OTHER, OTHER, OTHER)
        self._rows[key.hour] = rows + 1
        return key, self._totals.setdefault(key, Tally())

    async def write(self) -> bool:
        """Write what has changed; returns whether it is written."""
        async with self._writing:
            return await self._write()

    async def _write(self) -> bool:
        if not self._dirty:
            return True
        dirty, self._dirty = self._dirty, set()
        try:
            await self._books.write({key: self._totals[key] for key in dirty})
            await self._prune()
        except StoreUnavailable as error:
            self._dirty |= dirty
            self._writes.labels("failed").inc()
            if not self._away:
                _log.warning("usage cannot be written down and waits here: %s", error)
            self._away = True
            return False
        self._writes.labels("written").inc()
        self._away = False
        self._let_go()
        return True

    async def _prune(self) -> None:
        hour = int(self._clock.now()) // HOUR
        if hour != self._pruned:
            await self._books.prune(hour - self._hours)
            self._pruned = hour

    def _let_go(self) -> None:
        """Forget hours that are over and written."""
        hour = int(self._clock.now()) // HOUR
        for key in [key for key in self._totals if key.hour < hour and key not in self._dirty]:
            del self._totals[key]
        self._rows = {at: rows for at, rows in self._rows.items() if at >= hour}

    async def _follow(self) -> None:
        while True:
            await asyncio.sleep(self._every * random.uniform(0.8, 1.2))  # noqa: S311  # jitter, not a secret
            _ = await self.write()

    async def aclose(self) -> None:
        """Write what is left, for two seconds at most."""
        await self._tasks.aclose()
        try:
            async with asyncio.timeout(_LAST):
                _ = await self.write()
        except TimeoutError:
            _log.warning("the last usage was not written down")
