"""P-32, P-33 and what else there is to say about request bodies."""

import asyncio
import gzip

import pytest

from services.chassis.http_guard.limits import GuardLimits
from tests.support.memory import resident_growth
from tests.support.promises import show
from tests.support.raw_http import RawClient, Reply, raw_client, say
from tests.support.recording_app import RecordingApp
from tests.support.serving import running_server

HOST = b"Host: gate.example\r\n"
MIB = 1024 * 1024
LIMITS = GuardLimits(body=MIB, other_body=1024, body_paths=frozenset({b"/large", b"/slow"}), linger=0.2, sweep=0.05)


def post(headers: bytes, path: bytes = b"/large") -> bytes:
    return b"POST " + path + b" HTTP/1.1\r\n" + HOST + headers + b"\r\n"


async def _flood(client: RawClient, piece: bytes, total: int) -> Reply:
    """Send until `total` bytes have gone or the server has hung up, and return what it said."""
    reading = asyncio.ensure_future(client.read(seconds=20))
    sent = 0
    while sent < total and not reading.done() and await client.send(piece):
        sent += len(piece)
    return await reading


@pytest.mark.promise("P-32")
@pytest.mark.parametrize("framing", ["length", "chunked", "false length", "get"])
async def test_a_body_beyond_the_limit_is_refused_and_never_kept(framing: str) -> None:
    """50 clients that would send 200 MiB each."""
    app = RecordingApp()
    heads = {
        "length": post(b"Content-Length: 209715200\r\n"),
        "chunked": post(b"Transfer-Encoding: chunked\r\n"),
        "false length": post(b"Content-Length: 3\r\n"),
        "get": b"GET /large HTTP/1.1\r\n" + HOST + b"Content-Length: 209715200\r\n\r\n",
    }
    piece = b"%x\r\n" % 65536 + b"a" * 65536 + b"\r\n" if framing == "chunked" else b"a" * 65536
    clients, total = 50, 200 * MIB

    async with running_server(app, limits=LIMITS) as server:

        async def attack() -> Reply:
            async with raw_client(server.port) as client:
                await client.send(heads[framing])
                return await _flood(client, piece, total)

        with resident_growth() as growth:
            replies = await asyncio.gather(*(attack() for _ in range(clients)))

    # What follows a body that ends too soon is refused aloud or, while the answer to it is under way, in silence.
    expected = {"length": [[413]], "chunked": [[413]], "false length": [[200], [200, 400]], "get": [[400]]}[framing]
    wrong = [reply.statuses for reply in replies if reply.statuses not in expected]
    show("P-32", clients, len(wrong), framing=framing, grown_mib=round(growth.mib, 1))
    assert growth.mib <= clients * 1 + 32
    assert all(reply.closed for reply in replies)
    assert [] == wrong
    assert all(len(seen.body) <= MIB for seen in app.seen)


@pytest.mark.promise("P-32")
async def test_a_body_that_the_application_does_not_read_is_not_kept() -> None:
    app = RecordingApp()

    async with running_server(app, limits=LIMITS) as server, raw_client(server.port) as client:
        with resident_growth() as growth:
            await client.send(post(b"Content-Length: 1048576\r\n", b"/slow"))
            sending = asyncio.ensure_future(client.send(*[b"a" * 4096] * 255))
            reply = await client.read(until=b"begin", seconds=2)
            app.release.set()
            reply = await client.read(until=b"0\r\n\r\n", seconds=2)
            await sending

    assert b"end" in reply.data
    assert growth.mib <= 8


async def test_a_large_body_within_the_limit_arrives_whole() -> None:
    app = RecordingApp()
    body = bytes(range(256)) * 4096

    async with running_server(app, limits=LIMITS) as server:
        by_length = await say(
            server.port,
            post(b"Connection: close\r\nContent-Length: 1048576\r\n"),
            *[body[at : at + 65536] for at in range(0, MIB, 65536)],
        )
        in_chunks = await say(
            server.port,
            post(b"Connection: close\r\nTransfer-Encoding: chunked\r\n"),
            *[b"ffff\r\n" + body[at : at + 65535] + b"\r\n" for at in range(0, MIB - 65535, 65535)],
            b"10\r\n" + body[-16:] + b"\r\n0\r\n\r\n",
        )

    assert by_length.statuses == in_chunks.statuses == [200]
    assert app.seen[0].body == body
    assert app.seen[1].body == body


async def test_paths_that_are_not_listed_take_small_bodies_only() -> None:
    app = RecordingApp()
    async with running_server(app, limits=LIMITS) as server:
        small = await say(server.port, post(b"Connection: close\r\nContent-Length: 1024\r\n", b"/other") + b"a" * 1024)
        large = await say(server.port, post(b"Content-Length: 1025\r\n", b"/other"))
        query = await say(
            server.port, post(b"Connection: close\r\nContent-Length: 1025\r\n", b"/large?x=1") + b"a" * 1025
        )

    assert [small.statuses, large.statuses, query.statuses] == [[200], [413], [200]]


async def test_a_length_beyond_the_limit_is_refused_before_any_of_the_body_is_sent() -> None:
    app = RecordingApp()
    async with running_server(app, limits=LIMITS) as server:
        reply = await say(server.port, post(b"Expect: 100-continue\r\nContent-Length: 1048577\r\n"))

    assert reply.statuses == [413]
    assert app.seen == []


