"""The broker over the memory store: reports and what follows, refreshes and what they show."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec
import pytest

from services.credentials.broker import Broker, BrokerSettings
from services.credentials.contract import ClientKey, Kind, Plan, Report, ReportKind, State
from services.credentials.errors import LoginRequired, Unavailable
from services.credentials.keyring import Keyring
from services.credentials.leases import KnownKeys
from services.credentials.records import Credential, Secrets
from services.credentials.refresh import End, Policy
from services.credentials.renewals import RenewalSettings
from services.credentials.stores.memory import MemoryStore
from services.credentials.stores.port import Busy, Granted, Stale, StoreUnavailable, Versioned
from services.credentials.token_provider import (
    InvalidGrant,
    RefreshedSecrets,
    RefreshMode,
    TransientFailure,
)
from services.credentials.vault import Vault
from tests.support.credentials import MASTER, RunningBroker, credential, eventually, running_broker, secrets_of, until

FAST = BrokerSettings(renewal=RenewalSettings(policy=Policy(lease=1.0, provider=0.2)), tick=0.01)


class Vendor:
    """A `TokenProvider` that hands out numbered keys, or fails as it is told to."""

    def __init__(self) -> None:
        self.calls: list[RefreshMode] = []
        self.failure: Exception | None = None
        self.wait = 0.0
        self.same = False

    async def refresh(self, secrets: Secrets, mode: RefreshMode) -> RefreshedSecrets:
        self.calls.append(mode)
        await asyncio.sleep(self.wait)
        if self.failure is not None:
            raise self.failure
        if self.same:
            return RefreshedSecrets(secrets=secrets)
        new = msgspec.structs.replace(secrets, api_key=f"key-{len(self.calls)}")
        return RefreshedSecrets(secrets=new, expires_in=3600.0)


class Shop:
    """A broker with one login at a vendor."""

    def __init__(self, service: RunningBroker, vendor: Vendor, record: Credential) -> None:
        self.service = service
        self.vendor = vendor
        self.id = record.id

    async def record(self) -> Credential:
        return await self.service.vault.read_credential(self.id)

    async def refused(self, plan: Plan = Plan.CODING) -> set[str]:
        """Report that the credential was refused; return the secrets of the snapshot that follows."""
        report = Report(
            credential_id=self.id, version=(await self.record()).version, kind=ReportKind.UNAUTHORIZED, plan=plan
        )
        return secrets_of(await self.service.broker.report(report))


def shop(work: Callable[[Shop], Awaitable[None]], **fields: object) -> Callable[[Path], Awaitable[None]]:
    """Make a test of a piece of work in a shop whose login has these fields."""

    async def test(tmp_path: Path) -> None:
        vendor = Vendor()
        held = {"api_key": "key-0", "access_token": "at"} | fields
        async with running_broker(tmp_path, providers={"zai": vendor}, settings=FAST) as service:
            record = await service.add(credential(**held))  # type: ignore[arg-type]
            await until(lambda: service.broker.records)
            await work(Shop(service, vendor, record))

    return test


async def _refused_key(it: Shop) -> None:
    assert await it.refused() == {"key-1"}
    assert it.vendor.calls == [RefreshMode.RESOLVE]
    assert it.service.notes.count("refresh.ok") == 1


async def _many_refusals(it: Shop) -> None:
    it.vendor.wait = 0.05
    found = await asyncio.gather(*(it.refused() for _ in range(20)))

    assert found == [{"key-1"}] * 20
    assert len(it.vendor.calls) == 1


async def _refused_again(it: Shop) -> None:
    it.vendor.same = True
    for _ in range(6):
        await it.refused()

    record = await it.record()
    assert (record.state, record.secrets.api_key) == (State.LOGIN_REQUIRED, "key-0")
    assert len(it.vendor.calls) == 1, "refreshing did not help, so it is not done over and over"
    assert it.service.notes.count("needs_login") == 1


async def _provider_down(it: Shop) -> None:
    it.vendor.failure = TransientFailure("down")
    for _ in range(6):
        assert await it.refused() == {"key-0"}

    assert (await it.record()).state is State.READY, "a provider that is down says nothing of the login"
    assert len(it.vendor.calls) == 1, "and is left alone for a while"


async def _grant_gone(it: Shop) -> None:
    it.vendor.failure = InvalidGrant("no")
    await it.refused()

    record = await it.record()
    assert (record.state, record.reason, record.secrets.access_token) == (State.LOGIN_REQUIRED, "invalid_grant", "at")
    assert it.service.notes.count("needs_login") == 1
    it.vendor.failure = None
    await it.refused()
    assert len(it.vendor.calls) == 1, "what only a person can mend is not tried again"


async def _key_of_the_owner(it: Shop) -> None:
    for expected in (State.READY, State.READY, State.LOGIN_REQUIRED):
        await it.refused()
        assert (await it.record()).state is expected

    assert it.vendor.calls == []


async def _start_plan_apart(it: Shop) -> None:
    for _ in range(4):
        await it.refused(Plan.START)

    record = await it.record()
    assert (record.state, record.start_plan.state) == (State.READY, State.LOGIN_REQUIRED)


async def _old_news(it: Shop) -> None:
    await it.refused()
    old = Report(credential_id=it.id, version=1, kind=ReportKind.DISABLED)
    await it.service.broker.report(old)

    assert (await it.record()).state is State.READY


async def _by_hand(it: Shop) -> None:
    assert await it.service.broker.refresh(it.id) is End.REFRESHED


async def _gateway_ahead(it: Shop) -> None:
    """Another replica has told the gateway of a version that this one has not read yet."""
    await it.service.vault.write_credential(msgspec.structs.replace(await it.record(), label="new"), expected=1)

    assert await it.refused() == {"key-1"}


test_a_refused_key_is_resolved_anew = shop(_refused_key)
test_refusals_at_the_same_time_are_one_refresh = shop(_many_refusals)
test_a_refresh_that_does_not_help_ends_in_a_login = shop(_refused_again)
test_a_provider_that_is_down_costs_no_login = shop(_provider_down)
test_a_login_that_is_over_is_kept_and_said_once = shop(_grant_gone)
test_a_key_of_the_owner_is_given_up_at_the_third_refusal = shop(_key_of_the_owner, kind=Kind.API_KEY)
test_the_start_plan_fails_alone = shop(_start_plan_apart, start_plan_jwt="jwt")
test_a_report_on_an_older_version_changes_nothing = shop(_old_news)
test_a_person_may_ask_for_a_refresh = shop(_by_hand)
test_a_report_on_a_version_not_yet_read_makes_us_read = shop(_gateway_ahead)


async def test_what_is_due_is_renewed_ahead_and_shown(tmp_path: Path) -> None:
    vendor, now = Vendor(), time.time()
    async with running_broker(tmp_path, providers={"zai": vendor}, settings=FAST) as service:
        await service.add(credential(api_key="key-0", refresh_token="rt", rotated_at=now - 90, expires_at=now + 10))
        await eventually(lambda: _shows(service, {"key-1"}))

        assert vendor.calls == [RefreshMode.ROTATE]


async def _shows(service: RunningBroker, expected: set[str]) -> bool:
    return secrets_of(await service.broker.poll(-1, 0.0)) == expected


async def test_a_provider_nobody_knows_is_left_alone(tmp_path: Path) -> None:
    now = time.time()
    async with running_broker(tmp_path, settings=FAST) as service:
        record = await service.add(credential(api_key="key-0", refresh_token="rt", rotated_at=0.0, expires_at=now - 1))
        await eventually(lambda: _shows(service, {"key-0"}))

        with pytest.raises(LoginRequired):
            await service.broker.refresh(record.id)


@pytest.mark.promise("P-10b")
async def test_the_end_waits_for_a_refresh_under_way(tmp_path: Path) -> None:
    vendor, store = Vendor(), _Kept()
    vendor.wait = 0.2
    async with running_broker(tmp_path, store=store, providers={"zai": vendor}, settings=FAST) as service:
        record = await service.add(credential(api_key="key-0", access_token="at"))
        await until(lambda: service.broker.records)
        waiting = asyncio.ensure_future(
            service.broker.report(Report(credential_id=record.id, version=1, kind=ReportKind.UNAUTHORIZED))
        )
        await until(lambda: vendor.calls)
        waiting.cancel()
        assert await service.broker.aclose()

        assert (await service.vault.read_credential(record.id)).secrets.api_key == "key-1"


class _Kept(MemoryStore):
    """A store that stays open, to be looked at afterwards."""

    async def aclose(self) -> None:
        pass


class _Flaky(MemoryStore):
    """A store that can be made not to answer."""

    away = False

    async def get(self, kind: str, id_: str, *, durable: bool = False) -> Versioned | None:
        self._check()
        return await super().get(kind, id_, durable=durable)

    async def put(self, kind: str, id_: str, value: bytes, *, kid: int, expected: int) -> bool:
        self._check()
        return await super().put(kind, id_, value, kid=kid, expected=expected)

    async def generation(self) -> int:
        self._check()
        return await super().generation()

    def _check(self) -> None:
        if self.away:
            raise StoreUnavailable("away")


class _Deaf(MemoryStore):
    """A store whose changes nobody hears of, and which counts who asks for a lease."""

    asked = 0

    async def changed(self, after: int, *, wait: float) -> int:
        await asyncio.sleep(wait)
        return after

    async def acquire(self, kind: str, id_: str, owner: str, *, ttl: float, seen: int) -> Granted | Busy | Stale:
        self.asked += 1
        return await super().acquire(kind, id_, owner, ttl=ttl, seen=seen)


@pytest.mark.promise("P-10b")
@pytest.mark.parametrize("failure", [InvalidGrant("no"), None])
async def test_what_an_attempt_found_is_known_before_the_store_tells(tmp_path: Path, failure: Exception | None) -> None:
    """Shown to fail once by: attempts that begin with the record of the last snapshot, until there is another one."""
    vendor, store, now = Vendor(), _Deaf(), time.time()
    vendor.failure = failure
    vault = Vault(store, Keyring.generate(MASTER))
    await vault.unlock(initialise=True)
    record = credential(api_key="key-0", refresh_token="rt", rotated_at=now - 90, expires_at=now + 10)
    await vault.write_credential(record, expected=0)
    async with running_broker(tmp_path, store=store, providers={"zai": vendor}, settings=FAST) as service:
        await until(lambda: service.notes.count("needs_login") + service.notes.count("refresh.ok"))
        await asyncio.sleep(20 * FAST.tick)

        assert (store.asked, len(vendor.calls)) == (1, 1)
        assert service.notes.count("needs_login") + service.notes.count("refresh.ok") == 1


@pytest.mark.promise("P-17")
async def test_an_answer_shows_although_the_store_is_away_and_is_committed_later(tmp_path: Path) -> None:
    vendor, store = Vendor(), _Flaky()
    vendor.wait = 0.1
    async with running_broker(tmp_path, store=store, providers={"zai": vendor}, settings=FAST) as service:
        record = await service.add(credential(api_key="key-0", access_token="at"))
        await until(lambda: service.broker.records)
        report = Report(credential_id=record.id, version=1, kind=ReportKind.UNAUTHORIZED)
        waiting = asyncio.ensure_future(service.broker.report(report))
        await until(lambda: vendor.calls)
        store.away = True
        shown = await waiting
        again = await service.broker.report(report)
        store.away = False
        await eventually(lambda: _committed(service, record.id))

        assert secrets_of(shown) == secrets_of(again) == {"key-1"}
        assert len(vendor.calls) == 1


async def _committed(service: RunningBroker, id_: str) -> bool:
    return (await service.vault.read_credential(id_)).secrets.api_key == "key-1"


async def test_without_the_store_reports_are_refused_and_snapshots_go_on(tmp_path: Path) -> None:
    store = _Flaky()
    async with running_broker(tmp_path, store=store, settings=FAST) as service:
        record = await service.add(credential(api_key="key-0"))
        await eventually(lambda: _shows(service, {"key-0"}))
        store.away = True
        with pytest.raises(Unavailable):
            await service.broker.report(Report(credential_id=record.id, version=1, kind=ReportKind.COOLING))

        assert await _shows(service, {"key-0"})
        assert not service.broker.store_answers
        assert await service.broker.spools(), "a spool that can be written keeps what a provider answers"
        store.away = False


async def test_client_keys_come_along(tmp_path: Path) -> None:
    async def keys() -> KnownKeys:
        return KnownKeys(keys=(ClientKey(id="k", macs=("m",)),), pepper="p")

    async with running_broker(tmp_path, client_keys=keys) as service:
        snapshot = await service.broker.poll(-1, 0.0)

    assert (snapshot.client_keys[0].id, snapshot.pepper) == ("k", "p")


async def test_a_long_poll_is_held_and_let_go(tmp_path: Path) -> None:
    async with running_broker(tmp_path) as service:
        now = await service.broker.poll(-1, 0.0)
        begun = time.monotonic()
        assert await service.broker.poll(now.generation, 0.05) is now
        assert time.monotonic() - begun >= 0.05
        waiting = asyncio.ensure_future(service.broker.poll(now.generation, float("nan")))
        await asyncio.sleep(0)
        service.broker.end_polls()

        assert await asyncio.wait_for(waiting, 1.0) is now


class _FastStore(MemoryStore):
    """A store whose clock is ten minutes ahead."""

    async def now(self) -> float:
        return await super().now() + 600.0


@pytest.mark.promise("P-15")
async def test_a_broker_that_was_not_started_goes_by_the_stores_clock(tmp_path: Path) -> None:
    """As the command line's is. Shown to fail once by: this machine's clock, ten minutes too early an end."""
    store = _FastStore()
    vault = Vault(store, Keyring.generate(MASTER))
    await vault.unlock(initialise=True)
    await vault.write_credential(record := credential(api_key="key-0", access_token="at"), expected=0)
    broker = Broker(vault, store, tmp_path / "spool", {"zai": Vendor()}, settings=FAST)
    await broker.refresh(record.id)
    await broker.aclose()

    left = ((await vault.read_credential(record.id)).expires_at or 0.0) - await store.now()
    assert 3590.0 < left <= 3600.0
