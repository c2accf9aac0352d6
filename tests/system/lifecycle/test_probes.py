"""
What probes say while everything around hangs, and how soon: 2^5 combinations over real HTTP, under load (P-70).

A gateway is ready as long as it has something to call the upstream with, or a service that may give it something. The
service is ready as long as what a provider answers can be kept somewhere. Both are alive whatever is away.

Shown to fail once by: liveness that is readiness; a readiness that takes 60 ms; a spool that counts as writable as long
as the store answers.
"""

import asyncio
import json
import shutil
import statistics
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import product
from pathlib import Path

import httpx2
import pytest

from tests.support.cluster import QUESTION
from tests.support.fault_proxy import Fault
from tests.support.fleet import Member
from tests.support.neighbours import Neighbours, neighbours
from tests.support.prober import Probe, probed
from tests.support.promises import show

SECONDS = 60.0  # until a process has noticed what was done to it
SLOWEST = 50.0  # milliseconds
KUBELET = 1000.0  # milliseconds that a kubelet waits unless it is told otherwise: for machines that do much else
OTHERS = ("redis", "collector", "upstream")


class Subject:
    """A gateway under load, with its neighbours; it has a lease or none."""

    def __init__(self, near: Neighbours, member: Member, *, lease: bool) -> None:
        self.near = near
        self.member = member
        self.lease = lease

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.member.admin}{path}"

    def service_url(self, path: str) -> str:
        return f"{self.near.cluster.admin_url}{path}"

    def expected(self, *, service: bool) -> tuple[int, dict[str, object]]:
        """Return what readiness must be: a row of the truth table."""
        ready = self.lease or service
        missing = [name for name, there in (("leases", self.lease), ("credentials", service)) if not there]
        return 200 if ready else 503, {"status": "ready" if ready else "unready", "degraded": missing}

    async def noticed(self, *, service: bool) -> None:
        """Wait until the process knows whether its service answers."""
        async with asyncio.timeout(SECONDS):
            while (await asyncio.to_thread(probed, [self.url("/readyz")], rounds=1))[0].status != self.expected(
                service=service
            )[0] or service != (await self._known()):
                await asyncio.sleep(0.2)

    async def _known(self) -> bool:
        (probe,) = await asyncio.to_thread(probed, [self.url("/readyz")], rounds=1)
        return "credentials" not in json.loads(probe.body)["degraded"]


@asynccontextmanager
async def _subject(directory: Path, *, lease: bool) -> AsyncIterator[Subject]:
    async with AsyncExitStack() as stack:
        near = await stack.enter_async_context(neighbours(directory, logged_in=lease))
        member = Member(directory / "gateway", near.upstream, 2.0, near.settings(drain=2.0))
        stack.callback(member.end)
        member.start()
        await asyncio.to_thread(member.wait_ready)
        working = asyncio.ensure_future(_work(near, member))
        stack.push_async_callback(_stopped, working)
        yield Subject(near, member, lease=lease)


async def _work(near: Neighbours, member: Member) -> None:
    """Send requests, whatever comes of them, so that each neighbour is in use; a few wait for it at any time."""
    limits = httpx2.Limits(max_connections=None)
    headers = {"x-api-key": near.client_key}
    url = f"http://127.0.0.1:{member.port}/v1/messages"
    async with httpx2.AsyncClient(limits=limits, timeout=5, trust_env=False, headers=headers) as client:

        async def one() -> None:
            while True:
                try:
                    await client.post(url, json=QUESTION | {"stream": True})
                except httpx2.HTTPError:
                    continue
                finally:
                    await asyncio.sleep(0.1)

        async with asyncio.TaskGroup() as group:
            for _ in range(8):
                group.create_task(one())


async def _stopped(task: "asyncio.Future[None]") -> None:
    task.cancel()
    await asyncio.wait([task])


