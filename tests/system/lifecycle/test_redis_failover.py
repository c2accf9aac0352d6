"""Redis fails over under traffic: requests on what is cached do not notice, and writes come back by themselves."""

import asyncio
import time
from pathlib import Path

import pytest

from tests.support.cluster import Cluster
from tests.support.redis_server import Sentinels
from tests.support.simulator_process import simulator_process

WRITES_BACK = 60.0  # seconds on a busy machine; some 3 s on an idle one
MANY = 20  # requests that a failover is shown with


@pytest.mark.timeout(300)
@pytest.mark.promise("P-60")
async def test_a_failover_of_redis_fails_no_request_and_loses_no_key(tmp_path: Path) -> None:
    with Sentinels(tmp_path / "redis") as redis, simulator_process() as origin:
        cluster = Cluster(tmp_path / "cluster", origin, socket=True, store={"url": f"{redis.url}"})
        await asyncio.to_thread(cluster.command, "init")
        await cluster.add(api_key="upstream.key")
        key = await asyncio.to_thread(cluster.command, "keys", "create", "--name", "before")
        with cluster.credentials(), cluster.gateway():
            await asyncio.to_thread(cluster.wait, lambda: cluster.ask(key).status_code == 200)
            statuses: list[int] = []
            over = asyncio.Event()

            async def traffic() -> None:
                while not over.is_set():
                    statuses.append((await asyncio.to_thread(cluster.ask, key)).status_code)
                    await asyncio.sleep(0.02)

            running = asyncio.ensure_future(traffic())
            redis.current().kill()
            began = time.monotonic()
            # A write through the running service's own store is what tells that it has found the new master.
            while True:
                made = await asyncio.to_thread(cluster.attempt, "keys", "create", "--name", "after")
                if made.returncode == 0:
                    break
                assert time.monotonic() - began < WRITES_BACK, made.stderr
                await asyncio.sleep(0.2)
            new_key = made.stdout.strip()
            while (await asyncio.to_thread(cluster.ask, new_key)).status_code != 200:
                assert time.monotonic() - began < WRITES_BACK, "the running service does not see the new key"
                await asyncio.sleep(0.1)
            while len(statuses) <= MANY:
                await asyncio.sleep(0.02)
            over.set()
            await running

    assert {200} == set(statuses)
    assert len(statuses) > MANY
