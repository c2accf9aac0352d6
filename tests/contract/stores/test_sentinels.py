"""
Which master is believed in when the sentinels do not agree: the one of the newest failover that any of them knows of.

The sentinels here are real and each watches a server of its own, so that they stay of different minds; real ones are for
some seconds, and with an old master that comes back that soon the store is written to where nobody will look for it.

Shown to fail once by: the newest of a majority's answers, whoever else may be about to answer; no memory; believing
who is amid a failover (so it was, and is mended: a store was read as it had been before the failover).
"""

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from redis.asyncio.sentinel import MasterNotFoundError

from services.chassis.redis import client
from services.chassis.redis.client import AskingAllSentinel
from tests.support.redis_server import MASTER, Sentinels, Server

pytestmark = pytest.mark.promise("P-16")


def _sentinel(directory: Path, master: Server, epoch: int) -> Server:
    lines = (
        f"sentinel monitor {MASTER} 127.0.0.1 {master.port} 2",
        f"sentinel down-after-milliseconds {MASTER} 500",
        f"sentinel config-epoch {MASTER} {epoch}",
        "sentinel current-epoch 9",
    )
    return Server(directory, *lines, sentinel=True)


class Split:
    """An old master that two sentinels name, and a new one that the third names."""

    def __init__(self, directory: Path) -> None:
        self.old, self.new = Server(directory / "old"), Server(directory / "new")
        self.stale = [_sentinel(directory / f"stale{n}", self.old, 3) for n in range(2)]
        self.informed = _sentinel(directory / "informed", self.new, 4)

    async def address(self, asking: AskingAllSentinel) -> int:
        """Return the port that is believed in, as soon as the sentinels have seen their masters."""
        async with asyncio.timeout(10):
            while True:
                with contextlib.suppress(MasterNotFoundError):
                    _, port = await asking.discover_master(MASTER)
                    return port
                await asyncio.sleep(0.05)


def _asking(sentinels: list[Server]) -> AskingAllSentinel:
    hosts = tuple(("127.0.0.1", sentinel.port) for sentinel in sentinels)
    return AskingAllSentinel(hosts, {"socket_timeout": 0.3, "protocol": 3}, None)


@pytest.fixture
def split(tmp_path: Path) -> Iterator[Split]:
    with contextlib.ExitStack() as stack:
        found = Split(tmp_path)
        for server in (found.old, found.new, *found.stale, found.informed):
            stack.enter_context(server)
        yield found


@pytest.fixture
async def asking(split: Split) -> AsyncIterator[AskingAllSentinel]:
    found = _asking([*split.stale, split.informed])
    yield found
    for sentinel in found.sentinels:
        await sentinel.aclose()


async def test_the_one_that_knows_of_the_last_failover_is_believed(split: Split, asking: AskingAllSentinel) -> None:
    assert await split.address(asking) == split.new.port
    for _ in range(20):
        assert await asking.discover_master(MASTER) == ("127.0.0.1", split.new.port)


async def test_what_was_heard_is_not_forgotten_when_who_said_it_is_silent(
    split: Split, asking: AskingAllSentinel, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert await split.address(asking) == split.new.port
    split.informed.signal(signal.SIGSTOP)
    try:
        with pytest.raises(MasterNotFoundError, match="have not heard of the last failover"):
            await asking.discover_master(MASTER)
        monkeypatch.setattr(client, "_REMEMBERED", 0.0)  # seconds later, when most of them have undone it
        assert await split.address(asking) == split.old.port
    finally:
        split.informed.signal(signal.SIGCONT)


async def test_while_the_newest_master_is_down_no_older_one_is_believed(
    split: Split, asking: AskingAllSentinel
) -> None:
    assert await split.address(asking) == split.new.port
    split.new.kill()
    named = set()
    with contextlib.suppress(MasterNotFoundError):
        async with asyncio.timeout(10):
            while True:
                named.add(await asking.discover_master(MASTER))
                await asyncio.sleep(0.05)

    assert named == {("127.0.0.1", split.new.port)}  # and then none
    with pytest.raises(MasterNotFoundError):
        await asking.discover_master(MASTER)


def _leads(sentinel: Server) -> bool:
    """Whether it has promoted a replica and has yet to tell the other one."""
    with contextlib.closing(sentinel.client()) as client:
        state = client.sentinel_masters()[MASTER]
    return state["config-epoch"] > 0 and "failover_in_progress" in state["flags"]


async def test_an_old_master_that_is_back_before_the_failover_is_over_is_not_believed(tmp_path: Path) -> None:
    """Whoever leads it names the old master with the new epoch, until the replicas follow; here they take three seconds."""
    with Sentinels(tmp_path, replicas=2) as sentinels:
        old = sentinels.current()
        for replica in sentinels.servers[1:]:
            with contextlib.closing(replica.client()) as client:
                client.execute_command("ACL", "SETUSER", "default", "-slaveof", "+slaveof|no")
        asking = _asking(sentinels.sentinels)
        old.kill()
        while not any(map(_leads, sentinels.sentinels)):
            await asyncio.sleep(0.05)
        old.start()
        named = [await _named(asking) for _ in range(200)]
        for sentinel in asking.sentinels:
            await sentinel.aclose()
    assert named[-1] is not None
    assert old.port not in named


async def _named(asking: AskingAllSentinel) -> int | None:
    await asyncio.sleep(0.02)
    with contextlib.suppress(MasterNotFoundError):
        _, port = await asking.discover_master(MASTER)
        return port
    return None
