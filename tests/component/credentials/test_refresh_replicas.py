"""
Several replicas, one login: one call per expiry, and nobody overwrites what is newer (promises.md P-11, P-13 to P-15).

Shown to fail once by: answering Granted to everybody (P-11), no watchdog (P-13), committing by version with a re-read
(P-14), due times by the replica's own clock (P-15).
"""

import asyncio
import itertools
import random
import signal
from functools import partial

import pytest

from tests.component.credentials.conftest import Arena, show
from tests.support.credentials import eventually, until
from tests.support.credentials_worker import Worker


async def _reached(arena: Arena, names: list[str], version: int) -> bool:
    return all([(await arena.read(name)).version >= version for name in names])


async def _end(workers: list[Worker]) -> None:
    for worker in workers:
        worker.signal(signal.SIGTERM)
    for worker in workers:
        await until(partial(_gone, worker), seconds=15)


def _gone(worker: Worker) -> bool:
    return worker.gone


def _stopped(worker: Worker) -> bool:
    return worker.state() == "T"


# -- P-11


async def _one_call_per_expiry(arena: Arena, expiries: int) -> None:
    logins = 5
    arena.provider.set(expires_in=0.4, delay=(0.0, 0.03))
    names = [await arena.add() for _ in range(logins)]
    workers = [arena.spawn(slot, lease=30.0, timeout=10.0) for slot in range(6)]
    await eventually(partial(_reached, arena, names, 1 + expiries // logins), seconds=expiries)
    await _end(workers)
    versions = [(await arena.read(name)).version - 1 for name in names]
    counts = arena.provider.counts()

    show("P-11", sum(versions), counts["calls"] - sum(versions), **counts)
    assert counts == {"calls": sum(versions), "granted": sum(versions), "refused": 0, "reused": 0}
    assert sum(versions) >= expiries


@pytest.mark.promise("P-11")
async def test_six_replicas_make_one_call_per_expiry(arena: Arena) -> None:
    await _one_call_per_expiry(arena, 50)


@pytest.mark.soak
@pytest.mark.timeout(900)
@pytest.mark.promise("P-11")
async def test_six_replicas_make_five_hundred_calls_for_as_many_expiries(redis_arena: Arena) -> None:
    await _one_call_per_expiry(redis_arena, 500)


# -- P-13


async def _slow_provider(arena: Arena, runs: int) -> None:
    lease = 1.5  # a third of which a busy machine may keep a process or the store waiting
    arena.provider.set(expires_in=0.4, delay=(0.0, 3 * lease))
    names = [await arena.add() for _ in range(10)]
    workers = [arena.spawn(slot, lease=lease, timeout=5.0) for slot in range(3)]
    await until(lambda: arena.provider.counts()["calls"] >= runs, seconds=runs)
    await _end(workers)
    counts = arena.provider.counts()
    versions = [(await arena.read(name)).version - 1 for name in names]

    show("P-13", counts["calls"], counts["reused"], **counts)
    assert counts["reused"] == 0
    assert counts["granted"] == sum(versions)


@pytest.mark.promise("P-13")
async def test_a_slow_provider_is_not_called_twice(redis_arena: Arena) -> None:
    await _slow_provider(redis_arena, 30)


@pytest.mark.soak
@pytest.mark.timeout(900)
@pytest.mark.promise("P-13")
async def test_a_slow_provider_is_not_called_twice_in_three_hundred_runs(redis_arena: Arena) -> None:
    await _slow_provider(redis_arena, 300)


# -- P-14


async def _paused_holder(arena: Arena, runs: int) -> None:
    """
    The holder stops itself at some place; another replica goes on; then the holder wakes up.

    Over Redis only: a process that is stopped within a write of the embedded store keeps everybody's lock.
    """
    lease = 0.15
    arena.provider.set(grace=10.0, expires_in=3600.0)
    stale = 0
    places = ("after_answer", "after_spool", "before_commit")
    for n in range(runs):
        place = places[n % len(places)]
        holder = arena.spawn(0, failpoint=f"refresh.{place}:1:stop", lease=lease, wait=False)
        name = await arena.add()
        await until(partial(_stopped, holder), seconds=10)
        other = arena.spawn(1, lease=lease, wait=False)
        await asyncio.sleep(2 * lease)
        await eventually(partial(_reached, arena, [name], 2), seconds=10)
        holder.signal(signal.SIGCONT)
        await _end([holder, other])
        stale += not await arena.is_newest(name)

    show("P-14", runs, stale, **arena.provider.counts())
    assert stale == 0


@pytest.mark.promise("P-14")
async def test_a_paused_holder_overwrites_nothing_newer(redis_arena: Arena) -> None:
    await _paused_holder(redis_arena, 12)


@pytest.mark.soak
@pytest.mark.timeout(900)
@pytest.mark.promise("P-14")
async def test_a_paused_holder_overwrites_nothing_newer_in_two_hundred_runs(redis_arena: Arena) -> None:
    await _paused_holder(redis_arena, 200)


# -- P-15


async def _skewed_clocks(arena: Arena, refreshes: int) -> None:
    """Clocks ten minutes off, one of them stepping: lifetimes go by the store's clock."""
    life, blur = 4.0, 0.5  # seconds; what a busy machine may blur is nothing beside ten minutes
    arena.provider.set(expires_in=life)
    names = [await arena.add() for _ in range(10)]
    skews = ({"skew": 600.0}, {"skew": -600.0}, {"skew": 0.0, "step": (2.0, -600.0)})
    workers = [arena.spawn(slot, lease=5.0, **skew) for slot, skew in enumerate(skews)]
    expired = 0
    async with asyncio.timeout(refreshes * 2):
        while arena.provider.counts()["granted"] < refreshes:
            now = await arena.store.now()
            records = [await arena.read(name) for name in names]
            ends = [(record.expires_at or 0.0) - now for record in records if record.version > 1]
            expired += sum(not 0.0 < end <= life + blur for end in ends)  # or said to last longer than it does
            await asyncio.sleep(random.uniform(0.1, 0.2))
    await _end(workers)
    early = 0
    moments = arena.provider.times()
    for name in names:
        own = [at for account, at in moments if account == name]
        early += sum(later - earlier < 0.6 * life for earlier, later in itertools.pairwise(own))

    show("P-15", refreshes, expired, early=early, **arena.provider.counts())
    assert expired == 0
    assert early <= max(1, refreshes // 500)
    assert arena.provider.counts()["reused"] == 0


@pytest.mark.promise("P-15")
async def test_replicas_whose_clocks_differ_agree(redis_arena: Arena) -> None:
    await _skewed_clocks(redis_arena, 50)


@pytest.mark.soak
@pytest.mark.timeout(900)
@pytest.mark.promise("P-15")
async def test_replicas_whose_clocks_differ_agree_five_hundred_times(redis_arena: Arena) -> None:
    await _skewed_clocks(redis_arena, 500)
