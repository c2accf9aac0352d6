"""
Master-key rotation, online: add, distribute, promote, re-encrypt, retire. Does what `rotation_plan.py` decides.

Nothing is remembered between two runs: a rotation that was killed goes on when it is run again. One runs at a time, by
a lease that each step renews. A record is re-sealed under its own lease, the one a refresh takes too, so that a refresh
in flight never finds its version gone; compare-and-swap keeps it right even where a lease was lost. Records are not
re-sealed when they are read: a broker reads all of them at once, which would be a sweep without a limit.

A keyring that is not ours to change, as in a mounted Secret, is changed by whoever keeps it, with what `zcode-proxy
keyring` prints. Then this does what lies between: it waits for replicas, seals anew, counts, and says what is next.
"""

import asyncio
import secrets
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Final, Protocol

import msgspec

from services.chassis import sealing
from services.chassis.clock import Clock, SystemClock
from services.credentials import census, replicas, rotation_plan
from services.credentials.errors import Conflict, Undecryptable
from services.credentials.failpoints import NO_FAILPOINTS
from services.credentials.keyring import Keyring, KeyState
from services.credentials.replicas import Sleep
from services.credentials.rotation_plan import Facts, Step
from services.credentials.stores.port import Granted, Store, StoreUnavailable, Versioned
from services.credentials.vault import META, Vault

RATE: Final = 50.0  # records re-sealed per second
LEASE: Final = 30.0  # seconds until a rotation that was killed may go on; renewed at a third
PATIENCE: Final = 300.0  # seconds to wait for replicas, or for records that others hold

_NAME: Final = "rotation"  # of the lease
_AWAY: Final = 3  # calls in a row that a store may leave unanswered before it is taken to be away
_LOOK: Final = 1.0  # seconds between two looks at what others do


class KeyringHolder(Protocol):
    """Where the keyring is kept: a file, or a Kubernetes Secret."""

    @property
    def fixed(self) -> bool:
        """Whether it can only be read here."""

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
    next: str = ""  # what is left to whoever keeps the keyring


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
        self._keyring = vault.keyring  # as it is kept

    async def run(self) -> Proof:
        """
        Take every step that is left. Returns when no record is under another key than the new primary.

        Raises Conflict when another rotation runs, when replicas stay silent, when records do not open, or when it is
        for whoever keeps the keyring to promote the new key; what was done until then is done, and running again goes
        on from there.
        """
        await self._take_lease()
        self._renewed = self._clock.monotonic()
        try:
            return await self._run()
        finally:
            await self._store.release(META, _NAME, self._owner)

    async def _run(self) -> Proof:
        self._keyring = await self._holder.read()
        if not self._holder.fixed:
            await self._vault.adopt(self._keyring)
        target = rotation_plan.target_of(self._keyring, fixed=self._holder.fixed)
        counts: Counter[int] | None = None
        while True:
            facts = await self._facts(target, counts)
            step = rotation_plan.next_step(facts)
            self._hooks.progress(Progress(step))
            if step is Step.DONE or (step is Step.RETIRE and facts.fixed):
                break
            if step is Step.PROMOTE and facts.fixed:
                raise Conflict(f"{rotation_plan.what_next(step, facts)}; then run this again")
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
        return await self._proof(facts, step)

    async def _facts(self, target: int, counts: Counter[int] | None) -> Facts:
        await self._keep_lease()
        living = await replicas.living(self._store, self._vault)
        return Facts(self._keyring, target, living, self._at_least, counts, self._holder.fixed)

    # -- the steps

    async def _add(self, target: int) -> None:
        await self._hooks.failpoint("rotate.before_add")
        await self._change("master.add", target, self._keyring.added(secrets.token_bytes(sealing.MASTER_SIZE)))
        await self._hooks.failpoint("rotate.added")

    async def _wait_for_replicas(self, target: int, step: Step) -> None:
        missing_in = rotation_plan.without_key if step is Step.DISTRIBUTE else rotation_plan.unsettled
        deadline = self._clock.monotonic() + self._patience
        while missing := missing_in(await self._facts(target, None)):
            self._hooks.progress(Progress(step, waiting_for=tuple(missing)))
            if self._clock.monotonic() > deadline:
                lack = "have" if step is Step.DISTRIBUTE else "seal with"
                raise Conflict(
                    f"replicas that do not {lack} the new key after {self._patience:.0f} s: {', '.join(missing)}; "
                    "nothing was sealed with it for them: see to it that they get the keyring, then run this again"
                )
            await self._sleep(_LOOK)

    async def _promote(self, target: int) -> None:
        await self._hooks.failpoint("rotate.before_promote")
        await self._change("master.promote", target, self._keyring.promoted(target))
        await self._hooks.failpoint("rotate.promoted")

    async def _reencrypt(self, target: int) -> Counter[int]:
        """Re-seal every record that is not under the target key; return the count of a last look at all of them."""
        await self._hooks.failpoint("rotate.before_sweep")
        if self._vault.keyring != self._keyring:  # of a fixed keyring the primary is adopted when everybody has it
            await self._vault.adopt(self._keyring)
        deadline = self._clock.monotonic() + self._patience
        while True:
            if await self._holder.read() != self._keyring:
                raise Conflict("the keyring was changed while records were sealed anew; run this again")
            records = await census.records(self._store)
            left = {name: stored for name, stored in records.items() if census.kid_of(stored) != target}
            if not left:
                await self._audit("master.rewrap.done", target)
                await self._hooks.failpoint("rotate.swept")
                return census.count(records.values())
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
        await self._change("master.retire", facts.target, self._keyring.retired(former))
        await self._hooks.failpoint("rotate.retired")

    async def _proof(self, facts: Facts, step: Step) -> Proof:
        keyring = self._keyring
        retired = tuple(key.kid for key in keyring if key.state is KeyState.RETIRED)
        counts = dict(census.count((await census.records(self._store)).values()))
        left = rotation_plan.what_next(step, facts) if facts.fixed else ""
        return Proof(keyring.primary.kid, retired, counts, self._resealed, len(facts.replicas), left)

    # -- the sweep

    async def _sweep(self, left: dict[census.Name, Versioned], *, total: int) -> list[str]:
        """Re-seal what can be at the agreed rate; return the ids of records that do not open."""
        broken = []
        away = 0  # calls in a row that the store did not answer
        for number, ((kind, id_), stored) in enumerate(sorted(left.items()), start=total - len(left) + 1):
            started = self._clock.monotonic()
            await self._keep_lease()
            try:
                await self._reseal(kind, id_, stored)
            except Undecryptable:
                broken.append(id_)
            except StoreUnavailable:
                # Others may write just now: the record is left to the next look. A store that is away stays away.
                away += 1
                if away == _AWAY:
                    raise
            else:
                away = 0
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
        if await self._holder.read() != self._keyring:
            raise Conflict("the keyring was changed by somebody else")
        await self._holder.write(keyring)
        self._keyring = keyring
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
