"""
The provider has answered and the store is away: the answer is kept and committed later (promises.md P-17).

Shown to fail once by: not appending to the spool; by removing the entry when a commit was not possible.
"""

import asyncio
import signal
from functools import partial
from pathlib import Path

import pytest

from tests.component.credentials.conftest import Arena, show
from tests.support.credentials import eventually, until
from tests.support.credentials_worker import Worker


def _spooled(worker: Worker) -> list[Path]:
    return list((Path(worker.work.directory) / "spool").glob("crd*.spool"))


async def _newer(arena: Arena, name: str) -> bool:
    return (await arena.read(name)).version > 1


async def _away(arena: Arena, runs: int) -> None:
    """Every run: the store goes between answer and commit, by SIGKILL or SIGSTOP; every other time the replica dies too."""
    arena.provider.set(grace=0.0, expires_in=3600.0)
    assert arena.redis is not None
    lost = 0
    for n in range(runs):
        hung, dies = n % 4 >= 2, n % 2 == 1
        name = await arena.add()
        # It lingers where it has the answer, so that the store can be taken away right then.
        worker = arena.spawn(0, failpoint="refresh.after_answer:1:sleep=0.4", wait=False)
        granted = n + 1
        await until(lambda granted=granted: arena.provider.counts()["granted"] >= granted, seconds=10)  # type: ignore[misc]
        if hung:
            arena.redis.signal(signal.SIGSTOP)
        else:
            arena.redis.kill()
        await until(partial(_spooled, worker), seconds=10)
        if dies:
            worker.signal(signal.SIGKILL)
            await until(lambda worker=worker: worker.gone)  # type: ignore[misc]
        if hung:
            arena.redis.signal(signal.SIGCONT)
        else:
            arena.redis.start()
        if dies:
            worker = arena.spawn(0, wait=False)
        await eventually(partial(_newer, arena, name), seconds=15)
        lost += not await arena.is_newest(name)
        await until(partial(_nothing_spooled, worker), seconds=10)
        worker.signal(signal.SIGKILL)

    show("P-17", runs, lost, **arena.provider.counts())
    assert lost == 0
    assert arena.provider.counts() == {"calls": runs, "granted": runs, "refused": 0, "reused": 0}


def _nothing_spooled(worker: Worker) -> bool:
    return not _spooled(worker)


@pytest.mark.promise("P-17")
async def test_an_answer_outlives_the_store_and_the_replica(redis_arena: Arena) -> None:
    await _away(redis_arena, 12)


@pytest.mark.soak
@pytest.mark.timeout(1200)
@pytest.mark.promise("P-17")
async def test_two_hundred_answers_outlive_the_store_and_the_replica(redis_arena: Arena) -> None:
    await _away(redis_arena, 200)


@pytest.mark.promise("P-10b")
async def test_a_replica_that_is_asked_to_end_waits_for_its_store(redis_arena: Arena) -> None:
    """With a pod goes its disk, so that nobody is there to replay. Shown to fail once by: one try at the end."""
    redis_arena.provider.set(grace=0.0, expires_in=3600.0)
    assert redis_arena.redis is not None
    name = await redis_arena.add()
    worker = redis_arena.spawn(0, failpoint="refresh.after_answer:1:sleep=0.4", wait=False, lease=5.0)
    await until(lambda: redis_arena.provider.counts()["granted"], seconds=10)
    redis_arena.redis.signal(signal.SIGSTOP)
    await until(partial(_spooled, worker), seconds=10)
    worker.signal(signal.SIGTERM)
    await asyncio.sleep(2.0)
    gone_too_soon = worker.gone
    redis_arena.redis.signal(signal.SIGCONT)
    await until(lambda: worker.gone, seconds=15)

    assert not gone_too_soon
    assert await redis_arena.is_newest(name)
    assert _spooled(worker) == []
