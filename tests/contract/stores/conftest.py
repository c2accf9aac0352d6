"""
Every test here runs against every store. Time is moved where the store takes a clock, waited for where it has its own.

The servers live as long as the run; a test has key names of its own.
"""

import asyncio
import itertools
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from services.credentials.stores.factory import open_store
from services.credentials.stores.memory import MemoryStore
from services.credentials.stores.port import Store
from services.credentials.stores.sqlite import SqliteStore
from tests.support.clock import ManualClock
from tests.support.redis_server import Cluster, Sentinels, standalone

KINDS = ("memory", "sqlite", "redis", "sentinel", "cluster", "cluster-wait")

_prefixes = itertools.count()


class Backend(msgspec.Struct, frozen=True):
    """A store, a second one over the same data (another process, as far as that store is concerned), and its time."""

    store: Store
    other: Store
    pass_time: Callable[[float], Awaitable[None]]


@pytest.fixture
def anyio_backend() -> Any:
    return "asyncio", {"use_uvloop": True}


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with standalone(tmp_path_factory.mktemp("redis")) as url:
        yield url


@pytest.fixture(scope="session")
def sentinel_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with Sentinels(tmp_path_factory.mktemp("sentinel")) as sentinels:
        yield sentinels.url


@pytest.fixture(scope="session")
def cluster_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with Cluster(tmp_path_factory.mktemp("cluster"), replicas=True) as cluster:
        yield cluster.url


@pytest.fixture
def url(kind: str, request: pytest.FixtureRequest) -> str:
    """URL of a Redis, with a prefix that no other test has, and time for a machine that does much else."""
    shape, _, wait = kind.partition("-")
    base = request.getfixturevalue(f"{shape}_url")
    return f"{base}?deadline=4000&prefix=t{os.getpid()}-{next(_prefixes)}:{'&wait=1' if wait or shape == 'sentinel' else ''}"


@pytest.fixture
async def backend(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Backend]:
    backend = _local(kind, tmp_path) if kind in ("memory", "sqlite") else await _redis(request.getfixturevalue("url"))
    yield backend
    await backend.store.aclose()
    await backend.other.aclose()


def _local(kind: str, directory: Path) -> Backend:
    clock = ManualClock()

    async def move(seconds: float) -> None:
        clock.advance(seconds)
        await asyncio.sleep(0)

    if kind == "memory":
        store = MemoryStore(clock)
        return Backend(store, store, move)
    path = directory / "state" / "store.db"
    return Backend(SqliteStore(path, clock), SqliteStore(path, clock), move)


async def _redis(url: str) -> Backend:
    nowhere = Path()
    return Backend(await open_store(url, nowhere), await open_store(url, nowhere), asyncio.sleep)


@pytest.fixture
def store(backend: Backend) -> Store:
    return backend.store


@pytest.fixture
def other(backend: Backend) -> Store:
    return backend.other
