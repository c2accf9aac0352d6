"""
Master-key rotation, online: add, distribute, promote, re-encrypt, retire. Does what `rotation_plan.py` decides.

Nothing is remembered between two runs: a rotation that was killed goes on when it is run again. One runs at a time, by
a lease that each step renews. A record is re-sealed under its own lease, the one a refresh takes too, so that a refresh
in flight never finds its version gone; compare-and-swap keeps it right even where a lease was lost. Records are not
re-sealed when they are read: a broker reads all of them at once, which would be a sweep without a limit.
"""

import asyncio
import secrets
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Final, Protocol

import msgspec

from services.chassis import sealing
from services.chassis.clock import Clock, SystemClock
from services.chassis.sealing import Unopened
from services.credentials import envelope, replicas, rotation_plan
from services.credentials.errors import Conflict, Undecryptable
from services.credentials.failpoints import NO_FAILPOINTS
from services.credentials.keyring import Keyring
from services.credentials.replicas import Sleep
from services.credentials.rotation_plan import Facts, Step
from services.credentials.stores.port import Granted, Store, Versioned
from services.credentials.vault import META, SEALED_KINDS, Vault

RATE: Final = 50.0  # records re-sealed per second
LEASE: Final = 30.0  # seconds until a rotation that was killed may go on; renewed at a third
PATIENCE: Final = 300.0  # seconds to wait for replicas, or for records that others hold
UNREADABLE: Final = 0  # in a count: records that do not say which key they are under

_NAME: Final = "rotation"  # of the lease
_LOOK: Final = 1.0  # seconds between two looks at what others do

_Name = tuple[str, str]


class KeyringHolder(Protocol):
    """Where the keyring is kept: a file, or a Kubernetes Secret."""

    async def read(self) -> Keyring:
        """Return the keyring as it is kept now."""

    async def write(self, keyring: Keyring) -> None:
        """Replace it, durably. Doing it twice with the same keyring changes nothing."""


class Progress(msgspec.Struct, frozen=True):
    """How far a step is; `total` is 0 where it cannot be known."""

    step: Step
    done: int = 0
    total: int = 0
    waiting_for: tuple[str, ...] = ()  # replicas


class Proof(msgspec.Struct, frozen=True):
    """What a finished rotation shows: every record counted, by the key that it is sealed under."""

    primary: int
    retired: tuple[int, ...]
    counts: dict[int, int]
    resealed: int
    replicas: int


class Hooks(msgspec.Struct, frozen=True):
    """What a caller may see of a rotation, and where a test may break it."""

    progress: Callable[[Progress], None] = lambda _: None
    # Called before a keyring changes and after the sweep, with an event of promises.md C13; what it raises, stops.
    audit: Callable[[str, int], Awaitable[None]] | None = None
    failpoint: Callable[[str], Awaitable[None]] = NO_FAILPOINTS.at


