"""
Every test here runs against every bank, and gets two of them over the same data: two processes, as far as they know.

Time is moved where the bank takes a clock, waited for where the server has its own; so tokens live for four seconds.
"""

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from services.captcha.banks.memory import MemoryBank
from services.captcha.banks.port import Bank, Times
from services.captcha.banks.redis import RedisBank
from services.captcha.keys import Keys
from services.chassis.peer.token_file import TokenFile, generate
from services.chassis.redis.address import parse
from tests.support.clock import ManualClock
from tests.support.redis_server import Cluster, standalone

TIMES = Times(life=4.0, least=1.0, place=2.0, memory=1.5)
CAPACITY = 3
QUEUE = 4

_prefixes = itertools.count()


class Banks(msgspec.Struct, frozen=True):
    """Two banks over the same data, and their time."""

    bank: Bank
    other: Bank
    pass_time: Callable[[float], Awaitable[None]]


@pytest.fixture
def anyio_backend() -> Any:
    return "asyncio", {"use_uvloop": True}


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with standalone(tmp_path_factory.mktemp("redis")) as url:
        yield url


@pytest.fixture(scope="session")
def cluster_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with Cluster(tmp_path_factory.mktemp("cluster")) as cluster:
        yield cluster.url


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    generate(tmp_path / "key")
    return Keys(TokenFile(tmp_path / "key"))


@pytest.fixture(params=["memory", "redis", "cluster"])
async def banks(request: pytest.FixtureRequest, keys: Keys) -> AsyncIterator[Banks]:
    if request.param == "memory":
        clock = ManualClock()
        memory = MemoryBank(capacity=CAPACITY, queue=QUEUE, times=TIMES, clock=clock)

        async def move(seconds: float) -> None:
            clock.advance(seconds)

        yield Banks(memory, memory, move)
        return
    url = request.getfixturevalue(f"{request.param}_url")
    joint = "&" if "?" in url else "?"
    address = parse(f"{url}{joint}prefix=bank-{next(_prefixes)}:&deadline=5000")
    one, two = (RedisBank(address, keys, capacity=CAPACITY, queue=QUEUE, times=TIMES) for _ in range(2))
    yield Banks(one, two, asyncio.sleep)
    await one.aclose()
    await two.aclose()
