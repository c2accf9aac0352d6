"""Every test here runs against every kind of books; two of them are two processes over the same data."""

import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import anyio
import msgspec
import pytest

from services.chassis.redis.address import parse
from services.gateway.books.memory import MemoryBooks, Shelf
from services.gateway.books.port import Books
from services.gateway.books.redis import RedisBooks
from services.gateway.books.sqlite import SqliteBooks
from tests.support.clock import ManualClock
from tests.support.redis_server import standalone

_prefixes = itertools.count()


class Shared(msgspec.Struct, frozen=True):
    """Two processes' books, a third's to come, and time."""

    first: Books
    second: Books
    pass_time: Callable[[float], Awaitable[None]]


@pytest.fixture
def anyio_backend() -> Any:
    return "asyncio", {"use_uvloop": True}


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with standalone(tmp_path_factory.mktemp("redis")) as url:
        yield url


@pytest.fixture(params=["memory", "sqlite", "redis"])
async def shared(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Shared]:
    clock = ManualClock()
    books: list[Books]
    if request.param == "redis":
        url = f"{request.getfixturevalue('redis_url')}?prefix=books{next(_prefixes)}:&deadline=5000"
        books = [RedisBooks(parse(url), name, hours=24) for name in ("one", "two")]
    elif request.param == "sqlite":
        books = [SqliteBooks(tmp_path / "home" / "usage.db", name, clock) for name in ("one", "two")]
    else:
        shelf = Shelf(clock)
        books = [MemoryBooks(shelf, name) for name in ("one", "two")]

    async def pass_time(seconds: float) -> None:
        if request.param == "redis":
            await anyio.sleep(seconds)
        else:
            clock.advance(seconds)

    yield Shared(*books, pass_time)
    for book in books:
        await book.aclose()