async def test_a_client_that_asks_is_told_to_go_on_with_its_body() -> None:
    app = RecordingApp()
    async with running_server(app, limits=LIMITS) as server, raw_client(server.port) as client:
        await client.send(post(b"Expect: 100-continue\r\nConnection: close\r\nContent-Length: 3\r\n"))
        interim = await client.read(until=b"\r\n\r\n")
        await client.send(b"abc")
        reply = await client.read()

    assert interim.statuses == [100]
    assert reply.statuses == [200]
    assert app.seen[0].body == b"abc"


async def test_chunk_framing_that_outweighs_its_payload_is_refused() -> None:
    """200,000 chunks of one byte each cost six bytes and one callback per byte of payload."""
    app = RecordingApp()
    async with running_server(app, limits=LIMITS) as server, raw_client(server.port) as client:
        await client.send(post(b"Transfer-Encoding: chunked\r\n"))
        reply = await _flood(client, b"1\r\na\r\n" * 10_000, 1_200_000)

    assert reply.statuses == [400]
    assert not any(seen.whole for seen in app.seen)


@pytest.mark.parametrize("filler", [b"1;" + b"e" * 65000 + b"\r\na\r\n", b"X-Trailer: " + b"t" * 65000 + b"\r\n"])
async def test_endless_chunk_extensions_and_trailers_are_cut(filler: bytes) -> None:
    app = RecordingApp()
    async with running_server(app, limits=LIMITS) as server, raw_client(server.port) as client:
        await client.send(post(b"Transfer-Encoding: chunked\r\n"), b"" if filler[:1] == b"1" else b"0\r\n")
        reply = await _flood(client, filler, 20 * MIB)

    assert reply.statuses == [400]


async def test_a_stream_of_small_events_in_small_chunks_is_served() -> None:
    """What a client library that writes token by token sends: twenty bytes a chunk."""
    app = RecordingApp()
    body = b"14\r\n" + b"a" * 20 + b"\r\n"
    async with running_server(app, limits=LIMITS) as server:
        reply = await say(
            server.port, post(b"Connection: close\r\nTransfer-Encoding: chunked\r\n"), body * 20_000 + b"0\r\n\r\n"
        )

    assert reply.statuses == [200]
    assert len(app.seen[0].body) == 400_000


@pytest.mark.promise("P-33")
@pytest.mark.parametrize(
    "coding", [b"gzip", b"br", b"zstd", b"deflate", b"GZIP", b"x-gzip", b"gzip, gzip", b"identity, gzip", b""]
)
async def test_a_compressed_body_is_refused_unread(coding: bytes) -> None:
    app = RecordingApp()
    body = gzip.compress(gzip.compress(b"\0" * MIB))
    async with running_server(app, limits=LIMITS) as server:
        reply = await say(
            server.port, post(b"Content-Encoding: %b\r\nContent-Length: %d\r\n" % (coding, len(body))), body
        )

    assert reply.statuses == [415]
    assert app.seen == []


async def test_a_refusal_is_read_even_by_a_client_that_is_still_sending() -> None:
    """Closed with unread bytes, the connection would be reset and the 413 lost."""
    app = RecordingApp()
    async with running_server(app, limits=LIMITS) as server, raw_client(server.port) as client:
        accepted = await client.send(post(b"Content-Length: 4194304\r\n"), *[b"a" * 65536] * 64)
        await asyncio.sleep(0.1)
        reply = await client.read()

    assert accepted
    assert reply.statuses == [413]
    assert server.site.connections == 0


async def test_an_application_whose_client_is_refused_midway_is_told_of_a_disconnect() -> None:
    told: list[str] = []

    async def app(scope, receive, send):
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                told.append("disconnect")
                await send({"type": "http.response.start", "status": 200, "headers": []})
                return

    async with running_server(app, limits=LIMITS, lifespan="off") as server:
        reply = await say(server.port, post(b"Transfer-Encoding: chunked\r\n"), b"ffffff\r\n" + b"a" * (MIB + 1))

    assert reply.statuses == [413]
    assert told == ["disconnect"]


async def test_a_body_refused_after_the_answer_began_resets_the_connection() -> None:
    """A 413 in the middle of an answer would be read as part of it."""

    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"begin", "more_body": True})
        while (await receive())["type"] != "http.disconnect":
            pass

    async with running_server(app, limits=LIMITS, lifespan="off") as server, raw_client(server.port) as client:
        await client.send(post(b"Transfer-Encoding: chunked\r\n"))
        await client.read(until=b"begin")
        reply = await _flood(client, b"ffff\r\n" + b"a" * 65535 + b"\r\n", 4 * MIB)

    assert reply.closed
    assert reply.data == b""


async def test_a_body_without_end_after_the_answer_ends_the_connection() -> None:
    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 401, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"no"})

    async with running_server(app, limits=LIMITS, lifespan="off") as server, raw_client(server.port) as client:
        await client.send(post(b"Transfer-Encoding: chunked\r\n"))
        first = await client.read(until=b"no")
        reply = await _flood(client, b"ffff\r\n" + b"a" * 65535 + b"\r\n", 4 * MIB)

    assert first.statuses == [401]
    assert reply == Reply(b"", closed=True)
