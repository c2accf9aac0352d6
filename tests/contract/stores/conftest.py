"""Every test here runs against every store. Time is moved where the store takes a clock, waited for where it has one."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import msgspec
import pytest

from services.credentials.stores.memory import MemoryStore
from services.credentials.stores.port import Store
from services.credentials.stores.sqlite import SqliteStore
from tests.support.clock import ManualClock

KINDS = ("memory", "sqlite")


class Backend(msgspec.Struct, frozen=True):
    """A store, a second one over the same data (another process, as far as that store is concerned), and its time."""

    store: Store
    other: Store
    pass_time: Callable[[float], Awaitable[None]]


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
async def backend(kind: str, tmp_path: Path) -> AsyncIterator[Backend]:
    clock = ManualClock()

    async def move(seconds: float) -> None:
        clock.advance(seconds)
        await asyncio.sleep(0)

    if kind == "memory":
        store = other = MemoryStore(clock)
        backend = Backend(store, other, move)
    else:
        path = tmp_path / "state" / "store.db"
        backend = Backend(SqliteStore(path, clock), SqliteStore(path, clock), move)
    yield backend
    await backend.store.aclose()
    await backend.other.aclose()


@pytest.fixture
def store(backend: Backend) -> Store:
    return backend.store


@pytest.fixture
def other(backend: Backend) -> Store:
    return backend.other
