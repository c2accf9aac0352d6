"""
The store's clock, at hand without asking: lifetimes go by it, so that replicas whose clocks differ agree (P-15).

Between two samples it runs on this machine's monotonic clock. It never goes back: a clock that was set back would
make a credential look younger than it is, and one refresh too early costs less than one too late.
"""

from services.chassis.clock import Clock
from services.credentials.stores.port import Store


class StoreTime:
    """Seconds since the epoch, as the store counts them."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._offset = clock.now() - clock.monotonic()
        self._sampled = False

    def now(self) -> float:
        """Return the time; before the first sample this machine's own."""
        return self._clock.monotonic() + self._offset

    async def sample(self, store: Store) -> None:
        """Ask the store. Raises StoreUnavailable."""
        before = self._clock.monotonic()
        offset = await store.now() - (before + self._clock.monotonic()) / 2
        self._offset = max(offset, self._offset) if self._sampled else offset
        self._sampled = True
