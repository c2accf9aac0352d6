"""
How long the event loop's own work kept others waiting while a block of a test ran (promises.md P-71).

A turn is late also when the machine had something better to do. So lateness counts only as far as this thread was
computing meanwhile: what is to be found is a handler that holds the loop, on whatever machine the test runs.
"""

import gc
import time
from collections.abc import Iterator
from contextlib import contextmanager

from services.chassis.process import Watchdog, freeze_garbage

_INTERVAL = 0.02


class Lag:
    """Seconds; final once the block has ended."""

    def __init__(self) -> None:
        self.worst = 0.0
        self._computed = time.thread_time()

    def take(self, late: float) -> None:
        computed = time.thread_time()
        self.worst = max(self.worst, min(late, computed - self._computed))
        self._computed = computed


@contextmanager
def loop_lag() -> Iterator[Lag]:
    """Watch the running loop, as a process does for itself, but fifty times a second."""
    thresholds = gc.get_threshold()
    freeze_garbage()  # as a process does once it has started; else what the tests have built is collected here
    lag = Lag()
    watchdog = Watchdog(interval=_INTERVAL, on_lag=lag.take)
    watchdog.start()
    try:
        yield lag
    finally:
        watchdog.stop()
        gc.unfreeze()
        gc.set_threshold(*thresholds)
