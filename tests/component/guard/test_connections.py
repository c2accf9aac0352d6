"""What a connection may do beside sending one good request: be one too many, pipeline, read slowly, vanish."""

import asyncio
import socket

import pytest

from services.chassis.http_guard.limits import GuardLimits
from tests.support.memory import resident_growth
from tests.support.promises import show
from tests.support.raw_http import raw_client, say
from tests.support.recording_app import RecordingApp
from tests.support.serving import running_server

HOST = b"Host: gate.example\r\n"


def get(path: bytes, headers: bytes = b"") -> bytes:
    return b"GET " + path + b" HTTP/1.1\r\n" + HOST + headers + b"\r\n"


async def test_connections_beyond_the_cap_are_closed_and_room_is_made_again() -> None:
    limits = GuardLimits(connections=2)
    async with running_server(RecordingApp(), limits=limits) as server:
        async with raw_client(server.port) as first, raw_client(server.port):
            await asyncio.sleep(0.02)
            third = await say(server.port, get(b"/"))
            await first.send(get(b"/"))
            kept = await first.read(until=b"ok")
        await asyncio.sleep(0.05)
        fourth = await say(server.port, get(b"/", b"Connection: close\r\n"))

    assert third.closed
    assert third.data == b""
    assert kept.statuses == fourth.statuses == [200]
    assert server.site.guard.refusals == {"connections": 1}


async def test_pipelined_requests_are_answered_in_order() -> None:
    app = RecordingApp()
    requests = [get(b"/%d" % number) for number in range(30)]
    async with running_server(app) as server:
        reply = await say(server.port, b"".join(requests), get(b"/last", b"Connection: close\r\n"))

    assert reply.statuses == [200] * 31
    assert app.paths == [f"/{number}" for number in range(30)] + ["/last"]


async def test_a_pipeline_without_end_is_cut_after_the_requests_let_in() -> None:
    app = RecordingApp()
    async with running_server(app, limits=GuardLimits(pipelined=3)) as server, raw_client(server.port) as client:
        await client.send(get(b"/held") + get(b"/next") * 5000)
        await asyncio.sleep(0.05)
        app.release.set()
        reply = await client.read()

    assert reply.closed
    assert reply.statuses == [200] * 4
    assert app.paths == ["/held"] + ["/next"] * 3


async def test_a_client_that_leaves_takes_all_its_pipelined_requests_along() -> None:
    told: list[str] = []

    async def app(scope, receive, send):
        await receive()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        told.append((await receive())["type"])

    async with running_server(app, lifespan="off") as server:
        async with raw_client(server.port) as client:
            await client.send(get(b"/first") + get(b"/second") + get(b"/third"))
            await client.read(until=b"200")
        await asyncio.sleep(0.1)

        assert server.site.connections == server.site.running == 0
    assert told == ["http.disconnect"]


async def test_a_bad_request_behind_a_running_one_is_not_answered_into_its_stream() -> None:
    app = RecordingApp()
    async with running_server(app) as server, raw_client(server.port) as client:
        await client.send(get(b"/slow"))
        await client.read(until=b"begin")
        await client.send(b"GET /bad HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n" + get(b"/smuggled"))
        await asyncio.sleep(0.05)
        app.release.set()
        reply = await client.read()

    assert reply.closed
    assert reply.data == b"3\r\nend\r\n0\r\n\r\n"
    assert app.paths == ["/slow"]


async def test_a_bad_body_behind_a_running_request_takes_only_its_own_request_along() -> None:
    app = RecordingApp()
    bad = b"POST /bad HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\nnonsense\r\n"
    async with running_server(app) as server, raw_client(server.port) as client:
        await client.send(get(b"/held") + get(b"/good") + bad)
        await asyncio.sleep(0.05)
        app.release.set()
        reply = await client.read()

    assert reply.closed
    assert reply.statuses == [200, 200]
    assert app.paths == ["/held", "/good"]


async def test_a_request_whose_answer_came_early_may_finish_its_body() -> None:
    """The connection stays in step: what comes after the answer is read as body and dropped."""

    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"ok"})

    post = b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 6\r\n\r\n"
    async with running_server(app, lifespan="off") as server, raw_client(server.port) as client:
        for _ in range(3):
            await client.send(post + b"abc")
            early = await client.read(until=b"ok")
            await client.send(b"def")
        assert early.statuses == [200]
        assert server.site.connections == 1


