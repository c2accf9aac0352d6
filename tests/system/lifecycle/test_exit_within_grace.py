"""
Whatever hangs when a gateway is told to end, it is gone five seconds after its drain at the latest (P-65).

Shown to fail once by: a second signal that is not heeded; a collector that is waited for as long as its library does.
"""

import asyncio
import contextlib
import random
import signal
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import product
from pathlib import Path

import msgspec
import pytest

from tests.support.chat_sockets import chat_request
from tests.support.dialects import ANTHROPIC
from tests.support.fault_proxy import Fault
from tests.support.fleet import Member
from tests.support.neighbours import Neighbours, neighbours
from tests.support.promises import show
from tests.support.raw_http import raw_client

DRAIN = 2.0
LONG_DRAIN = 600.0  # which nobody waits for who asks twice
GRACE = 5.0
CASES = 50
ROOM = 15.0  # seconds that a busy machine may add where the whole test suite runs on it

SCRIPTS = ("stall=head", "stall=mid-event;events=4", "events=5000;pace=50ms", "events=200000;pace=0ms")
CLIENTS = ("reads", "does not read", "sends half a body", "is idle")
FAULTS = {
    "upstream": (Fault.NONE, Fault.HANG, Fault.RESET),
    "credentials": (Fault.NONE, Fault.HANG, Fault.BLACK_HOLE, Fault.REFUSED),
    "redis": (Fault.NONE, Fault.HANG, Fault.BLACK_HOLE, Fault.REFUSED),
    "collector": (Fault.NONE, Fault.HANG, Fault.REFUSED),
}
SIGNALS = ("once", "twice", "drained before", "while it starts")


class Case(msgspec.Struct, frozen=True):
    """What is so when the signal comes."""

    script: str
    client: str
    faults: dict[str, Fault]
    signals: str

    def __str__(self) -> str:
        faults = ", ".join(f"{name} {fault.name}" for name, fault in self.faults.items() if fault is not Fault.NONE)
        return f"{self.signals}; {self.script}; the client {self.client}; {faults or 'all is well'}"


def cases(count: int) -> list[Case]:
    """Draw so many of all combinations, the same ones each time; the worst that there is comes first."""
    every = [
        Case(script, client, dict(zip(FAULTS, faults, strict=True)), signals)
        for script, client, signals in product(SCRIPTS, CLIENTS, SIGNALS)
        for faults in product(*FAULTS.values())
    ]
    hung = dict.fromkeys(FAULTS, Fault.HANG)
    worst = [Case(SCRIPTS[1], "does not read", hung, signals) for signals in SIGNALS]
    return [*worst, *random.Random(65).sample(every, count - len(worst))]


@asynccontextmanager
async def _clients(near: Neighbours, member: Member, case: Case) -> AsyncIterator[None]:
    """Two clients, whose requests are under way when the block begins; they are never heard of again."""
    whole = chat_request(ANTHROPIC, f"sim:{case.script}", f"x-api-key: {near.client_key}".encode())
    async with AsyncExitStack() as stack:
        for _ in range(2):
            client = await stack.enter_async_context(raw_client(member.port, receive_buffer=4096))
            if case.client == "is idle":
                continue
            await client.send(whole if case.client != "sends half a body" else whole[:-10])
            if case.client == "reads":
                _ = stack.push_async_callback(_ended, asyncio.ensure_future(client.read(seconds=60)))
        if case.client in ("reads", "does not read"):
            async with asyncio.timeout(ROOM):
                while member.load()["in_flight"] < 2:
                    await asyncio.sleep(0.05)
        await asyncio.sleep(0.3)
        yield


async def _ended(reading: "asyncio.Future[object]") -> None:
    reading.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await reading


async def _seconds_to_end(near: Neighbours, case: Case, directory: Path) -> float:
    """Bring the case about and return how long the process took from its last signal on."""
    await near.fault()
    drain = LONG_DRAIN if case.signals == "twice" else DRAIN
    member = Member(directory, near.upstream, drain, near.settings(drain=drain, holdHeaders=0.3, ping=0.3))
    try:
        if case.signals == "while it starts":
            await near.fault(**case.faults)
            member.start()
            await asyncio.sleep(random.Random(str(case)).uniform(0.05, 3.0))
            return await _told(member, 1)
        member.start()
        await asyncio.to_thread(member.wait_ready)
        async with _clients(near, member, case):
            await near.fault(**case.faults)
            if case.signals == "drained before":
                member.signal(signal.SIGUSR1)
                await asyncio.sleep(0.3)
            return await _told(member, 2 if case.signals == "twice" else 1)
    finally:
        member.end()


async def _told(member: Member, times: int) -> float:
    for _ in range(times - 1):
        member.signal(signal.SIGTERM)
        await asyncio.sleep(0.3)
    began = time.monotonic()
    member.signal(signal.SIGTERM)
    await asyncio.to_thread(member.wait, DRAIN + GRACE + 3 * ROOM)
    return time.monotonic() - began


async def _ends(tmp_path: Path, chosen: list[Case], room: float) -> None:
    took: list[tuple[float, str]] = []
    async with neighbours(tmp_path) as near:
        for number, case in enumerate(chosen):
            seconds = await _seconds_to_end(near, case, tmp_path / f"g{number}")
            took.append((seconds - (0.0 if case.signals in ("twice", "while it starts") else DRAIN), str(case)))
    late = [each for each in took if each[0] > GRACE + room]
    show("P-65", len(took), len(late), seconds_after_the_drain=round(max(took)[0], 2), slowest=max(took)[1])

    assert [] == late


@pytest.mark.timeout(300)
@pytest.mark.promise("P-65")
async def test_five_ends_with_everything_hanging(tmp_path: Path) -> None:
    await _ends(tmp_path, cases(CASES)[:5], ROOM)


@pytest.mark.soak
@pytest.mark.timeout(1500)
@pytest.mark.promise("P-65")
async def test_fifty_ends_with_anything_hanging(tmp_path: Path) -> None:
    await _ends(tmp_path, cases(CASES), 0.0)
