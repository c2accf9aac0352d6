"""Replicas, a provider and a store that they share; every process is real."""

import itertools
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from services.credentials.keyring import Keyring
from services.credentials.records import Credential
from services.credentials.stores.factory import open_store
from services.credentials.stores.port import Store
from services.credentials.vault import Vault
from tests.support.credentials import MASTER, credential
from tests.support.credentials_worker import Nursery, Work, Worker
from tests.support.promises import show
from tests.support.redis_server import Server
from tests.support.token_provider import Provider

__all__ = ["Arena", "show"]

_names = itertools.count()


class Arena:
    """What a test of several replicas needs."""

    def __init__(self, directory: Path, store_url: str, provider: Provider, nursery: Nursery) -> None:
        self.directory = directory
        self.store_url = store_url
        self.provider = provider
        self.nursery = nursery
        self.store: Store
        self.vault: Vault
        self.redis: Server | None = None

    async def open(self) -> None:
        # The test's own look into the store may be late on a busy machine; the replicas' may not.
        joint = "&" if "?" in self.store_url else "?"
        patient = f"{self.store_url}{joint}deadline=4000" if self.store_url.startswith("redis") else self.store_url
        self.store = await open_store(patient, self.directory)
        self.vault = Vault(self.store, Keyring.generate(MASTER))
        await self.vault.unlock(initialise=True)

    def work(self, slot: int = 0, **changes: Any) -> Work:
        """Return what a replica does; a slot is a machine: its spool outlives the process."""
        directory = str(self.directory / f"slot{slot}")
        settings = {"store": self.store_url, "provider": self.provider.url, **changes}
        return Work(directory=directory, **settings)

    def spawn(self, slot: int = 0, *, failpoint: str = "", wait: bool = True, **changes: Any) -> Worker:
        return self.nursery.spawn(self.work(slot, **changes), failpoint=failpoint, wait=wait)

    async def add(self, *, expires_in: float = 0.0) -> str:
        """Add a login that is due at once (or `expires_in` seconds from now, of a life of twice that); return its id."""
        name = f"crd-{next(_names):06d}"
        now = await self.store.now()
        record = credential(
            name,
            provider="test",
            api_key=f"key-{name}-0",
            refresh_token=self.provider.account(name),
            rotated_at=now - max(expires_in, 100.0),
            created_at=now,
            expires_at=now + expires_in,
        )
        await self.vault.write_credential(record, expected=0)
        return name

    async def read(self, name: str) -> Credential:
        self.vault.forget()
        return await self.vault.read_credential(name)

    async def is_newest(self, name: str) -> bool:
        """Say whether the stored token is the provider's newest: the one that is good whatever the grace."""
        return (await self.read(name)).secrets.refresh_token == self.provider.current(name)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
def nursery(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nursery]:
    with Nursery(tmp_path_factory.mktemp("nursery")) as found:
        yield found


@pytest.fixture
def provider() -> Iterator[Provider]:
    with Provider() as found:
        yield found


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[Server]:
    with Server(tmp_path / "redis") as server:
        yield server


@pytest.fixture(params=["redis", "sqlite"])
async def arena(
    request: pytest.FixtureRequest, tmp_path: Path, provider: Provider, nursery: Nursery
) -> AsyncIterator[Arena]:
    """An arena over each store that several processes may share."""
    url = f"sqlite://{tmp_path}/store/store.db"
    redis: Server | None = None
    if request.param == "redis":
        redis = request.getfixturevalue("redis")
        url = redis.url
    found = Arena(tmp_path, url, provider, nursery)
    found.redis = redis
    await found.open()
    yield found
    await found.store.aclose()


@pytest.fixture
async def redis_arena(redis: Server, tmp_path: Path, provider: Provider, nursery: Nursery) -> AsyncIterator[Arena]:
    """An arena whose store may be killed."""
    found = Arena(tmp_path, redis.url, provider, nursery)
    found.redis = redis
    await found.open()
    yield found
    await found.store.aclose()
