"""
The simulator as a process of its own, so that what it holds and does is not counted as the gateway's.

    async with simulator_process() as simulator:
        ... simulator.origin ... await simulator.state()
"""

import asyncio
import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec

from tests.support.raw_http import raw_client

_STARTED = 20.0  # seconds, on a busy machine


class State(msgspec.Struct, frozen=True):
    """What it says of itself; times of cancellations are those of `time.monotonic()`, which processes share."""

    requests: int
    completed: int
    open_connections: int
    open_streams: int
    cancelled: list[dict[str, Any]]


class SimulatorProcess:
    """A simulator that answers."""

    def __init__(self, origin: str) -> None:
        self.origin = origin

    async def state(self) -> State:
        port = int(self.origin.rpartition(":")[2])
        async with raw_client(port) as client:
            await client.send(b"GET /_simulator/state HTTP/1.1\r\nhost: simulator\r\nconnection: close\r\n\r\n")
            [answer] = (await client.read()).answers
        return msgspec.json.decode(answer.body, type=State)


@asynccontextmanager
async def simulator_process() -> AsyncIterator[SimulatorProcess]:
    """Run it until the block ends."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "services", "simulator", "--port", "0", "--pace-ms", "0", stderr=asyncio.subprocess.PIPE
    )
    try:
        assert process.stderr is not None
        async with asyncio.timeout(_STARTED):
            line = (await process.stderr.readline()).decode()
        origin = re.search(r"http://\S+", line)
        assert origin, f"the simulator said: {line}"
        yield SimulatorProcess(origin[0])
    finally:
        process.terminate()
        await process.communicate()
