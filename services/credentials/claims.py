"""
The leases that this process has asked the store for, and what a store that does not answer leaves open.

A call without an answer may have happened, or happen later. A lease that is got so, or not given back, is held by
nobody and keeps every replica waiting until it ends, for longer than a short-lived login lasts. Hence:

    no answer to     what follows
    acquire          the next attempt asks as the same owner, who is granted what is his already; when there is none
                     for a while it is given back. Should the call come to pass after that, it is given back again.
    release          it is asked for again until the store answers; its owner's name is never used again, because the
                     first call may still come to pass
"""

import secrets
from typing import Final

from services.chassis.clock import Clock
from services.credentials.stores.port import Busy, Granted, Stale, Store, StoreUnavailable
from services.credentials.vault import CREDENTIAL

_LATE: Final = 3.0  # seconds for which a call without an answer may still come to pass, and a claim is kept


class Claims:
    """On credentials, by this process. Safe for concurrent use on one event loop."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._left: dict[str, str] = {}  # credential -> owner who may have its lease
        self._owed: dict[str, str] = {}  # owner -> credential
        self._unanswered: dict[str, float] = {}  # owner -> when he asked last without an answer

    def owner(self, credential_id: str) -> str:
        """Return a name to ask in, for one attempt."""
        return self._left.pop(credential_id, None) or secrets.token_hex(8)

    async def acquire(self, credential_id: str, owner: str, *, ttl: float, seen: int) -> Granted | Busy | Stale:
        """Ask for a lease. Raises StoreUnavailable."""
        try:
            return await self._store.acquire(CREDENTIAL, credential_id, owner, ttl=ttl, seen=seen)
        except StoreUnavailable:
            self._unanswered[owner] = self._clock.monotonic()
            raise

    def leave(self, credential_id: str, owner: str) -> None:
        """Leave a lease that may be the owner's to the next attempt."""
        self._left[credential_id] = owner

    async def end(self, credential_id: str, owner: str, *, granted: bool) -> None:
        """Give back what an attempt has or may have, now that it has ended; not what it has left to the next one."""
        if self._left.get(credential_id) != owner and (granted or owner in self._unanswered):
            await self.give_back(credential_id, owner)

    async def give_back(self, credential_id: str, owner: str) -> None:
        """Give a lease back, now or as soon as the store answers."""
        self._owed[owner] = credential_id
        await self._release(owner)

    async def settle(self, *, late: float = _LATE) -> None:
        """Give back what is owed, and what nobody has claimed for so many seconds; nothing while the store is away."""
        early = self._clock.monotonic() - late
        for credential_id, owner in list(self._left.items()):
            if self._unanswered.get(owner, early) <= early:
                del self._left[credential_id]
                self._owed[owner] = credential_id
        for owner in list(self._owed):
            if not await self._release(owner, late=late):
                return
        for owner in self._unanswered.keys() - self._owed.keys() - set(self._left.values()):
            if self._unanswered[owner] <= early:
                del self._unanswered[owner]

    async def _release(self, owner: str, *, late: float = _LATE) -> bool:
        """Return whether the store has answered."""
        asked = self._clock.monotonic()
        try:
            await self._store.release(CREDENTIAL, self._owed[owner], owner)
        except StoreUnavailable:
            return False
        if self._unanswered.get(owner, asked - late) <= asked - late:
            self._owed.pop(owner, None)
        return True
