"""
A login that only a person can mend: when it was refused first, that this is said, once, and then written.

It is said first, because a record that says so is looked at by nobody any more: who would die in between after writing
would take it with him.

    in between                          what follows
    the process dies                    the record is as it was, and whoever finds out the same says it again
    the store does not answer           it is written by the next attempt, or found written; nothing is said again
    the secrets are made anew           nothing is written: said too early, and `refresh.ok` follows it
"""

import contextlib
from typing import Final

from services.chassis.clock import Clock
from services.credentials.commits import Observer
from services.credentials.contract import Plan, State
from services.credentials.errors import Conflict
from services.credentials.findings import login_required, standing_of
from services.credentials.records import Credential
from services.credentials.refresh import epoch
from services.credentials.stores.port import StoreUnavailable
from services.credentials.vault import Vault

_TRIES: Final = 16  # against reports that change the record's state at the same time


class Losses:
    """Of one process. Safe for concurrent use on one event loop."""

    def __init__(self, vault: Vault, observer: Observer, clock: Clock) -> None:
        self._vault = vault
        self._observer = observer
        self._clock = clock
        self._refused: dict[str, tuple[str, float]] = {}  # credential -> its secrets, and when they were refused first
        self._said: dict[tuple[str, Plan], str] = {}  # credential and plan -> the secrets that it was said of

    def refused(self, record: Credential) -> float:
        """Note that a record's token was refused; returns how many seconds ago that was noted here first."""
        found, now = epoch(record), self._clock.monotonic()
        noted, since = self._refused.get(record.id, ("", now))
        if noted != found:
            since = now
            self._refused[record.id] = found, now
        return now - since

    def declare(self, record: Credential, plan: Plan, reason: str) -> Credential:
        """Say that a plan needs a login and return the record that says so, to be written; the same if it does."""
        if standing_of(record, plan).state is State.LOGIN_REQUIRED:
            return record
        if self._said.get((record.id, plan)) != (found := epoch(record)):
            self._said[record.id, plan] = found
            self._observer.note("needs_login", record.id, reason)
        return login_required(record, plan, reason)

    async def mark(self, basis: Credential, reason: str) -> Credential:
        """
        Declare and write it, unless the stored secrets are no longer those of `basis`; returns what is stored then.

        Raises StoreUnavailable, NotFound, Undecryptable.
        """
        for _ in range(_TRIES):
            record = await self._vault.read_credential(basis.id)
            if epoch(record) != epoch(basis):
                return record
            declared = self.declare(record, Plan.CODING, reason)
            if declared is record:
                return record
            with contextlib.suppress(Conflict):
                return await self._vault.write_credential(declared, expected=record.version)
        raise StoreUnavailable("the record changes faster than it can be written")