@pytest.mark.promise("P-44")
async def test_a_client_that_does_not_read_is_dropped_and_costs_little_memory() -> None:
    """200 clients, of which 50 here, against an answer without end."""
    clients, gone = 50, []

    async def app(scope, receive, send):
        await receive()  # the request itself; what comes next is its end
        await send({"type": "http.response.start", "status": 200, "headers": []})
        watch = asyncio.ensure_future(receive())
        try:
            while not watch.done():
                await send({"type": "http.response.body", "body": b"a" * 16384, "more_body": True})
                await asyncio.sleep(0)
        finally:
            watch.cancel()
            gone.append(1)

    limits = GuardLimits(write_stall=0.5, sweep=0.05)
    async with running_server(app, limits=limits, lifespan="off") as server:
        with resident_growth() as growth:
            sockets = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(clients)]
            for each in sockets:
                each.send(get(b"/"))
            await asyncio.sleep(0.4)
            growth.measure()
            running = server.site.running
            await asyncio.sleep(1.5)
            left = server.site.connections, server.site.running
        for each in sockets:
            each.close()
    show("P-44", clients, clients - len(gone), kib_each=round(growth.mib * 1024 / clients))

    assert running == clients
    assert left == (0, 0)
    assert len(gone) == clients
    assert growth.mib * 1024 <= 256 * clients
    assert server.site.guard.refusals == {"stalled": clients}


async def test_a_client_that_reads_slowly_is_served_to_the_end() -> None:
    """It takes something in every stall time, if little of what is waiting for it."""
    size = 8_000_000

    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % size)]})
        await send({"type": "http.response.body", "body": b"a" * size})

    limits = GuardLimits(write_stall=0.4, sweep=0.05)
    async with (
        running_server(app, limits=limits, lifespan="off") as server,
        raw_client(server.port, receive_buffer=65536) as client,
    ):
        await client.send(get(b"/", b"Connection: close\r\n"))
        got = 0
        loop = asyncio.get_running_loop()
        while data := await loop.sock_recv(client.socket, 200_000):
            got += len(data)
            await asyncio.sleep(0.01)

    assert got > size
    assert server.site.guard.refusals == {}


async def test_an_unread_answer_does_not_outlive_the_stall_time_after_its_end() -> None:
    """The application is done, the connection is to be closed, and the last bytes are never taken."""

    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": [(b"connection", b"close")]})
        await send({"type": "http.response.body", "body": b"a" * 20_000_000})

    limits = GuardLimits(write_stall=0.3, sweep=0.05)
    async with (
        running_server(app, limits=limits, lifespan="off") as server,
        raw_client(server.port, receive_buffer=4096) as client,
    ):
        await client.send(get(b"/"))
        await asyncio.sleep(0.15)
        before = server.site.connections
        await asyncio.sleep(0.8)
        after = server.site.connections

    assert (before, after) == (1, 0)


async def test_the_error_writer_is_given_the_path_and_its_answer_is_sent() -> None:
    asked: list[tuple[bytes, int]] = []

    def write(raw_path: bytes, status: int, message: str):
        asked.append((raw_path, status))
        return [(b"content-type", b"application/json"), (b"x-request-id", b"r1")], b'{"error":1}'

    async with running_server(RecordingApp(), error_writer=write) as server:
        reply = await say(server.port, b"GET /v1/messages?beta=true HTTP/1.1\r\n\r\n")
        nothing = await say(server.port, b"\x00\x01")

    assert asked == [(b"/v1/messages", 400), (b"", 400)]
    assert nothing.statuses == [400]
    answer = reply.answers[0]
    assert answer.body == b'{"error":1}'
    assert answer.headers[b"x-request-id"] == b"r1"
    assert answer.headers[b"connection"] == b"close"


async def test_a_refused_head_request_gets_no_body() -> None:
    async with running_server(RecordingApp()) as server:
        reply = await say(server.port, b"HEAD / HTTP/1.1\r\n\r\n")

    assert reply.data.endswith(b"\r\n\r\n")
    assert b"problem" in reply.data
