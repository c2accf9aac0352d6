"""A real process under `serve`: what it does with signals, and what it says when it ends."""

import asyncio
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.support.raw_http import raw_client

PROGRAM = """
import asyncio, sys
from services.chassis.process import harden, run
from services.chassis.server import serve
from services.chassis.site import Listener
from tests.support.recording_app import RecordingApp

async def main():
    app = RecordingApp()
    deadline = app.release.set if "polite" in sys.argv else None
    return await serve(
        Listener(app=app, lifespan="auto"),
        drain_seconds=float(sys.argv[1]),
        on_started=lambda server: print(server.ports[0], flush=True),
        on_drain=lambda: print("draining", flush=True),
        on_deadline=deadline,
    )

harden()
sys.exit(asyncio.run(main()) if "asyncio" in sys.argv else run(main()))
"""
ROOT = Path(__file__).parents[3]


class Process:
    """A served process, its port and what it prints."""

    def __init__(self, child: asyncio.subprocess.Process, port: int) -> None:
        self.child = child
        self.port = port

    async def line(self) -> str:
        assert self.child.stdout is not None
        return (await self.child.stdout.readline()).decode().strip()

    async def ends(self, *, seconds: float) -> int:
        async with asyncio.timeout(seconds):
            return await self.child.wait()


@asynccontextmanager
async def served(*arguments: str) -> AsyncIterator[Process]:
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-W", "error", "-c", PROGRAM, *arguments, cwd=ROOT, stdout=subprocess.PIPE
    )
    try:
        assert child.stdout is not None
        port = int(await child.stdout.readline())
        yield Process(child, port)
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_an_idle_process_ends_well_on_a_signal(loop: str, number: signal.Signals) -> None:
    async with served("5", loop) as process:
        process.child.send_signal(number)

        assert await process.line() == "draining"
        assert await process.ends(seconds=5) == 0


async def test_sigusr1_announces_and_sigterm_ends() -> None:
    async with served("5") as process:
        process.child.send_signal(signal.SIGUSR1)
        assert await process.line() == "draining"
        async with raw_client(process.port) as client:
            await client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            reply = await client.read()
        process.child.send_signal(signal.SIGTERM)

        assert await process.ends(seconds=5) == 0
    assert reply.answers[0].status == 200
    assert reply.closed


@pytest.mark.parametrize(("arguments", "code"), [(("0.6", "polite"), 0), (("0.6",), 1)])
async def test_the_exit_code_says_whether_streams_had_to_be_cut(arguments: tuple[str, ...], code: int) -> None:
    async with served(*arguments) as process, raw_client(process.port) as client:
        await client.send(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
        await client.read(until=b"begin")
        process.child.send_signal(signal.SIGTERM)

        assert await process.ends(seconds=5) == code
        assert (await client.read()).data.endswith(b"0\r\n\r\n") is (code == 0)


@pytest.mark.promise("P-65")
async def test_a_second_signal_ends_at_once() -> None:
    async with served("60") as process, raw_client(process.port) as client:
        await client.send(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
        await client.read(until=b"begin")
        process.child.send_signal(signal.SIGTERM)
        await process.line()
        started = time.monotonic()
        process.child.send_signal(signal.SIGTERM)

        assert await process.ends(seconds=5) == 128 + signal.SIGTERM
        assert time.monotonic() - started < 3
