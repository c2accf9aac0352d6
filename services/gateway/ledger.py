"""
Tells whoever counts of the exchanges that are over, in batches: the data path appends to a list and goes on.

What counts (metrics, usage, traces, the status page) hears of an exchange at most `interval` seconds later, or as soon
as somebody asks through `flush`, as a scrape does. What waits when the process ends is told by `flush` as well.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Final

from services.gateway.observation import Observation

Taker = Callable[[Sequence[Observation]], None]

_INTERVAL: Final = 0.1
_log: Final = logging.getLogger(__name__)


class Ledger:
    """An Observer over several takers. Belongs to one event loop."""

    def __init__(self, *takers: Taker, interval: float = _INTERVAL) -> None:
        self._takers = list(takers)
        self._interval = interval
        self._waiting: list[Observation] = []
        self._handle: asyncio.TimerHandle | None = None

    def add(self, taker: Taker) -> None:
        """Tell one more, from now on."""
        self._takers.append(taker)

    def observe(self, observation: Observation) -> None:
        """Take note of one exchange."""
        if not self._takers:
            return
        self._waiting.append(observation)
        if self._handle is None:
            self._handle = asyncio.get_running_loop().call_later(self._interval, self.flush)

    def flush(self) -> None:
        """Tell what waits. A taker that fails is reported and does not keep the others from hearing."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
        waiting, self._waiting = self._waiting, []
        if not waiting:
            return
        for take in self._takers:
            try:
                take(waiting)
            except Exception:  # noqa: BLE001  # counting never takes down what it counts
                _log.exception("an observer of exchanges failed")
