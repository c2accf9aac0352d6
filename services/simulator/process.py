"""Runs the simulator as a process of its own, until a signal says to stop."""

import asyncio
import signal
import sys

from services.chassis.process import run
from services.simulator.app import Simulator
from services.simulator.script import ScriptError
from services.simulator.server import running
from services.simulator.settings import SimulatorSettings

_CONFIGURATION = 64  # EX_USAGE of sysexits.h, as everywhere for faulty settings
_UNAVAILABLE = 69  # EX_UNAVAILABLE


def serve(settings: SimulatorSettings) -> int:
    """Serve until SIGINT or SIGTERM; returns the exit code."""
    try:
        simulator = Simulator(settings)
    except (ScriptError, OSError) as error:
        sys.stderr.write(f"simulator: {error}\n")
        return _CONFIGURATION
    try:
        return run(_serve(simulator))
    except OSError as error:
        sys.stderr.write(f"simulator: cannot listen on {settings.host}:{settings.port}: {error.strerror}\n")
        return _UNAVAILABLE


async def _serve(simulator: Simulator) -> int:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with running(simulator) as origin:
        sys.stderr.write(f"simulator listens on {origin}\n")
        sys.stderr.flush()
        await stop.wait()
    return 0
