"""
`rotate credential` while requests run: none fails, and the old key may be deleted as soon as the command has ended.

Shown to fail once by: removing the record before the new one is written (requests without a lease in between).
"""

import asyncio
import itertools
from pathlib import Path

import httpx2

from services.chassis.secret import Secret
from services.simulator.app import Simulator
from tests.support.cluster import QUESTION, Cluster
from tests.support.simulated import TEST_SETTINGS, simulator_thread

KEYS = [f"id{n}.secret-of-the-plan-key-{n}-canary" for n in range(4)]
RATE = 25.0  # requests a second
SETTLED = 1.0  # seconds that a gateway may take to learn of it


class Drive:
    """Requests at a steady rate, whether or not earlier ones are answered."""

    def __init__(self, port: int) -> None:
        self._url = f"http://127.0.0.1:{port}/v1/messages"
        self.statuses: list[int] = []

    async def run(self, stop: asyncio.Event) -> None:
        async with httpx2.AsyncClient(trust_env=False, timeout=60.0) as http, asyncio.TaskGroup() as group:
            while not stop.is_set():
                group.create_task(self._ask(http))
                await asyncio.sleep(1 / RATE)

    async def _ask(self, http: httpx2.AsyncClient) -> None:
        answer = await http.post(self._url, json=QUESTION)
        self.statuses.append(answer.status_code)


async def test_an_upstream_key_is_replaced_under_load_with_no_failed_request(tmp_path: Path) -> None:
    simulator = Simulator(TEST_SETTINGS)
    simulator.chat.keys = (Secret(KEYS[0]),)
    with simulator_thread(simulator) as origin:
        cluster = Cluster(tmp_path, origin, socket=True)
        await asyncio.to_thread(cluster.command, "init")
        await cluster.add("crd_inuse", api_key=KEYS[0])
        with cluster.credentials(), cluster.gateway() as gateway:
            await asyncio.to_thread(cluster.wait, lambda: cluster.readiness()[0] == 200, gateway)
            drive, stop = Drive(cluster.port), asyncio.Event()
            async with asyncio.TaskGroup() as group:
                group.create_task(drive.run(stop))
                for old, new in itertools.pairwise(KEYS):
                    simulator.chat.keys = (Secret(old), Secret(new))  # as after the owner has made another one
                    await asyncio.to_thread(cluster.command, "rotate", "credential", "crd_inuse", given=f"{new}\n")
                    await asyncio.sleep(SETTLED)
                    simulator.chat.keys = (Secret(new),)  # the old one is deleted
                    await asyncio.sleep(0.3)
                stop.set()
            written = gateway.log
        presented = [request.header(b"x-api-key") or b"" for request in simulator.records.requests]

    assert set(drive.statuses) == {200}, drive.statuses
    assert len(drive.statuses) > 50
    assert KEYS[-1].encode() in presented[-1]
    assert "canary" not in written
