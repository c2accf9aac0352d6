"""
The broker: what a gateway may use as of now, and what follows from what gateways find out.

Theory of operation. One task follows the store and makes a snapshot whenever anything has changed there. One task
makes credentials anew ahead of their end (`renewals.py`) and commits what the spool still holds. With the store away
the last snapshot goes on being handed out, and a refresh that was answered meanwhile shows in it.
"""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Final

import msgspec

from services.chassis.clock import Clock, SystemClock
from services.chassis.process import Tasks
from services.credentials import findings
from services.credentials.claims import Claims
from services.credentials.commits import Commits, Observer
from services.credentials.contract import LONGEST_WAIT, Report, ReportKind, Snapshot, State
from services.credentials.errors import Conflict, LoginRequired, NotFound, Unavailable
from services.credentials.failpoints import NO_FAILPOINTS, Failpoints
from services.credentials.holdings import Holdings
from services.credentials.leases import KnownKeys
from services.credentials.losses import Losses
from services.credentials.records import Credential
from services.credentials.refresh import End, epoch
from services.credentials.refresher import Parts, Refresher
from services.credentials.renewals import Renewals, RenewalSettings
from services.credentials.spool import Spool
from services.credentials.store_time import StoreTime
from services.credentials.stores.port import Store, StoreUnavailable
from services.credentials.token_provider import RefreshMode, TokenProvider
from services.credentials.vault import Vault

_LONGEST_PAUSE: Final = 2.0  # seconds between two tries while the store is away
_LOOK_EVERY: Final = 0.25  # seconds between two tries to commit what is spooled
_LOOKS: Final = 120  # of them until a spool is looked into in which nothing is known to be

_LOST: Final = State.LOGIN_REQUIRED

_log = logging.getLogger(__name__)


class BrokerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The broker's numbers, in seconds."""

    renewal: RenewalSettings = RenewalSettings()
    tick: float = 0.5  # between two looks at what is due
    shutdown: float = 40.0  # that attempts under way, and answers that the store does not have, get at the end


class Silent:
    """An observer that keeps nothing."""

    def note(self, event: str, subject: str, detail: str = "") -> None:
        """Take no note."""


async def no_keys() -> KnownKeys:
    """Return no client keys."""
    return KnownKeys()


