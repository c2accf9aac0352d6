"""
Tells whoever logs or counts of the exchanges that are over, in batches: the data path appends to a list and goes on.

Who takes (the request log, metrics, usage, the status page) hears of an exchange about a tenth of a second later, or as
soon as somebody asks through `flush`, as a scrape does and the end of the process.

Telling of ten exchanges takes as long as serving one. A timer would let it fall into whichever exchange waits for the
upstream just then, at 100 requests a second into one of ten. So it is the end of an exchange that tells of those before
it, once the first of them has waited long enough: its own answer is out. A timer is only for the last ones.
"""

import asyncio
import logging
import math
from collections.abc import Callable, Sequence
from typing import Final

from services.gateway.observation import Observation

Taker = Callable[[Sequence[Observation]], None]

_INTERVAL: Final = 0.1  # seconds; a gateway with little to do does not write every line by itself
_PATIENCE: Final = 2  # intervals until a timer tells of exchanges that no other followed
_MOST: Final = 128  # exchanges at a time, because nobody is served while they are told of
_log: Final = logging.getLogger(__name__)


class Ledger:
    """An Observer over several takers. Belongs to one event loop."""

    def __init__(self, *takers: Taker, interval: float = _INTERVAL) -> None:
        self._takers = list(takers)
        self._interval = interval
        self._waiting: list[Observation] = []
        self._due = math.inf  # monotonic time from which on the end of an exchange tells of what waits
        self._handle: asyncio.Handle | None = None

    def add(self, taker: Taker) -> None:
        """Tell one more, from now on."""
        self._takers.append(taker)

    def observe(self, observation: Observation) -> None:
        """Take note of one exchange."""
        waiting = self._waiting
        waiting.append(observation)
        handle = self._handle
        if handle is None:
            self._due = observation.ended_at + self._interval
            self._handle = asyncio.get_running_loop().call_later(_PATIENCE * self._interval, self.flush)
        elif observation.ended_at >= self._due or len(waiting) == _MOST:
            self._due = math.inf
            handle.cancel()
            self._handle = asyncio.get_running_loop().call_soon(self.flush)

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
