"""
What each replica says of its keyring, for as long as it lives: the proof that a new master key has arrived everywhere.

A report is a sealed value `meta/kids:<replica>`, so that nobody who can only write to the store can promote a key too
early. Whether the replica is alive is told by a lease of the same name, which it renews; a lease goes by the store's
clock, and renewing it does not raise the generation, so that nobody is woken for nothing.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Final, Protocol

import msgspec

from services.credentials import rotation_plan
from services.credentials.errors import Conflict, KeyringInvalid, Undecryptable
from services.credentials.keyring import Keyring
from services.credentials.rotation_plan import Replica
from services.credentials.stores.port import Granted, Store, StoreUnavailable
from services.credentials.vault import META, Vault

PREFIX: Final = "kids:"
LIFE: Final = 60.0  # seconds until a silent replica counts as gone
EVERY: Final = 5.0  # seconds between two looks at the keyring
_PROBE: Final = 1.0  # seconds; a lease taken only to see whether it is free

Sleep = Callable[[float], Awaitable[None]]


class _Report(msgspec.Struct, frozen=True):
    primary: int
    fingerprints: dict[int, str]


class KeyringSource(Protocol):
    """Where a replica's keyring comes from."""

    def changed(self) -> Keyring | None:
        """Return the keyring if it is another one than last time. Raises KeyringInvalid."""


class Reporter:
    """One replica's voice. `replica` is its pod name, or anything else that no other running replica is called."""

    def __init__(self, store: Store, vault: Vault, replica: str) -> None:
        self._store = store
        self._vault = vault
        self._id = PREFIX + replica
        self._version: int | None = None  # of the stored report; None: look again
        self._said: _Report | None = None

    async def report(self) -> None:
        """Say what the vault's keyring is, if that is news, and be alive for LIFE seconds more."""
        alive = self._version is not None and await self._store.renew(META, self._id, self._id, ttl=LIFE)
        version = self._version if alive and self._version is not None else await self._return()
        keyring = self._vault.keyring
        report = _Report(keyring.primary.kid, keyring.fingerprints())
        if report == self._said:
            return
        self._version = None  # until it is known that the write was done
        self._version = await self._vault.write_value(META, self._id, msgspec.json.encode(report), version)
        self._said = report

    async def leave(self) -> None:
        """Be gone, without a minute of doubt; the next roll call clears the report away."""
        await self._store.release(META, self._id, self._id)

    async def _return(self) -> int:
        """Start over: after a restart under the same name, and after a silence in which others may have cleaned up."""
        stored = await self._store.get(META, self._id)
        self._version, self._said = 0 if stored is None else stored.version, None
        await self._store.acquire(META, self._id, self._id, ttl=LIFE, seen=self._version)
        return self._version


async def follow(
    store: Store,
    vault: Vault,
    source: KeyringSource,
    reporter: Reporter,
    *,
    keyring: Keyring | None = None,
    complain: Callable[[Exception], None],
    sleep: Sleep = asyncio.sleep,
) -> None:
    """
    Adopt every new keyring and report it, until cancelled. What goes wrong is for the log: it is tried again.

    `keyring` is one that is known already and not in use yet as it is. The report is made whether or not a keyring
    could be adopted: who has a bad one must be waited for, not forgotten.
    """
    ahead: Keyring | None = keyring

    async def take_over() -> None:
        nonlocal ahead
        ahead = source.changed() or ahead
        if ahead is not None:
            await adopt(store, vault, ahead)
            ahead = None

    while True:
        for part in (take_over, reporter.report):
            try:
                await part()
            except (KeyringInvalid, StoreUnavailable, Conflict, Undecryptable) as fault:
                complain(fault)
        await sleep(EVERY)


async def adopt(store: Store, vault: Vault, keyring: Keyring) -> None:
    """
    Go on with a keyring; a primary that somebody could not open yet only opens, until they can: then raises Conflict.

    Raises KeyringInvalid, and the old one stays, when it does not belong to the store.
    """
    sealing = rotation_plan.sealing_key(keyring, await living(store, vault))
    primary = keyring.primary.kid
    if (wanted := keyring if sealing == primary else keyring.promoted(sealing)) != vault.keyring:
        await vault.adopt(wanted)
    if sealing != primary:
        raise Conflict(f"master key {primary} does not seal before every replica has it; until then {sealing} does")


async def living(store: Store, vault: Vault) -> tuple[Replica, ...]:
    """Return what every living replica reports, and clean up behind those that died."""
    found = []
    for id_, stored in sorted((await store.scan(META)).items()):
        if not id_.startswith(PREFIX):
            continue
        lease = await store.acquire(META, id_, "roll-call", ttl=_PROBE, seen=stored.version)
        if isinstance(lease, Granted):
            await store.release(META, id_, "roll-call")
            with contextlib.suppress(Conflict):  # it came back in this moment, and will report again
                await vault.remove(META, id_, stored.version)
        else:  # busy: it holds its lease; stale: it has just said something new
            found.append(await _report(vault, id_))
    return tuple(found)


async def _report(vault: Vault, id_: str) -> Replica:
    """Return a replica's report; one that does not open counts as having no key at all, so that it is waited for."""
    name = id_.removeprefix(PREFIX)
    try:
        opened = await vault.read_value(META, id_)
    except Undecryptable:
        opened = None
    if opened is None:
        return Replica(name, 0, {})
    report = msgspec.json.decode(opened.data, type=_Report)
    return Replica(name, report.primary, report.fingerprints)
