"""
The store port: versioned values, leases, one-time values, and a generation that tells of changes.

Values are opaque bytes, sealed by `vault.py`; a store never sees a secret and never interprets a value. Every method
has its own deadline inside and raises `StoreUnavailable` when it cannot answer; none retries what is not idempotent.
One contract suite (`tests/contract/stores`) runs over memory, SQLite and Redis (standalone, Sentinel, Cluster).

    kind       id                 what
    cred       crd_…              sealed credential
    key        12 characters      sealed client key (MACs only)
    meta       check, pepper, …   sealed check record, sealed pepper
    login      sha256 of state    sealed pending login (one-time)
    nonce      nonce              internal calls already seen (one-time)
    intent     crd_….epoch        a refresh token is about to be used (one-time), beside its credential
    usage …                       later issues
"""

from typing import Protocol

import msgspec

from services.chassis.storage import StoreRefused, StoreUnavailable

__all__ = ["Busy", "Granted", "Stale", "Store", "StoreRefused", "StoreUnavailable", "Versioned"]


class Versioned(msgspec.Struct, frozen=True):
    """
    A stored value. `kid` names the master key that sealed it (0: not sealed), so that a sweep can count.

    `safe`: no failover undoes it. What is not may be replaced by an older one, and nobody is to blame.
    """

    version: int
    value: bytes
    kid: int
    safe: bool = True


class Granted(msgspec.Struct, frozen=True):
    """The lease is ours; `fence` grows with every grant of this id."""

    fence: int


class Busy(msgspec.Struct, frozen=True):
    """Somebody else holds the lease, for so many seconds more at most."""

    seconds: float


class Stale(msgspec.Struct, frozen=True):
    """The record is newer than what the caller has seen: read it instead of doing the work again."""

    version: int


class Store(Protocol):
    """Safe for concurrent use on one event loop, and by several processes where the backend is shared."""

    async def get(self, kind: str, id_: str, *, durable: bool = False) -> Versioned | None:
        """
        Return a value, None when there is none.

        What is read may be a write that nobody has vouched for yet, and that a failover undoes. With `durable` it is
        as safe as what `put` returned for, or it is not returned.
        """

    async def scan(self, kind: str) -> dict[str, Versioned]:
        """Return every value of a kind by id."""

    async def put(self, kind: str, id_: str, value: bytes, *, kid: int, expected: int) -> bool:
        """
        Write version `expected + 1` if the stored version is `expected` (0: there is none); durable on return.

        Returns False, with nothing written, when the stored version differs. Raises the generation.
        """

    async def remove(self, kind: str, id_: str, *, expected: int) -> bool:
        """Remove a value if its version is `expected`. Raises the generation."""

    async def acquire(self, kind: str, id_: str, owner: str, *, ttl: float, seen: int) -> Granted | Busy | Stale:
        """
        Take the lease on an id for `ttl` seconds; Stale when the stored version is newer than `seen`.

        An owner that holds it already is granted it anew, so an owner is one attempt, not a process.
        """

    async def renew(self, kind: str, id_: str, owner: str, *, ttl: float) -> bool:
        """Hold the lease longer; False when it is no longer the owner's."""

    async def release(self, kind: str, id_: str, owner: str) -> None:
        """Give the lease back, if it is still the owner's."""

    async def put_once(self, kind: str, id_: str, value: bytes, *, ttl: float, durable: bool = False) -> bool:
        """
        Keep a one-time value for `ttl` seconds; False when the id is taken already. `durable` as that of `put`; what
        is not known to be so may have been kept all the same.
        """

    async def take(self, kind: str, id_: str) -> bytes | None:
        """Return and remove a one-time value; at most one caller ever gets it."""

    async def generation(self) -> int:
        """
        Return the number that every change of a versioned value raises.

        It counts milliseconds since the epoch rather than changes, so that a store that was wiped, restored or failed
        over to an older copy does not hand out a number twice. Read it before what it is to describe.
        """

    async def changed(self, after: int, *, wait: float) -> int:
        """Return the generation as soon as it is above `after`, or what it is after `wait` seconds."""

    async def now(self) -> float:
        """Return the store's own clock, seconds since the epoch: leases and lifetimes go by it (promises.md T32)."""

    async def aclose(self) -> None:
        """Let go of connections and files."""
