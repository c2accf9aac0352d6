"""How long a client may take over anything; all times are scaled down."""

import asyncio
import time

import pytest

from services.chassis.http_guard.limits import GuardLimits
from tests.support.raw_http import raw_client, say
from tests.support.recording_app import RecordingApp
from tests.support.serving import running_server

HOST = b"Host: gate.example\r\n"
GET = b"GET /probe HTTP/1.1\r\n" + HOST + b"\r\n"
LIMITS = GuardLimits(
    header_seconds=0.4,
    body_grace_seconds=0.4,
    body_rate=100_000,
    body_seconds=1.0,
    keep_alive=0.4,
    linger=0.3,
    sweep=0.05,
)


def post(length: int, path: bytes = b"/probe") -> bytes:
    return b"POST " + path + b" HTTP/1.1\r\n" + HOST + b"Content-Length: %d\r\n\r\n" % length


async def test_a_silent_connection_is_closed_without_a_word() -> None:
    async with running_server(RecordingApp(), limits=LIMITS) as server:
        started = time.monotonic()
        reply = await say(server.port)

    assert reply.closed
    assert reply.data == b""
    assert 0.35 < time.monotonic() - started < 0.9


@pytest.mark.parametrize("drip", [b"GET /probe HTTP/1.1\r\n" + HOST + b"X-A: " + b"a" * 100, b"\r\n" * 100])
async def test_a_dripping_head_is_closed_on_an_absolute_deadline(drip: bytes) -> None:
    async with running_server(RecordingApp(), limits=LIMITS) as server, raw_client(server.port) as client:
        started = time.monotonic()
        sending = asyncio.ensure_future(client.send(*[bytes([byte]) for byte in drip], pause=0.02))
        reply = await client.read()
        took = time.monotonic() - started
        sending.cancel()

    assert reply.closed
    assert reply.statuses == ([408] if drip[:1] == b"G" else [])
    assert took < 0.9


async def test_blank_lines_do_not_keep_an_idle_connection_alive() -> None:
    async with running_server(RecordingApp(), limits=LIMITS) as server, raw_client(server.port) as client:
        await client.send(GET)
        assert (await client.read(until=b"ok")).statuses == [200]
        sending = asyncio.ensure_future(client.send(*[b"\r\n"] * 100, pause=0.02))
        reply = await client.read(seconds=1)
        sending.cancel()

    assert reply.closed
    assert reply.data == b""


async def test_an_idle_connection_is_kept_as_long_as_promised_and_no_longer() -> None:
    async with running_server(RecordingApp(), limits=LIMITS) as server, raw_client(server.port) as client:
        for _ in range(3):
            await client.send(GET)
            assert (await client.read(until=b"ok")).statuses == [200]
            await asyncio.sleep(0.25)
        assert await client.is_closed(seconds=0.6)


async def test_a_dripping_head_on_a_kept_connection_is_closed_too() -> None:
    async with running_server(RecordingApp(), limits=LIMITS) as server, raw_client(server.port) as client:
        await client.send(GET)
        await client.read(until=b"ok")
        await client.send(b"GET /second")
        reply = await client.read(seconds=1)

    assert reply.closed
    assert reply.statuses == [408]


async def test_a_body_that_stops_coming_is_refused() -> None:
    app = RecordingApp()
    async with running_server(app, limits=LIMITS) as server:
        started = time.monotonic()
        reply = await say(server.port, post(1000) + b"a")

    assert reply.statuses == [408]
    assert 0.35 < time.monotonic() - started < 0.9
    assert not app.seen[0].whole


async def test_a_body_that_comes_fast_enough_outlives_the_grace_time() -> None:
    """100 kB/s are asked for beyond the grace; this one comes at 200 kB/s for 0.7 s."""
    app = RecordingApp()
    async with running_server(app, limits=LIMITS) as server:
        reply = await say(server.port, post(140_000), *[b"a" * 10_000] * 14, pause=0.05)

    assert reply.answers[0].status == 200
    assert len(app.seen[0].body) == 140_000


async def test_no_body_outlives_the_absolute_limit_however_fast_it_comes() -> None:
    app = RecordingApp()
    async with running_server(app, limits=LIMITS) as server, raw_client(server.port) as client:
        started = time.monotonic()
        sending = asyncio.ensure_future(client.send(post(30_000_000), *[b"a" * 20_000] * 1000, pause=0.02))
        reply = await client.read()
        sending.cancel()

    assert reply.statuses == [408]
    assert 0.9 < time.monotonic() - started < 1.6


async def test_time_in_which_the_application_does_not_read_is_not_counted() -> None:
    read = asyncio.Event()
    sizes: list[int] = []

    async def app(scope, receive, send):
        await read.wait()
        size, more = 0, True
        while more:
            message = await receive()
            size += len(message["body"])
            more = message["more_body"]
        sizes.append(size)
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"ok"})

    async with running_server(app, limits=LIMITS, lifespan="off") as server, raw_client(server.port) as client:
        sending = asyncio.ensure_future(client.send(post(1_000_001), *[b"a" * 50_000] * 20))
        await asyncio.sleep(1.4)
        read.set()
        await sending
        await asyncio.sleep(0.2)
        await client.send(b"a")
        reply = await client.read(until=b"ok")

    assert reply.statuses == [200]
    assert sizes == [1_000_001]


async def test_a_slow_application_is_waited_for() -> None:
    app = RecordingApp()
    async with running_server(app, limits=LIMITS) as server, raw_client(server.port) as client:
        await client.send(GET.replace(b"/probe", b"/held"))
        assert (await client.read(seconds=1.2)).data == b""
        app.release.set()
        reply = await client.read(until=b"ok")

    assert reply.statuses == [200]


async def test_a_late_second_head_does_not_break_the_answer_before_it() -> None:
    app = RecordingApp()
    async with running_server(app, limits=LIMITS) as server, raw_client(server.port) as client:
        await client.send(GET.replace(b"/probe", b"/slow") + b"GET /second HTTP")
        await client.read(until=b"begin")
        await asyncio.sleep(0.8)
        app.release.set()
        reply = await client.read()

    assert reply.closed
    assert reply.data == b"3\r\nend\r\n0\r\n\r\n"
    assert app.paths == ["/slow"]


async def test_a_refused_client_that_will_not_hang_up_is_hung_up_on() -> None:
    async with running_server(RecordingApp(), limits=LIMITS) as server, raw_client(server.port) as client:
        await client.send(b"nonsense\r\n\r\n")
        assert (await client.read()).statuses == [400]
        sending = asyncio.ensure_future(client.send(*[b"more"] * 100, pause=0.02))
        await asyncio.sleep(0.1)
        assert server.site.connections == 1
        await asyncio.sleep(0.5)

        assert server.site.connections == 0
        assert await sending is False
