"""
A replica may die at any moment of a refresh (promises.md P-10, P-10b).

Shown to fail once by: committing by version instead of by epoch and dropping the lease (P-10); marking
`login_required` on the first invalid_grant (P-10); cancelling attempts at SIGTERM (P-10b); keeping `needs_login` to
itself, or saying it again for a login that is lost already (P-10b).
"""

import asyncio
import random
import signal
import time
from functools import partial

import pytest

from services.credentials.contract import State
from tests.component.credentials.conftest import Arena, show
from tests.support.credentials import eventually, until
from tests.support.credentials_worker import Worker

FEW = 60
MANY = 1000
LIFE = 0.5  # seconds from when a replica has begun to its end, at most; its neighbours live on meanwhile


async def _kill_at_random(arena: Arena, kills: int, number: signal.Signals, lease: float) -> list[str]:
    """Run four replicas over three logins that end all the time; return the logins."""
    arena.provider.set(expires_in=0.15, delay=(0.0, 0.02))
    names = [await arena.add() for _ in range(3)]
    workers = [arena.spawn(slot, lease=lease) for slot in range(4)]
    for n in range(kills):
        slot = n % 4
        await _lives(workers[slot], random.uniform(0.0, LIFE))
        workers[slot].signal(number)
        if number is not signal.SIGKILL:
            await _gone(workers[slot])
        workers[slot] = arena.spawn(slot, wait=False, lease=lease)
    await _settled(arena, names)
    for worker in workers:
        worker.signal(signal.SIGTERM)
    for worker in workers:
        await _gone(worker)
    return names


async def _lives(worker: Worker, seconds: float) -> None:
    """Let a replica live for so long once it has begun: on a busy machine none would come to a refresh otherwise."""
    await until(lambda: worker.ready, seconds=30)
    await asyncio.sleep(max(0.0, seconds - worker.age))


async def _gone(worker: Worker) -> None:
    await until(lambda: worker.gone, seconds=30)


async def _settled(arena: Arena, names: list[str]) -> None:
    """Wait until every login was made anew once more, so that what the last kill left behind is used."""
    for name in names:
        version = (await arena.read(name)).version
        await eventually(partial(_newer, arena, name, version + 2), seconds=60)


async def _newer(arena: Arena, name: str, version: int) -> bool:
    return (await arena.read(name)).version >= version


async def _survives_kills(arena: Arena, kills: int) -> None:
    # A replica lives for about as long as a lease here, so that several in a row may die over one token.
    arena.provider.set(grace=30.0)
    names = await _kill_at_random(arena, kills, signal.SIGKILL, lease=0.3)
    lost = [name for name in names if not await arena.is_newest(name)]
    counts = arena.provider.counts()

    show("P-10", kills, len(lost), **counts)
    assert lost == []
    assert [(await arena.read(name)).state for name in names] == [State.READY] * len(names)
    assert counts["granted"] >= kills / 20, "too little was going on for the kills to mean anything"


@pytest.mark.promise("P-10")
async def test_killed_replicas_lose_no_login(arena: Arena) -> None:
    await _survives_kills(arena, FEW)


@pytest.mark.soak
@pytest.mark.timeout(900)
@pytest.mark.promise("P-10")
async def test_killed_replicas_lose_no_login_in_a_thousand(redis_arena: Arena) -> None:
    await _survives_kills(redis_arena, MANY)


async def _asked_to_end(arena: Arena, ends: int) -> None:
    arena.provider.set(grace=0.0)
    names = await _kill_at_random(arena, ends, signal.SIGTERM, lease=5.0)
    lost = [name for name in names if not await arena.is_newest(name)]

    show("P-10b", ends, len(lost), **arena.provider.counts())
    assert lost == []
    assert arena.provider.counts()["refused"] == 0


@pytest.mark.promise("P-10b")
async def test_replicas_that_are_asked_to_end_lose_nothing_even_without_grace(redis_arena: Arena) -> None:
    await _asked_to_end(redis_arena, FEW)


