"""
Starts the simulator for a test, on a free port of loopback.

    async with running_simulator() as origin: ...          on the test's own event loop
    with simulator_thread() as origin: ...                  on a loop of its own, for clients that block

Pass a `Simulator` of your own to push scripts and to read its records in process.
"""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

from services.simulator.app import Simulator
from services.simulator.server import running
from services.simulator.settings import SimulatorSettings

TEST_SETTINGS = SimulatorSettings(port=0, pace_ms=0)


@asynccontextmanager
async def running_simulator(simulator: Simulator | None = None) -> AsyncIterator[str]:
    """Run a simulator on the current event loop; give its origin, without a trailing slash."""
    async with running(simulator or Simulator(TEST_SETTINGS)) as origin:
        yield origin


@contextmanager
def simulator_thread(simulator: Simulator | None = None) -> Iterator[str]:
    """Run a simulator in a thread of its own; give its origin, without a trailing slash."""
    wanted = simulator or Simulator(TEST_SETTINGS)
    started = threading.Event()
    origins: list[str] = []
    stops: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []

    async def run() -> None:
        stop = asyncio.Event()
        stops.append((asyncio.get_running_loop(), stop))
        async with running(wanted) as origin:
            origins.append(origin)
            started.set()
            await stop.wait()

    thread = threading.Thread(target=asyncio.run, args=(run(),), name="simulator")
    thread.start()
    assert started.wait(10)
    try:
        yield origins[0]
    finally:
        loop, stop = stops[0]
        loop.call_soon_threadsafe(stop.set)
        thread.join(10)
