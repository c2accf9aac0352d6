"""The time, as something that is handed in: nothing below a composition root asks the machine for it."""

import time
from typing import Protocol


class Clock(Protocol):
    """Two clocks that must not be mixed: one can be written down, the other can be subtracted."""

    def now(self) -> float:
        """Return wall-clock seconds since the epoch (UTC); may step in either direction."""

    def monotonic(self) -> float:
        """Return seconds since an arbitrary instant; never goes back, means nothing to another process."""


class SystemClock:
    """The machine's own clocks."""

    __slots__ = ()

    # As they are, without a function of ours around each: they are read several times in every request.
    now = staticmethod(time.time)
    monotonic = staticmethod(time.monotonic)
