"""
A master dies or hangs, the sentinels choose another: nothing that was acknowledged is lost, and soon writes work again.

One master, two replicas, three sentinels, `wait=1`. With one replica only, `wait=1` would allow no write after the
master is gone, and without it a failover may lose what was acknowledged: Redis replicates after it answers.
A hung master (SIGSTOP) that wakes up later believes that it is master still: that is a partition that heals.
"""

import asyncio
import contextlib
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from services.credentials.stores.factory import open_store
from services.credentials.stores.port import Store, StoreUnavailable
from tests.support.promises import show
from tests.support.redis_server import Sentinels

WORKS_WITHIN = 5.0  # seconds; promises.md P-16
RECORDS = 5


class Refreshing:
    """Writes ever newer values of a few records, as refreshes would; remembers the newest acknowledged of each."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._stopped = False
        self.acknowledged = dict.fromkeys((f"crd_{n}" for n in range(RECORDS)), 0)
        self.wrote_at = time.monotonic()
        self.lost: list[str] = []

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            for id_ in self.acknowledged:
                group.create_task(self._refresh(id_))

    def stop(self) -> None:
        self._stopped = True

    async def _refresh(self, id_: str) -> None:
        while not self._stopped:
            with contextlib.suppress(StoreUnavailable):
                await self._write(id_)
            await asyncio.sleep(0.01)

    async def _write(self, id_: str) -> None:
        """Read, check that nothing acknowledged is gone, write the next."""
        asked = time.monotonic()
        found = await self._store.get("cred", id_)
        number = 0 if found is None else int(found.value)
        if number < self.acknowledged[id_]:
            self.lost.append(f"{id_}: {self.acknowledged[id_]} was acknowledged, {number} is stored")
            self.acknowledged[id_] = number
        version = 0 if found is None else found.version
        if await self._store.put("cred", id_, b"%d" % (number + 1), kid=1, expected=version):
            self.acknowledged[id_] = number + 1
            self.wrote_at = max(self.wrote_at, asked)


@pytest.fixture
async def sentinels(tmp_path: Path) -> AsyncIterator[Sentinels]:
    with Sentinels(tmp_path, replicas=2) as sentinels:
        yield sentinels


async def fail_over(sentinels: Sentinels, refreshing: Refreshing, number: int) -> float:
    """Kill or stop the master; return the seconds until a write that was begun after that is acknowledged."""
    master = sentinels.current()
    hung = number % 2 == 1
    master.signal(signal.SIGSTOP if hung else signal.SIGKILL)
    gone_at = time.monotonic()
    deadline = gone_at + 20
    while refreshing.wrote_at <= gone_at:
        assert time.monotonic() < deadline, "no write is possible"
        await asyncio.sleep(0.02)
    took = time.monotonic() - gone_at
    await asyncio.sleep(0.5)
    if hung:
        master.signal(signal.SIGCONT)
    else:
        master.kill()
        await asyncio.to_thread(master.start)
    await asyncio.to_thread(sentinels.wait_until_settled, 60)
    return took


async def survive(sentinels: Sentinels, times: int) -> None:
    async with contextlib.aclosing(await open_store(f"{sentinels.url}?wait=1", Path())) as store:
        refreshing = Refreshing(store)
        running = asyncio.ensure_future(refreshing.run())
        try:
            await asyncio.sleep(0.5)
            took = [await fail_over(sentinels, refreshing, number) for number in range(times)]
        finally:
            refreshing.stop()
            await running
        stored = await store.scan("cred")

    show("P-16", times, len(refreshing.lost), slowest=round(max(took), 2), writes=sum(refreshing.acknowledged.values()))
    assert refreshing.lost == []
    assert {id_: int(stored[id_].value) >= number for id_, number in refreshing.acknowledged.items()} == dict.fromkeys(
        refreshing.acknowledged, True
    )
    assert min(refreshing.acknowledged.values()) > times
    assert [round(seconds, 2) for seconds in took if seconds > WORKS_WITHIN] == []


@pytest.mark.promise("P-16")
async def test_a_failover_loses_nothing_and_is_soon_over(sentinels: Sentinels) -> None:
    await survive(sentinels, 1)


@pytest.mark.soak
@pytest.mark.timeout(1800)
@pytest.mark.promise("P-16")
async def test_thirty_failovers_lose_nothing(sentinels: Sentinels) -> None:
    await survive(sentinels, 30)