class Rotation:
    """One rotation, run by one process."""

    def __init__(
        self,
        store: Store,
        vault: Vault,
        holder: KeyringHolder,
        *,
        at_least: int = 0,
        rate: float = RATE,
        patience: float = PATIENCE,
        lease: float = LEASE,
        hooks: Hooks | None = None,
        clock: Clock | None = None,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self._store = store
        self._vault = vault
        self._holder = holder
        self._at_least = at_least
        self._pause = 1 / rate
        self._patience = patience
        self._lease = lease
        self._hooks = hooks or Hooks()
        self._clock: Clock = clock or SystemClock()
        self._sleep = sleep
        self._owner = secrets.token_hex(8)
        self._renewed = 0.0
        self._resealed = 0

    async def run(self) -> Proof:
        """
        Take every step that is left. Returns when no record is under another key than the new primary.

        Raises Conflict when another rotation runs, when replicas stay silent, or when records do not open; what was
        done until then is done, and running again goes on from there.
        """
        await self._take_lease()
        self._renewed = self._clock.monotonic()
        try:
            return await self._run()
        finally:
            await self._store.release(META, _NAME, self._owner)

    async def _run(self) -> Proof:
        await self._vault.adopt(await self._holder.read())
        target = rotation_plan.target_of(self._vault.keyring)
        counts: Counter[int] | None = None
        while True:
            facts = await self._facts(target, counts)
            step = rotation_plan.next_step(facts)
            self._hooks.progress(Progress(step))
            if step is Step.DONE:
                break
            if step is Step.ADD:
                await self._add(target)
            elif step is Step.PROMOTE:
                await self._promote(target)
            elif step in {Step.DISTRIBUTE, Step.SETTLE}:
                await self._wait_for_replicas(target, step)
            elif step is Step.REENCRYPT:
                counts = await self._reencrypt(target)
            else:
                await self._retire(facts)
        return await self._proof(facts)

    async def _facts(self, target: int, counts: Counter[int] | None) -> Facts:
        await self._keep_lease()
        living = await replicas.living(self._store, self._vault)
        return Facts(self._vault.keyring, target, living, self._at_least, counts)

    # -- the steps

    async def _add(self, target: int) -> None:
        await self._hooks.failpoint("rotate.before_add")
        await self._change("master.add", target, self._vault.keyring.added(secrets.token_bytes(sealing.MASTER_SIZE)))
        await self._hooks.failpoint("rotate.added")

    async def _wait_for_replicas(self, target: int, step: Step) -> None:
        missing_in = rotation_plan.without_key if step is Step.DISTRIBUTE else rotation_plan.unsettled
        deadline = self._clock.monotonic() + self._patience
        while missing := missing_in(await self._facts(target, None)):
            self._hooks.progress(Progress(step, waiting_for=tuple(missing)))
            if self._clock.monotonic() > deadline:
                raise Conflict(f"replicas without the new key after {self._patience:.0f} s: {', '.join(missing)}")
            await self._sleep(_LOOK)

    async def _promote(self, target: int) -> None:
        await self._hooks.failpoint("rotate.before_promote")
        await self._change("master.promote", target, self._vault.keyring.promoted(target))
        await self._hooks.failpoint("rotate.promoted")

    async def _reencrypt(self, target: int) -> Counter[int]:
        """Re-seal every record that is not under the target key; return the count of a last look at all of them."""
        await self._hooks.failpoint("rotate.before_sweep")
        deadline = self._clock.monotonic() + self._patience
        while True:
            records = await self._records()
            left = {name: stored for name, stored in records.items() if _kid(stored) != target}
            if not left:
                await self._audit("master.rewrap.done", target)
                await self._hooks.failpoint("rotate.swept")
                return _count(records)
            before = self._resealed
            self._refuse(await self._sweep(left, total=len(records)))
            if self._resealed > before:
                deadline = self._clock.monotonic() + self._patience
            elif self._clock.monotonic() > deadline:
                raise Conflict(f"{len(left)} records are in use by others for {self._patience:.0f} s")
            else:
                await self._sleep(_LOOK)

    async def _retire(self, facts: Facts) -> None:
        await self._hooks.failpoint("rotate.before_retire")
        former = rotation_plan.former(facts.keyring)
        await self._change("master.retire", facts.target, self._vault.keyring.retired(former))
        await self._hooks.failpoint("rotate.retired")

    async def _proof(self, facts: Facts) -> Proof:
        keyring = self._vault.keyring
        retired = tuple(key.kid for key in keyring if key.kid != keyring.primary.kid)
        counts = dict(_count(await self._records()))
        return Proof(keyring.primary.kid, retired, counts, self._resealed, len(facts.replicas))

    # -- the sweep

    async def _sweep(self, left: dict[_Name, Versioned], *, total: int) -> list[str]:
        """Re-seal what can be at the agreed rate; return the ids of records that do not open."""
        broken = []
        for number, ((kind, id_), stored) in enumerate(sorted(left.items()), start=total - len(left) + 1):
            started = self._clock.monotonic()
            await self._keep_lease()
            try:
                await self._reseal(kind, id_, stored)
            except Undecryptable:
                broken.append(id_)
            self._hooks.progress(Progress(Step.REENCRYPT, number, total))
            await self._sleep(max(0.0, self._pause - (self._clock.monotonic() - started)))
        return broken

    async def _reseal(self, kind: str, id_: str, stored: Versioned) -> None:
        """Re-seal one record, unless somebody works on it or has written it meanwhile: the next look decides."""
        lease = await self._store.acquire(kind, id_, self._owner, ttl=self._lease / 3, seen=stored.version)
        if not isinstance(lease, Granted):
            return
        try:
            await self._hooks.failpoint("rotate.mid_sweep")
            self._resealed += await self._vault.reseal(kind, id_)
        finally:
            await self._store.release(kind, id_, self._owner)

    async def _records(self) -> dict[_Name, Versioned]:
        """Return every sealed record. What a replica says of itself is its own to renew."""
        return {
            (kind, id_): stored
            for kind in SEALED_KINDS
            for id_, stored in (await self._store.scan(kind)).items()
            if not id_.startswith(replicas.PREFIX)
        }

    def _refuse(self, broken: list[str]) -> None:
        if broken:
            raise Conflict(
                f"{len(broken)} records do not open, so the old key must stay: {', '.join(broken[:10])}"
                f"{' …' if len(broken) > 10 else ''}; restore or remove them, then run again"
            )

    # -- inside

    async def _change(self, event: str, kid: int, keyring: Keyring) -> None:
        """Change the keyring everywhere this process can: where it is kept first, then in its own vault."""
        await self._audit(event, kid)
        await self._keep_lease(fresh=True)
        if await self._holder.read() != self._vault.keyring:
            raise Conflict("the keyring was changed by somebody else")
        await self._holder.write(keyring)
        await self._vault.adopt(keyring)

    async def _audit(self, event: str, kid: int) -> None:
        if self._hooks.audit is not None:
            await self._hooks.audit(event, kid)

    async def _take_lease(self) -> None:
        """Wait for as long as a rotation that was killed keeps its lease; one that runs keeps it longer."""
        deadline = self._clock.monotonic() + 1.1 * self._lease
        while True:
            lease = await self._store.acquire(META, _NAME, self._owner, ttl=self._lease, seen=0)
            if isinstance(lease, Granted):
                return
            if self._clock.monotonic() > deadline:
                raise Conflict("another rotation is running")
            await self._sleep(_LOOK)

    async def _keep_lease(self, *, fresh: bool = False) -> None:
        """Renew the lease when a third of it is over, or now; a lease that was lost is not taken again."""
        if (now := self._clock.monotonic()) - self._renewed < self._lease / 3 and not fresh:
            return
        if not await self._store.renew(META, _NAME, self._owner, ttl=self._lease):
            raise Conflict("another rotation has taken over")
        self._renewed = now


def _kid(stored: Versioned) -> int:
    """Return the key of a record by what is sealed, not by what the store says of it."""
    try:
        return envelope.kid_of(stored.value)
    except Unopened:
        return UNREADABLE


def _count(records: dict[_Name, Versioned]) -> Counter[int]:
    return Counter(_kid(stored) for stored in records.values())
