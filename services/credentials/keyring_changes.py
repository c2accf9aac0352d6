"""
The next keyring, for whoever keeps it where no process can write: each change only when its turn has come.

    add       no rotation is under way
    promote   every running process has the new key
    retire    every running process seals with it, and every record is under it
    delete    the key is retired, and no record is under it

Nothing is put anywhere; services take a keyring over when its file changes. Refusals are Conflict and say what is next.
"""

import secrets
from collections.abc import Awaitable, Callable

import msgspec

from services.chassis import sealing
from services.credentials import census, replicas, rotation_plan
from services.credentials.errors import Conflict
from services.credentials.keyring import Keyring
from services.credentials.rotation_plan import Facts, Step
from services.credentials.stores.port import Store
from services.credentials.vault import Vault

Audited = Callable[[str, int], Awaitable[None]]


class Standing(msgspec.Struct, frozen=True):
    """How far a rotation is, by the keyring at hand."""

    facts: Facts  # with counts
    step: Step

    @property
    def next(self) -> str:
        """What is to be done, and what for."""
        return rotation_plan.what_next(self.step, self.facts)


class KeyringChanges:
    """Over a vault with the keyring as it is kept; `audit` hears of a change before it is given out."""

    def __init__(self, store: Store, vault: Vault, *, at_least: int = 0, audit: Audited) -> None:
        self._store = store
        self._vault = vault
        self._at_least = at_least
        self._audit = audit

    async def standing(self) -> Standing:
        """Look at replicas and records."""
        keyring = self._vault.keyring
        target = rotation_plan.target_of(keyring, fixed=True)
        living = await replicas.living(self._store, self._vault)
        counts = census.count((await census.records(self._store)).values())
        facts = Facts(keyring, target, living, self._at_least, counts, fixed=True)
        return Standing(facts, rotation_plan.next_step(facts))

    async def added(self) -> Keyring:
        """Return the keyring with one more key."""
        await self._turn(Step.DONE)
        keyring = self._vault.keyring.added(secrets.token_bytes(sealing.MASTER_SIZE))
        await self._audit("master.add", rotation_plan.target_of(keyring, fixed=True))
        return keyring

    async def promoted(self) -> Keyring:
        """Return the keyring with the new key as the one that seals."""
        facts = await self._turn(Step.PROMOTE)
        await self._audit("master.promote", facts.target)
        return facts.keyring.promoted(facts.target)

    async def retired(self) -> Keyring:
        """Return the keyring with every former key retired."""
        facts = await self._turn(Step.RETIRE)
        await self._audit("master.retire", facts.target)
        return facts.keyring.retired(rotation_plan.former(facts.keyring))

    async def without(self, kid: int) -> Keyring:
        """Return the keyring without a retired key: what only it opens is lost, as older backups are."""
        keyring = self._vault.keyring.without(kid)
        counts = (await self.standing()).facts.counts or {}
        if left := counts.get(kid, 0) + counts.get(census.UNREADABLE, 0):
            raise Conflict(f"{left} records may still be under master key {kid}: `zcode-proxy rotate master` first")
        await self._audit("master.delete", kid)
        return keyring

    async def _turn(self, step: Step) -> Facts:
        standing = await self.standing()
        if standing.step is not step:
            raise Conflict(f"not yet: {standing.next}")
        return standing.facts
