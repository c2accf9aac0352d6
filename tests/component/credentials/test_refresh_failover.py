"""
Replicas that refresh all the time while masters die and hang: no login is lost (promises.md P-16).

`contract/stores/test_failover` shows that of single writes; this is the whole way of a refresh, with its intents, leases
and spools, over the same master, two replicas and three sentinels.

Shown to fail once by: remembering for ever which server the sentinels named first.
"""

import asyncio
import contextlib
import signal
import time
from functools import partial
from pathlib import Path

import pytest

from services.credentials.contract import State
from services.credentials.stores.port import StoreUnavailable
from tests.component.credentials.conftest import Arena, show
from tests.support.credentials import eventually, until
from tests.support.credentials_worker import Nursery, Worker
from tests.support.redis_server import Sentinels, Server
from tests.support.token_provider import Provider


async def _versions(arena: Arena, names: list[str]) -> dict[str, int]:
    return {name: (await arena.read(name)).version for name in names}


async def _moved_on(arena: Arena, names: list[str], before: dict[str, int]) -> bool:
    """Say whether every login was made anew twice since then: once may have been under way."""
    try:
        now = await _versions(arena, names)
    except StoreUnavailable:
        return False
    return all(now[name] >= before[name] + 2 for name in names)


async def _fail_over(arena: Arena, sentinels: Sentinels, names: list[str], number: int) -> float:
    """Kill or stop the master; return the seconds until every login is made anew again."""
    before = await _versions(arena, names)
    master: Server = await asyncio.to_thread(sentinels.current)
    hung = number % 2 == 1
    master.signal(signal.SIGSTOP if hung else signal.SIGKILL)
    begun = time.monotonic()
    await eventually(partial(_moved_on, arena, names, before), seconds=60)
    took = time.monotonic() - begun
    if hung:
        master.signal(signal.SIGCONT)
    else:
        master.kill()
        await asyncio.to_thread(master.start)
    await asyncio.to_thread(sentinels.wait_until_settled, 60)
    return took


def _gone(worker: Worker) -> bool:
    return worker.gone


async def _all_newest(arena: Arena, names: list[str]) -> bool:
    return all([await arena.is_newest(name) for name in names])


async def _what_is_known(arena: Arena, name: str) -> dict[str, object]:
    """Tell what became of a login: which token is stored, which is the newest, and what the replicas wrote down."""
    record = await arena.read(name)
    return {
        "stored": record.secrets.refresh_token,
        "newest": arena.provider.current(name),
        "version": record.version,
        "state": record.state.value,
        "files": sorted(str(path.relative_to(arena.directory)) for path in arena.directory.glob("slot*/**/*")),
    }


async def _survive(tmp_path: Path, provider: Provider, nursery: Nursery, times: int) -> None:
    with Sentinels(tmp_path / "sentinels", replicas=2) as sentinels:
        arena = Arena(tmp_path, f"{sentinels.url}?wait=1", provider, nursery)
        await arena.open()
        provider.set(grace=60.0, expires_in=0.5, delay=(0.0, 0.05))
        names = [await arena.add() for _ in range(3)]
        workers = [arena.spawn(slot, lease=3.0) for slot in range(3)]
        took = [await _fail_over(arena, sentinels, names, number) for number in range(times)]
        for worker in workers:
            worker.signal(signal.SIGTERM)
        for worker in workers:
            await until(partial(_gone, worker), seconds=15)
        # What a busy replica could not commit before its end is in its spool; without grace it is found there, or lost.
        provider.set(grace=0.0, expires_in=3600.0)
        after = [arena.spawn(slot, lease=3.0) for slot in range(3)]
        with contextlib.suppress(TimeoutError):  # what is missing then is said below
            await eventually(partial(_all_newest, arena, names), seconds=30)
        for worker in after:
            worker.signal(signal.SIGKILL)
        lost = {name: await _what_is_known(arena, name) for name in names if not await arena.is_newest(name)}
        states = {(await arena.read(name)).state for name in names}
        await arena.store.aclose()

    show("P-16", times, len(lost), slowest=round(max(took), 2), **provider.counts())
    assert lost == {}
    assert states == {State.READY}


@pytest.mark.promise("P-16")
async def test_refreshing_goes_on_over_a_failover(tmp_path: Path, provider: Provider, nursery: Nursery) -> None:
    await _survive(tmp_path, provider, nursery, 1)


@pytest.mark.soak
@pytest.mark.timeout(1800)
@pytest.mark.promise("P-16")
async def test_refreshing_goes_on_over_ten_failovers(tmp_path: Path, provider: Provider, nursery: Nursery) -> None:
    await _survive(tmp_path, provider, nursery, 10)
