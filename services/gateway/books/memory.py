"""Books that are forgotten with the process: for tests, and where there is no place to write."""

from typing import Final

from services.chassis.clock import Clock, SystemClock
from services.gateway.books.port import Tally, Usage, UsageKey, added_up


class Shelf:
    """What several memory books share, as processes share a store."""

    def __init__(self, clock: Clock | None = None) -> None:
        self.clock: Final[Clock] = clock or SystemClock()
        self.totals: dict[tuple[str, UsageKey], Tally] = {}
        self.notes: dict[str, tuple[bytes, float]] = {}
        self.claims: dict[str, float] = {}


class MemoryBooks:
    """`Books` on a shelf."""

    def __init__(self, shelf: Shelf | None = None, process: str = "process") -> None:
        self._shelf = shelf or Shelf()
        self._process = process

    async def write(self, totals: Usage) -> None:
        for key, tally in totals.items():
            copy = Tally()
            copy.add(tally)
            self._shelf.totals[self._process, key] = copy

    async def read(self, first: int, last: int) -> Usage:
        return added_up((key, tally) for (_, key), tally in self._shelf.totals.items() if first <= key.hour <= last)

    async def prune(self, before: int) -> None:
        kept = {name: tally for name, tally in self._shelf.totals.items() if name[1].hour >= before}
        self._shelf.totals = kept

    async def claim(self, what: str, seconds: float) -> bool:
        now = self._shelf.clock.monotonic()
        if self._shelf.claims.get(what, now) > now:
            return False
        self._shelf.claims[what] = now + seconds
        return True

    async def note(self, what: str, text: bytes, seconds: float) -> None:
        self._shelf.notes[what] = text, self._shelf.clock.monotonic() + seconds

    async def recall(self, what: str) -> bytes | None:
        text, until = self._shelf.notes.get(what, (b"", 0.0))
        return text if until > self._shelf.clock.monotonic() else None

    async def aclose(self) -> None:
        """Nothing is held."""
