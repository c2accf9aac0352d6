"""How a gateway's process ends: at the drain's deadline, told twice, and with everything it needs dead (P-64, P-65)."""

import asyncio
import contextlib
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest

from tests.support.fleet import CLIENT_KEY, Fleet, Member
from tests.support.simulator_process import simulator_process

KEY = {"authorization": f"Bearer {CLIENT_KEY}"}
ROOM = 15.0  # seconds that a busy machine may add


def _question(script: str) -> dict[str, object]:
    return {"model": f"sim:{script}", "max_tokens": 64, "stream": True, "messages": [{"role": "user", "content": "hi"}]}


async def _read(client: httpx2.AsyncClient, url: str, script: str, begun: asyncio.Semaphore) -> bytes:
    """Return a stream's whole body; releases `begun` when its first byte is there. Raises httpx2.HTTPError when cut."""
    body = b""
    async with client.stream("POST", url, json=_question(script), headers=KEY) as answer:
        async for piece in answer.aiter_raw():
            if not body:
                begun.release()
            body += piece
    return body


async def _streams_at_the_end(member: Member, count: int, script: str) -> list[bytes | BaseException]:
    """Open so many streams, tell the process to end, and return what each reader got."""
    begun = asyncio.Semaphore(0)
    urls = [f"http://127.0.0.1:{member.port}/v1/{path}" for path in ("messages", "chat/completions")]
    limits = httpx2.Limits(max_connections=None)
    async with httpx2.AsyncClient(timeout=120, limits=limits, trust_env=False) as client:
        readers = [asyncio.ensure_future(_read(client, urls[n % 2], script, begun)) for n in range(count)]
        for _ in range(count):
            await begun.acquire()
        member.signal(signal.SIGTERM)
        return await asyncio.gather(*readers, return_exceptions=True)


def _proper(body: bytes | BaseException, at: int) -> bool:
    """Say whether a stream ended with an error of its dialect, in a whole event."""
    if isinstance(body, BaseException):
        return False
    last = [event for event in body.rstrip().split(b"\n\n") if b"data:" in event][-2:]
    return (
        body.endswith(b"\n\n")
        and any(b'"error"' in event for event in last)
        and (at % 2 == 1 or b"event: error" in last[-1])
    )


@pytest.mark.timeout(300)
@pytest.mark.promise("P-64")
async def test_at_the_deadline_every_stream_gets_its_last_event(tmp_path: Path) -> None:
    with (
        simulator_process() as origin,
        Fleet(tmp_path, origin, count=1, drain=3.0, limits={"drain": 3.0, "streams": 300}) as fleet,
    ):
        (member,) = fleet.members
        bodies = await _streams_at_the_end(member, 200, "events=5000;pace=100ms")

        assert [] == [body for at, body in enumerate(bodies) if not _proper(body, at)]
        assert 0 == member.wait(ROOM)


@contextmanager
def _deaf_port() -> Iterator[int]:
    """A port that takes connections and never answers: a dead collector, a hung Redis."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(64)
        yield listener.getsockname()[1]


async def _end_within(member: Member, drain: float, *, signals: int, script: str) -> float:
    """Hold two streams that never end, send TERM so often, and return how long the process took."""
    begun = asyncio.Semaphore(0)
    async with httpx2.AsyncClient(timeout=120, trust_env=False) as client:
        url = f"http://127.0.0.1:{member.port}/v1/messages"
        readers = [asyncio.ensure_future(_read(client, url, script, begun)) for _ in range(2)]
        for _ in readers:
            await begun.acquire()
        began = time.monotonic()
        for _ in range(signals):
            member.signal(signal.SIGTERM)
            await asyncio.sleep(0.2)
        await asyncio.to_thread(member.wait, ROOM + (drain if signals == 1 else 5.0))
        took = time.monotonic() - began
        for reader in readers:
            with contextlib.suppress(httpx2.HTTPError):
                await reader
    return took


@pytest.mark.timeout(300)
@pytest.mark.promise("P-65")
@pytest.mark.parametrize(("signals", "drain", "within"), [(1, 2.0, 2.0 + 5.0), (2, 600.0, 5.0)])
async def test_stalls_and_dead_neighbours_do_not_hold_the_end_up(
    tmp_path: Path, signals: int, drain: float, within: float
) -> None:
    """One TERM: the drain and no more. A second one: at once, whatever the drain."""
    with simulator_process() as origin, _deaf_port() as deaf:
        dead = f"http://127.0.0.1:{deaf}"
        more = {
            "limits": {"drain": drain},
            "telemetry": {"otlpEndpoint": dead},
            "credentials": {"address": dead, "tokenFile": str(tmp_path / "token")},
        }
        (tmp_path / "token").write_text("t" * 40 + "\n")
        member = Member(tmp_path / "one", origin, drain, more)
        try:
            member.start()
            deadline = time.monotonic() + 60
            while member.status("/livez") != 200:
                assert time.monotonic() < deadline, member.log.read_text()
                await asyncio.sleep(0.05)
            with contextlib.closing(socket.create_connection(("127.0.0.1", member.port))) as silent:
                silent.sendall(b"POST /v1/messages HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\n")
                member.signal(signal.SIGTERM)
                if signals == 2:
                    await asyncio.sleep(0.5)
                    member.signal(signal.SIGTERM)
                began = time.monotonic()
                await asyncio.to_thread(member.wait, within + ROOM)
            assert time.monotonic() - began < within + ROOM
        finally:
            member.end()


@pytest.mark.timeout(300)
@pytest.mark.promise("P-65")
@pytest.mark.parametrize("stall", ["stall=body", "stall=mid-event;events=4"])
async def test_a_second_signal_ends_a_stalled_stream_at_once(tmp_path: Path, stall: str) -> None:
    with (
        simulator_process() as origin,
        Fleet(tmp_path, origin, count=1, limits={"drain": 600, "holdHeaders": 0.5, "ping": 0.5}) as fleet,
    ):
        took = await _end_within(fleet.members[0], 600.0, signals=2, script=stall)

    assert took < 5.0 + ROOM