async def _table(subject: Subject, away: Fault, rounds: int) -> list[Probe]:
    """Ask all probes of gateway and service in each of 16 combinations; a service that is away comes last."""
    asked: list[Probe] = []
    urls = [
        subject.url("/readyz"),
        subject.url("/livez"),
        subject.service_url("/readyz"),
        subject.service_url("/livez"),
    ]
    for service in (True, False):
        for others in product((True, False), repeat=len(OTHERS)):
            there = {"credentials": service, **dict(zip(OTHERS, others, strict=True))}
            await subject.near.fault(**{name: away for name, up in there.items() if not up})
            await subject.noticed(service=service)
            for probe in await asyncio.to_thread(probed, urls, rounds=rounds):
                asked.append(probe)
                if probe.url == subject.url("/readyz"):
                    found = (probe.status, json.loads(probe.body))
                    assert subject.expected(service=service) == found, there
                else:
                    assert probe.status == 200, (there, probe)
    return asked


async def _probed(tmp_path: Path, away: Fault, rounds: int, slowest: float) -> None:
    async def half(*, lease: bool) -> list[Probe]:
        async with _subject(tmp_path / str(lease), lease=lease) as subject:
            return await _table(subject, away, rounds)

    asked = sum(await asyncio.gather(half(lease=True), half(lease=False)), list[Probe]())
    took = sorted(probe.milliseconds for probe in asked)
    by_probe: dict[str, list[float]] = {}
    for probe in asked:
        by_probe.setdefault(probe.url, []).append(probe.milliseconds)
    late = [probe for probe in asked if probe.milliseconds > slowest]
    middle, rare = round(statistics.median(took), 1), round(took[len(took) * 99 // 100], 1)
    show("P-70", len(took), len(late), away=away.name, ms_median=middle, ms_p99=rare, ms_max=round(took[-1], 1))

    assert [] == late
    assert [] == [url for url, each in by_probe.items() if statistics.median(each) > SLOWEST]


@pytest.mark.timeout(400)
@pytest.mark.promise("P-70")
async def test_probes_in_every_combination_of_what_hangs(tmp_path: Path) -> None:
    await _probed(tmp_path, Fault.HANG, 2, KUBELET)


@pytest.mark.timeout(200)
@pytest.mark.promise("P-70")
async def test_the_service_is_ready_while_it_can_keep_an_answer_somewhere(tmp_path: Path) -> None:
    async with neighbours(tmp_path) as near:
        spool = near.cluster.directory / "state" / "spool"
        found = []
        for store, writable in product((True, False), repeat=2):
            if writable and spool.is_file():
                spool.unlink()
            elif not writable and not spool.is_file():
                shutil.rmtree(spool, ignore_errors=True)
                spool.touch()
            await near.fault(redis=Fault.NONE if store else Fault.REFUSED)
            missing = [name for name, there in (("store", store), ("spool", writable)) if not there]
            await _says(near, missing)
            readiness, liveness = await asyncio.to_thread(
                probed, [f"{near.cluster.admin_url}/{name}" for name in ("readyz", "livez")], rounds=1
            )
            found.append((store, writable, readiness.status, liveness.status))

    assert found == [(True, True, 200, 200), (True, False, 200, 200), (False, True, 200, 200), (False, False, 503, 200)]


async def _says(near: Neighbours, missing: list[str]) -> None:
    async with asyncio.timeout(SECONDS):
        while near.cluster.readiness(near.cluster.service_admin)[1].get("degraded") != missing:
            await asyncio.sleep(0.1)


@pytest.mark.soak
@pytest.mark.timeout(800)
@pytest.mark.promise("P-70")
@pytest.mark.parametrize("away", [Fault.HANG, Fault.BLACK_HOLE, Fault.REFUSED, Fault.RESET])
async def test_every_probe_is_quick_in_every_combination(away: Fault, tmp_path: Path) -> None:
    await _probed(tmp_path, away, 20, SLOWEST)
