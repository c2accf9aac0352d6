"""
How many exchanges run at once, and who waits: first come, first served, with a bounded queue.

Shedding early is kinder than failing late: a request that finds the queue full is refused at once with a time
to come back (promises.md P-42).
"""

import asyncio
from collections.abc import Callable

from services.gateway.errors import Overloaded
from services.gateway.translation.own_faults import overloaded


class Slots:
    """A counting semaphore with a bounded queue. `running` and `waiting` are for gauges."""

    def __init__(
        self, limit: int, queue: int, wait: float, *, waited: Callable[[float], None] = lambda _: None
    ) -> None:
        self._limit = limit
        self._waited = waited  # hears of every wait's seconds
        self.queue = queue
        self.patience = wait
        self._waiters: dict[asyncio.Future[None], None] = {}  # in the order of their coming
        self.running = 0

    @property
    def waiting(self) -> int:
        """How many requests stand in the queue."""
        return len(self._waiters)

    def take(self) -> bool:
        """Take a slot if one is free now: the usual case, without a wait."""
        if self.running < self._limit and not self._waiters:
            self.running += 1
            return True
        return False

    async def wait(self) -> None:
        """Wait in the queue for a slot; raises Overloaded when the queue is full or the wait too long."""
        if self.take():
            return
        if len(self._waiters) >= self.queue:
            raise Overloaded(overloaded(retry_after=self.patience))
        place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters[place] = None
        begun_at = place.get_loop().time()
        try:
            async with asyncio.timeout(self.patience):
                await place
        except BaseException as error:
            self._abandon(place)
            if isinstance(error, TimeoutError):
                raise Overloaded(overloaded(retry_after=self.patience)) from None
            raise
        finally:
            self._waited(place.get_loop().time() - begun_at)

    def _abandon(self, place: asyncio.Future[None]) -> None:
        if place.done() and not place.cancelled():
            self.give_back()  # the slot was granted in the same instant
        else:
            self._waiters.pop(place, None)  # gone already when a slot came by after the cancellation

    def give_back(self) -> None:
        """Return a slot; the first in the queue gets it."""
        self.running -= 1
        if self._waiters:
            self._grant()

    def resize(self, limit: int) -> None:
        """Change how many may run. With fewer than run now, nobody is let in until enough have left."""
        self._limit = limit
        self._grant()

    def _grant(self) -> None:
        while self._waiters and self.running < self._limit:
            place = next(iter(self._waiters))
            del self._waiters[place]
            if not place.done():
                self.running += 1
                place.set_result(None)
