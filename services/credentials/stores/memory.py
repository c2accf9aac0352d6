"""
The store that forgets: one process, nothing kept. For tests, and for a demo that must leave nothing behind.

Nothing here waits while it changes something, so the event loop itself makes every method atomic.
"""

import asyncio
from typing import Final

import msgspec

from services.chassis.clock import Clock, SystemClock
from services.credentials.stores import names
from services.credentials.stores.port import Busy, Granted, Stale, StoreUnavailable, Versioned

_SWEEP_EVERY: Final = 256  # one-time values between two looks for dead ones

_Name = tuple[str, str]


class _Held(msgspec.Struct):
    """A lease: whose, until when on the monotonic clock, and how many were granted so far."""

    owner: str = ""
    until: float = 0.0
    fence: int = 0


class MemoryStore:
    """A `Store` in dictionaries. Leases go by the clock's monotonic hand, so that a stepped wall clock loses none."""

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock: Clock = clock or SystemClock()
        self._values: dict[_Name, Versioned] = {}
        self._leases: dict[_Name, _Held] = {}
        self._once: dict[_Name, tuple[bytes, float]] = {}
        self._until_sweep = _SWEEP_EVERY
        self._generation = int(self._clock.now() * 1000)
        self._change = asyncio.Event()
        self._closed = False

    async def get(self, kind: str, id_: str, *, durable: bool = False) -> Versioned | None:
        del durable  # there is one copy
        return self._values.get(self._name(kind, id_))

    async def scan(self, kind: str) -> dict[str, Versioned]:
        self._name(kind, "any")
        return {id_: value for (of, id_), value in self._values.items() if of == kind}

    async def put(self, kind: str, id_: str, value: bytes, *, kid: int, expected: int) -> bool:
        name = self._name(kind, id_)
        if self._version(name) != expected:
            return False
        self._values[name] = Versioned(version=expected + 1, value=bytes(value), kid=kid)
        self._raise_generation()
        return True

    async def remove(self, kind: str, id_: str, *, expected: int) -> bool:
        name = self._name(kind, id_)
        if expected < 1 or self._version(name) != expected:
            return False
        del self._values[name]
        self._raise_generation()
        return True

    async def acquire(self, kind: str, id_: str, owner: str, *, ttl: float, seen: int) -> Granted | Busy | Stale:
        name = self._name(kind, id_)
        version = self._version(name)
        if version > seen:
            return Stale(version)
        held = self._leases.setdefault(name, _Held())
        left = held.until - self._clock.monotonic()
        if left > 0 and held.owner != owner:
            return Busy(left)
        held.owner, held.until = owner, self._clock.monotonic() + ttl
        held.fence += 1
        return Granted(held.fence)

    async def renew(self, kind: str, id_: str, owner: str, *, ttl: float) -> bool:
        held = self._leases.get(self._name(kind, id_))
        now = self._clock.monotonic()
        if held is None or held.owner != owner or held.until <= now:
            return False
        held.until = now + ttl
        return True

    async def release(self, kind: str, id_: str, owner: str) -> None:
        held = self._leases.get(self._name(kind, id_))
        if held is not None and held.owner == owner:
            held.until = 0.0

    async def put_once(self, kind: str, id_: str, value: bytes, *, ttl: float, durable: bool = False) -> bool:
        del durable  # as above
        name = self._name(kind, id_)
        now = self._clock.monotonic()
        self._sweep(now)
        if (kept := self._once.get(name)) is not None and kept[1] > now:
            return False
        self._once[name] = (bytes(value), now + ttl)
        return True

    async def take(self, kind: str, id_: str) -> bytes | None:
        value, until = self._once.pop(self._name(kind, id_), (None, 0.0))
        return value if until > self._clock.monotonic() else None

    async def generation(self) -> int:
        self._open()
        return self._generation

    async def changed(self, after: int, *, wait: float) -> int:
        self._open()
        try:
            async with asyncio.timeout(wait):
                while self._generation <= after:
                    await self._change.wait()
                    self._open()
        except TimeoutError:
            pass
        return self._generation

    async def now(self) -> float:
        self._open()
        return self._clock.now()

    async def aclose(self) -> None:
        self._closed = True
        self._announce()

    def _open(self) -> None:
        if self._closed:
            raise StoreUnavailable("the store is closed")

    def _name(self, kind: str, id_: str) -> _Name:
        self._open()
        names.check(kind, id_)
        return kind, id_

    def _version(self, name: _Name) -> int:
        kept = self._values.get(name)
        return 0 if kept is None else kept.version

    def _raise_generation(self) -> None:
        self._generation = max(self._generation + 1, int(self._clock.now() * 1000))
        self._announce()

    def _announce(self) -> None:
        """Wake who waits now; who comes later waits for the next event."""
        self._change.set()
        self._change = asyncio.Event()

    def _sweep(self, now: float) -> None:
        self._until_sweep -= 1
        if self._until_sweep:
            return
        self._until_sweep = _SWEEP_EVERY
        self._once = {name: kept for name, kept in self._once.items() if kept[1] > now}
