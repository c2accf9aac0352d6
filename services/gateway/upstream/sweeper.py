"""
One coarse timer for all connections of a transport, instead of one timer per read.

It ticks every `BRISK` seconds while a request is under way, every `LAZY` seconds while there are only idle
connections to age, and not at all otherwise. A timeout is therefore late by at most `BRISK` seconds, twice that for
the write and first-byte timeouts of a request whose bytes were still buffered at one tick.
"""

from collections.abc import Callable
from enum import Enum
from typing import Final, Protocol

BRISK: Final = 0.25
LAZY: Final = 5.0


class Timer(Protocol):
    """What an event loop gives for a timer."""

    def cancel(self) -> None:
        """Do not call."""


class Timers(Protocol):
    """The part of an event loop that is needed here."""

    def time(self) -> float:
        """Return the loop's monotonic time, seconds."""

    def call_later(self, delay: float, callback: Callable[[], object], /) -> Timer:
        """Call once after `delay` seconds."""


class Work(Enum):
    """What a sweep found, which decides when to look again."""

    NONE = None
    IDLE = LAZY
    LIVE = BRISK


class Sweeper:
    """Calls `sweep` with the loop's time as long as it reports work."""

    __slots__ = ("_brisk", "_handle", "_loop", "_sweep")

    def __init__(self, loop: Timers, sweep: Callable[[float], Work]) -> None:
        self._loop = loop
        self._sweep = sweep
        self._brisk = False
        self._handle: Timer | None = None

    def hurry(self) -> None:
        """See to it that the next sweep is near; called for every request, so nearly free."""
        if not self._brisk:
            self._schedule(Work.LIVE)

    def stop(self) -> None:
        self._schedule(Work.NONE)

    def _schedule(self, pace: Work) -> None:
        if self._handle is not None:
            self._handle.cancel()
        self._brisk = pace is Work.LIVE
        self._handle = None if pace.value is None else self._loop.call_later(pace.value, self._tick)

    def _tick(self) -> None:
        self._schedule(self._sweep(self._loop.time()))