class Broker:
    """One per process. `start` and `aclose` it on the loop that uses it; satisfies `client.CredentialsService`."""

    def __init__(
        self,
        vault: Vault,
        store: Store,
        spool_directory: Path,
        providers: Mapping[str, TokenProvider],
        *,
        settings: BrokerSettings | None = None,
        client_keys: Callable[[], Awaitable[KnownKeys]] = no_keys,
        observer: Observer | None = None,
        clock: Clock | None = None,
        failpoints: Failpoints = NO_FAILPOINTS,
    ) -> None:
        self._settings = settings or BrokerSettings()
        self._vault = vault
        self._store = store
        self._observer = observer or Silent()
        clock = clock or SystemClock()
        self._clock = clock
        self._time = StoreTime(clock)
        self._spool = Spool(spool_directory, vault)
        self._claims = Claims(store, clock)
        self._commits = Commits(vault, store, self._spool, self._claims, observer=self._observer, failpoints=failpoints)
        self._losses = Losses(vault, self._observer, clock)
        parts = Parts(
            vault=vault,
            store=store,
            commits=self._commits,
            losses=self._losses,
            claims=self._claims,
            providers=providers,
            time=self._time,
            failpoints=failpoints,
        )
        self._holdings = Holdings(vault, store, time=self._time, pending=self._commits.pending, client_keys=client_keys)
        self._renewals = Renewals(
            Refresher(parts),
            frozenset(providers),
            settings=self._settings.renewal,
            clock=clock,
            observer=self._observer,
            learn=self._holdings.learn,
        )
        self._strikes = findings.Strikes()
        self._tasks = Tasks()
        self._store_answers = False
        self._misses = 0
        self._spooled = 0
        self._looks = 0

    @property
    def store_answers(self) -> bool:
        """Whether the store did what it was asked last."""
        return self._store_answers

    @property
    def records(self) -> Mapping[str, Credential]:
        """The records by id, as the store had them last."""
        return self._holdings.records

    async def spools(self) -> bool:
        """Whether what a provider answers could be kept here while the store is away."""
        return await self._spool.writable()

    async def start(self) -> None:
        """Read the store and begin; a store that does not answer is tried again in the background."""
        try:
            await self._load()
        except StoreUnavailable as error:
            _log.warning("the store does not answer yet: %s", error)
        for name, work in (("store", self._follow), ("refresh ahead", self._keep_fresh), ("spool", self._replay)):
            _ = self._tasks.start(_forever(work), name=name)

    def end_polls(self) -> None:
        """The process drains: let long polls return."""
        self._holdings.end_polls()

    async def aclose(self) -> bool:
        """
        Wait for refreshes under way, and for the store to take what they got; returns whether none had to be cut.

        The spool outlives the process, but who knows whether anybody will read it: a pod's goes with the pod.
        """
        until = self._clock.monotonic() + self._settings.shutdown
        self._holdings.end_polls()
        await self._tasks.aclose()
        whole = await self._renewals.aclose(self._settings.shutdown)
        await self._commit_all(until)
        await self._claims.settle(late=0.0)
        return whole

    async def _commit_all(self, until: float) -> None:
        """Try for as long as there is time; `until` on the monotonic clock."""
        said = False
        while left := await self._commits.replay(self._settings.renewal.policy.lease):
            if self._clock.monotonic() >= until:
                _log.error("ending although the store lacks refreshed logins: %d; the spool has what a disk took", left)
                return
            if not said:
                said = True
                _log.warning("waiting for the store, which lacks refreshed logins: %d", left)
            await asyncio.sleep(_LOOK_EVERY)

    # -- what gateways ask

    async def poll(self, after: int, wait: float) -> Snapshot:
        """Return a snapshot above generation `after`, or what there is after `wait` seconds. Raises Unavailable."""
        return await self._holdings.newer(after, wait if 0.0 <= wait <= LONGEST_WAIT else LONGEST_WAIT)

    async def report(self, report: Report) -> Snapshot:
        """
        Take note of a finding; the answer is the snapshot that follows from it.

        Raises NotFound, Undecryptable, Unavailable.
        """
        try:
            record = await self._known(report)
            if record.version == report.version:
                if report.kind is ReportKind.UNAUTHORIZED:
                    await self._unauthorized(record, report)
                else:
                    await self._change(report, lambda found: findings.after(found, report, self._time.now()))
        except StoreUnavailable as error:
            self._store_answers = False
            raise Unavailable(str(error)) from error
        return self._holdings.snapshot()

    async def refresh(self, credential_id: str) -> End:
        """Make a credential anew now, because a person wants it. Raises NotFound, Undecryptable, LoginRequired."""
        await self._time.sample(self._store)  # a broker that was not started has not asked yet
        record = await self._vault.read_credential(credential_id)
        if self._renewals.mode(record) is RefreshMode.NONE:
            raise LoginRequired("this credential cannot be made anew without a person: log in again")
        outcome = await self._renewals.renew(record)
        await self._show(outcome.end)
        return outcome.end

    async def _known(self, report: Report) -> Credential:
        """Return the record of a report, read anew when the gateway has seen more than we."""
        record = self._holdings.records.get(report.credential_id)
        if record is None or record.version < report.version:
            await self._load()
            record = self._holdings.records.get(report.credential_id)
        if record is None:
            raise NotFound("there is no such credential")
        return record

    async def _unauthorized(self, record: Credential, report: Report) -> None:
        if record.id in self._commits.pending:
            return  # it was just made anew
        fresh = record.refreshed_at is not None and self._time.now() - record.refreshed_at < findings.FRESH
        if not fresh and self._renewals.mode(record) is not RefreshMode.NONE and record.state is not _LOST:
            if self._renewals.may(record):
                outcome = await self._renewals.renew(record)
                await self._show(outcome.end)
            return
        if self._strikes.add(f"{record.id}:{epoch(record)}:{report.plan.value}", self._clock.monotonic()):
            reason = report.reason or "unauthorized"
            await self._change(report, lambda found: self._losses.declare(found, report.plan, reason))

    async def _change(self, report: Report, change: Callable[[Credential], Credential]) -> None:
        """Change a record, as long as it is the version that was reported on."""
        record = await self._vault.read_credential(report.credential_id)
        if record.version == report.version and (changed := change(record)) != record:
            try:
                await self._vault.write_credential(changed, expected=record.version)
            except Conflict:
                _log.debug("a report on %s came too late", record.id)
        await self._load()

    async def _show(self, end: End) -> None:
        if end is End.PENDING:
            self._holdings.overlay()
        else:
            await self._load()

    # -- in the background

    async def _load(self) -> None:
        await self._holdings.load()
        self._answers(True)

    def _answers(self, yes: bool) -> None:
        if yes != self._store_answers:
            self._store_answers = yes
            self._observer.note("store.recovered" if yes else "store.degraded", "store")

    async def _follow(self) -> float:
        """Wait for a change in the store and show it."""
        try:
            if self._misses or self._holdings.generation < 0:
                await self._load()
            seen = self._holdings.generation
            if await self._store.changed(seen, wait=LONGEST_WAIT) > seen:
                await self._load()
            self._answers(True)
            self._misses = 0
        except StoreUnavailable:
            self._answers(False)
            self._misses += 1
            return min(_LONGEST_PAUSE, 0.1 * 2.0 ** min(self._misses, 6)) * (0.5 + _chance() / 2)
        return 0.0

    async def _keep_fresh(self) -> float:
        commits = self._commits
        self._renewals.ahead(self._holdings.records, self._time.now(), but=commits.pending, urgent=commits.contested)
        if self._commits.pending:
            self._holdings.overlay()
        return self._settings.tick

    async def _replay(self) -> float:
        """Commit what is spooled: soon where something is known to be, else by a look at the directory now and then."""
        if self._spooled or self._commits.pending or self._looks % _LOOKS == 0:
            self._spooled = await self._commits.replay(self._settings.renewal.policy.lease)
        self._looks += 1
        await self._claims.settle()
        return _LOOK_EVERY


async def _forever(work: Callable[[], Awaitable[float]]) -> None:
    """Do a piece of background work again and again; it says how long to pause. One failure does not end it."""
    while True:
        try:
            pause = await work()
        except Exception:  # noqa: BLE001 -- whatever it was, credentials must be kept fresh
            _log.exception("background work of the broker failed")
            pause = _LONGEST_PAUSE
        await asyncio.sleep(pause)


def _chance() -> float:
    return random.random()  # noqa: S311 -- spreads the tries of many processes
