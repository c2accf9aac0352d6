"""How late the event loop turned while a block of a test ran (promises.md P-71)."""

from collections.abc import Iterator
from contextlib import contextmanager

from services.chassis.process import Watchdog

_INTERVAL = 0.02


class Lag:
    """Seconds; final once the block has ended."""

    def __init__(self) -> None:
        self.worst = 0.0

    def take(self, late: float) -> None:
        self.worst = max(self.worst, late)


@contextmanager
def loop_lag() -> Iterator[Lag]:
    """Watch the running loop, as a process does for itself, but fifty times a second."""
    lag = Lag()
    watchdog = Watchdog(interval=_INTERVAL, on_lag=lag.take)
    watchdog.start()
    try:
        yield lag
    finally:
        watchdog.stop()