@pytest.mark.soak
@pytest.mark.timeout(900)
@pytest.mark.promise("P-10b")
async def test_a_thousand_ends_lose_nothing(redis_arena: Arena) -> None:
    await _asked_to_end(redis_arena, MANY)


PLACES = ("after_acquire", "before_call", "after_answer", "after_spool", "before_commit", "after_commit")

# A machine whose processors are taken may let a call wait for seconds. Whoever is to die must get its answer all the
# same, or it comes to no end at the place where it should; the heir may miss its own, and has to come to an end then too.
DYING = {"lease": 0.5, "timeout": 10.0}
HEIR = {"lease": 0.5, "timeout": 1.0}
# A lease that ends, a call without an answer and its repetition, the wait for whoever used the token before, a last
# call; and once more all of it, after a backoff, for an attempt that a busy machine has spoilt.
WITHIN = 2 * (0.5 + 3 * 1.5 * HEIR["timeout"] + 2 * HEIR["timeout"] + HEIR["lease"]) + 1.0


async def _killed_without_grace(arena: Arena, runs: int) -> None:
    """Each run kills at one place, or at a random moment, and ends with a good login or with an alert."""
    arena.provider.set(grace=0.0, expires_in=3600.0, delay=(0.0, 0.02))
    ends = {"ok": 0, "needs_login": 0}
    slowest, missed = 0.0, 0
    for n in range(runs):
        name = await arena.add()
        place = PLACES[n % len(PLACES)] if n % 7 else None
        missed += not await _dies(arena, name, place)
        begun = time.monotonic()
        heir = arena.spawn(0, wait=False, **HEIR)
        async with asyncio.timeout(WITHIN):
            while (end := await _end(arena, heir, name)) is None:
                await asyncio.sleep(0.01)
        slowest = max(slowest, time.monotonic() - begun)
        ends[end] += 1
        await asyncio.sleep(5 * heir.work.tick)  # in which whoever would try a lost login again does
        heir.signal(signal.SIGTERM)
        await _gone(heir)
        assert heir.notes().count(f"needs_login {name}") == (end == "needs_login"), "said once, if it is so"

    show("P-10b", runs, 0, slowest=round(slowest, 2), missed=missed, **ends)
    assert min(ends.values()) > 0, "both ends must have been seen"
    assert missed <= runs / 20, "most must die where they should"


async def _dies(arena: Arena, name: str, place: str | None) -> bool:
    """Kill a replica at a place, or at a random moment; returns whether it came there before it came to an end."""
    worker = arena.spawn(0, failpoint=f"refresh.{place}:1:kill" if place else "", wait=False, **DYING)
    if place is None:
        await asyncio.sleep(random.uniform(0.0, 0.1))
    else:
        await eventually(partial(_over, arena, worker, name), seconds=90)
    there = worker.gone or place is None
    worker.signal(signal.SIGKILL)
    await _gone(worker)
    return there


async def _over(arena: Arena, worker: Worker, name: str) -> bool:
    return worker.gone or await _end(arena, worker, name) == "needs_login"


async def _end(arena: Arena, worker: Worker, name: str) -> str | None:
    """Return how a login has ended, None as long as it has not."""
    record = await arena.read(name)
    if record.state is State.LOGIN_REQUIRED and f"needs_login {name}" in worker.notes():
        assert record.secrets.refresh_token
        return "needs_login"
    return "ok" if record.refreshed_at is not None and await arena.is_newest(name) else None


@pytest.mark.promise("P-10b")
async def test_a_login_lost_without_grace_is_said_to_be_lost(redis_arena: Arena) -> None:
    await _killed_without_grace(redis_arena, 14)


@pytest.mark.soak
@pytest.mark.timeout(900)
@pytest.mark.promise("P-10b")
async def test_no_login_is_lost_in_silence_in_two_hundred_runs(redis_arena: Arena) -> None:
    await _killed_without_grace(redis_arena, 200)
