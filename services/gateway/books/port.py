"""
What gateways write down together: the usage of each hour, and what one of them found out for all.

Numbers and names only, nothing of a request's content and no secret, so nothing here is sealed.

Every process writes totals of its own, not increments, so that a write that may or may not have happened is simply
made again; a reader adds them up. A process that starts anew has a new name and new totals beside its old ones.
"""

from collections.abc import Mapping
from typing import Any, Final, Protocol, TypeAlias

import msgspec

HOUR: Final = 3600  # seconds
DAY: Final = 24  # hours


class UsageKey(msgspec.Struct, frozen=True, order=True):
    """What is counted apart. `hour` is that of the epoch: seconds // 3600."""

    hour: int
    model: str
    key: str  # id of the client's key
    credential: str  # id of the upstream's


class Tally(msgspec.Struct, kw_only=True):
    """What was used. `input` counts neither cache reads nor cache writes; `reasoning` is part of `output`."""

    requests: int = 0
    failures: int = 0
    input: int = 0
    cache_read: int = 0
    cache_write: int = 0
    output: int = 0
    reasoning: int = 0

    def add(self, other: "Tally") -> None:
        """Count another one in."""
        for name in self.__struct_fields__:
            setattr(self, name, getattr(self, name) + getattr(other, name))

    @property
    def tokens(self) -> int:
        """All that was read and written."""
        return self.input + self.cache_read + self.cache_write + self.output


Usage: TypeAlias = Mapping[UsageKey, Tally]


class Books(Protocol):
    """One implementation per store. Every method has its own deadline and raises `StoreUnavailable`."""

    async def write(self, totals: Usage) -> None:
        """Replace this process's totals of these keys. May be repeated."""

    async def read(self, first: int, last: int) -> Usage:
        """Return what all processes used in the hours from `first` to `last`, both included, added up."""

    async def prune(self, before: int) -> None:
        """Forget hours before this one."""

    async def claim(self, what: str, seconds: float) -> bool:
        """Take a turn that comes once in so many seconds, over all processes; False when it was taken."""

    async def note(self, what: str, text: bytes, seconds: float) -> None:
        """Write something down for all, for so long."""

    async def recall(self, what: str) -> bytes | None:
        """Return what was last noted, None when nothing was or its time is over."""

    async def aclose(self) -> None:
        """Let go of files and connections."""


def added_up(rows: Any) -> dict[UsageKey, Tally]:
    """Add up pairs of key and tally."""
    found: dict[UsageKey, Tally] = {}
    for key, tally in rows:
        found.setdefault(key, Tally()).add(tally)
    return found
