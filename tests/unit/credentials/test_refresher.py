"""How an attempt keeps its lease while the provider thinks and the store stumbles."""

import asyncio
from pathlib import Path

import msgspec
import pytest

from services.credentials.broker import BrokerSettings
from services.credentials.records import Secrets
from services.credentials.refresh import Policy
from services.credentials.renewals import RenewalSettings
from services.credentials.stores.memory import MemoryStore
from services.credentials.stores.port import Busy, Granted, StoreUnavailable
from services.credentials.token_provider import RefreshedSecrets, RefreshMode
from services.credentials.vault import CREDENTIAL
from tests.support.credentials import credential, running_broker, until

LEASE = 3.0


class StumblingStore(MemoryStore):
    """A store that does not answer three renewals in a row."""

    def __init__(self) -> None:
        super().__init__()
        self.stumbles = 0
        self.held: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

    async def renew(self, kind: str, id_: str, owner: str, *, ttl: float) -> bool:
        if self.stumbles:
            self.stumbles -= 1
            raise StoreUnavailable("busy")
        held = await super().renew(kind, id_, owner, ttl=ttl)
        if not self.held.done() and self.asked:
            self.held.set_result(held)
        return held

    asked = False


class SlowVendor:
    """A provider that answers once the lease was kept for it, or lost."""

    def __init__(self, store: StumblingStore) -> None:
        self._store = store

    async def refresh(self, secrets: Secrets, mode: RefreshMode) -> RefreshedSecrets:
        del mode
        self._store.asked, self._store.stumbles = True, 3
        await self._store.held
        return RefreshedSecrets(secrets=secrets, expires_in=3600.0)


@pytest.mark.promise("P-13")
async def test_a_lease_outlives_a_store_that_stumbles_three_times(tmp_path: Path) -> None:
    """Shown to fail once by: waiting a third of the lease after each try, good or bad."""
    store = StumblingStore()
    policy = Policy(lease=LEASE, provider=10 * LEASE)
    settings = BrokerSettings(renewal=RenewalSettings(policy=policy), tick=0.01)
    async with running_broker(
        tmp_path, store=store, providers={"zai": SlowVendor(store)}, settings=settings
    ) as service:
        await service.add(credential(api_key="key-0", access_token="at", expires_at=await store.now() + 1.0))
        async with asyncio.timeout(20):
            held = await store.held

    assert held


class DeafStore(MemoryStore):
    """A store that takes no record while it is `deaf`, and keeps leases all the same."""

    deaf = False

    async def put(self, kind: str, id_: str, value: bytes, *, kid: int, expected: int) -> bool:
        if self.deaf:
            raise StoreUnavailable("away")
        return await super().put(kind, id_, value, kid=kid, expected=expected)

    async def aclose(self) -> None:
        """Stay, to be looked at."""


def _spooled(directory: Path) -> bool:
    return any(directory.rglob("*.spool"))


class QuickVendor:
    """A provider that answers at once, when the store has just gone deaf."""

    def __init__(self, store: DeafStore) -> None:
        self._store = store
        self.calls = 0

    async def refresh(self, secrets: Secrets, mode: RefreshMode) -> RefreshedSecrets:
        del mode
        self.calls += 1
        self._store.deaf = True
        new = msgspec.structs.replace(secrets, api_key=f"key-{self.calls}")
        return RefreshedSecrets(secrets=new, expires_in=3600.0)


@pytest.mark.promise("P-11")
async def test_the_lease_is_kept_until_the_answer_is_in_the_store(tmp_path: Path) -> None:
    """Shown to fail once by: giving it back although the answer is in the spool, which lets others use the token again."""
    store = DeafStore()
    vendor = QuickVendor(store)
    settings = BrokerSettings(renewal=RenewalSettings(policy=Policy(lease=30.0)), tick=0.01)
    async with running_broker(tmp_path, store=store, providers={"zai": vendor}, settings=settings) as service:
        record = credential(api_key="key-0", access_token="at", expires_at=await store.now() + 1.0)
        await service.add(record)
        async with asyncio.timeout(20):
            while not _spooled(tmp_path):
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.1)
            other = await store.acquire(CREDENTIAL, record.id, "another replica", ttl=1.0, seen=99)
            store.deaf = False
            while not isinstance(await store.acquire(CREDENTIAL, record.id, "another", ttl=1.0, seen=99), Granted):
                await asyncio.sleep(0.01)

    assert isinstance(other, Busy)
    assert not _spooled(tmp_path)
    assert 1 == vendor.calls


async def _renewed(directory: Path, store: DeafStore, vendor: QuickVendor, *, spool: bool) -> str:
    """Have a login made anew while the store is deaf; return what is stored after an end at which it hears again."""
    if not spool:
        (directory / "spool").write_text("a file where the directory should be")
    settings = BrokerSettings(renewal=RenewalSettings(policy=Policy(lease=30.0)), tick=0.01)
    async with running_broker(directory, store=store, providers={"zai": vendor}, settings=settings) as service:
        record = credential(api_key="key-0", refresh_token="rt", expires_at=await store.now() + 1.0)
        await service.add(record)
        async with asyncio.timeout(20):
            while not vendor.calls:
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.1)
            asyncio.get_running_loop().call_later(0.4, setattr, store, "deaf", False)
            assert await service.broker.aclose()
        return (await service.vault.read_credential(record.id)).secrets.api_key or ""


@pytest.mark.promise("P-10b")
@pytest.mark.parametrize("spool", [True, False])
async def test_the_end_waits_until_the_answer_is_in_the_store(tmp_path: Path, spool: bool) -> None:
    """Shown to fail once by: one try at the end; an answer that no disk took and nobody committed."""
    vendor = QuickVendor(store := DeafStore())

    assert await _renewed(tmp_path, store, vendor, spool=spool) == "key-1"
    assert vendor.calls == 1
    assert not _spooled(tmp_path)


@pytest.mark.promise("P-17")
async def test_an_answer_that_no_disk_takes_is_spooled_once_one_does(tmp_path: Path) -> None:
    """Shown to fail once by: keeping it in memory alone."""
    vendor = QuickVendor(store := DeafStore())
    (tmp_path / "spool").write_text("a file where the directory should be")
    settings = BrokerSettings(renewal=RenewalSettings(policy=Policy(lease=30.0)), tick=0.01)
    async with running_broker(tmp_path, store=store, providers={"zai": vendor}, settings=settings) as service:
        await service.add(credential(api_key="key-0", refresh_token="rt", expires_at=await store.now() + 1.0))
        await until(lambda: service.notes.count("spool.fail"), seconds=20)
        (tmp_path / "spool").unlink()
        await until(lambda: _spooled(tmp_path), seconds=20)
        store.deaf = False
        await until(lambda: not _spooled(tmp_path), seconds=20)

    assert vendor.calls == 1
    assert service.notes.count("spool.fail") == 1
