"""How answers are framed, and which framing is refused."""

import asyncio
from collections.abc import Callable

import pytest

import services.gateway.upstream.transport as port
from services.gateway.upstream.transport import (
    AnswerLimits,
    AnswerTooLarge,
    ConnectionLost,
    ProtocolViolation,
    UpstreamTransport,
)
from tests.support.raw_upstream import Peer, RawUpstream, Script, answer, chunked, replies
from tests.support.transport_client import Collector, ask, fetch, read, settled

OK = b"HTTP/1.1 200 OK\r\n"


def then_close(data: bytes) -> Script:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(data)
        peer.close()

    return script


async def test_request_arrives_as_written(transport: UpstreamTransport) -> None:
    async with RawUpstream(replies(answer())) as upstream:
        request = ask(upstream.origin, b"\x00body", headers=[(b"X-Key", b"Value"), (b"accept", b"a, b")])
        await fetch(transport, request)
        [peer] = upstream.peers
        line, *headers = peer.heads[0].rstrip(b"\r\n").split(b"\r\n")
        assert line == b"POST /v1/messages HTTP/1.1"
        assert headers[0].lower() == b"host: " + upstream.origin.authority.encode()
        assert sorted(header.lower() for header in headers[1:]) == [
            b"accept: a, b",
            b"content-length: 5",
            b"x-key: value",
        ]
        assert peer.bodies == [b"\x00body"]


async def test_head_is_delivered_with_lower_case_names_in_order(transport: UpstreamTransport) -> None:
    head = (
        b"HTTP/1.1 404 Nope\r\nX-One: 1\r\nSet-Cookie: a=b\r\nset-cookie: c=d\r\nX-Empty:\r\ncontent-length: 0\r\n\r\n"
    )
    async with RawUpstream(replies(head)) as upstream:
        got = await transport.send(ask(upstream.origin))
        assert got.status == 404
        assert list(got.headers) == [
            (b"x-one", b"1"),
            (b"set-cookie", b"a=b"),
            (b"set-cookie", b"c=d"),
            (b"x-empty", b""),
            (b"content-length", b"0"),
        ]
        assert await read(got) == b""
        await fetch(transport, ask(upstream.origin))
        assert b"cookie" not in upstream.peers[0].heads[-1].lower()


async def test_redirects_are_answers(transport: UpstreamTransport) -> None:
    async with RawUpstream(replies(answer(b"", b"location: /other", status=b"307 Temporary Redirect"))) as upstream:
        assert (await transport.send(ask(upstream.origin))).status == 307
        assert upstream.requests == 1


@pytest.mark.parametrize(
    ("data", "body"),
    [
        (answer(b"plain"), b"plain"),
        (answer(b""), b""),
        (chunked(b"a", b"bc", b"d" * 300), b"abc" + b"d" * 300),
        (OK + b'Transfer-Encoding: CHUNKED\r\n\r\n2;a=b;c="d"\r\nhi\r\n0;last\r\nX-Trailer: t\r\n\r\n', b"hi"),
        (OK + b"transfer-encoding: chunked\r\n\r\n000A\r\n0123456789\r\n0\r\n\r\n", b"0123456789"),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n" + answer(b"final"), b"final"),
        (b"HTTP/1.1 200\r\ncontent-length: 2\r\n\r\nhi", b"hi"),
    ],
    ids=["length", "empty", "chunked", "extensions-and-trailers", "padded-size", "1xx", "no-reason"],
)
async def test_answer_is_the_same_wherever_it_is_split(transport: UpstreamTransport, data: bytes, body: bytes) -> None:
    splits = iter(range(1, len(data)))

    async def script(peer: Peer) -> None:
        while True:
            await peer.request()
            at = next(splits)
            await peer.send(data[:at])
            await asyncio.sleep(0.0005)
            await peer.send(data[at:])

    async with RawUpstream(script) as upstream:
        for _ in range(1, len(data)):
            got = await transport.send(ask(upstream.origin))
            assert got.status == 200
            assert all(name != b"link" for name, _ in got.headers)
            assert await read(got) == body
        assert len(upstream.peers) == 1  # every one of them left the connection fit for the next


async def test_one_byte_chunks_one_byte_at_a_time(transport: UpstreamTransport) -> None:
    body = bytes(range(1, 120))

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.trickle(chunked(*[bytes([byte]) for byte in body]))

    async with RawUpstream(script) as upstream:
        assert await fetch(transport, ask(upstream.origin)) == body


async def test_events_of_one_read_come_in_one_piece(
    transport: UpstreamTransport, differs: Callable[[str], str]
) -> None:
    async with RawUpstream(replies(chunked(*[b"event %d\n\n" % n for n in range(100)]))) as upstream:
        got = await transport.send(ask(upstream.origin))
        collector = Collector()
        got.consume(collector)
        await collector.body()
        assert len(collector.pieces) == (1 if differs("pieces") == "per read" else 100)


@pytest.mark.parametrize("status", [b"204 No Content", b"304 Not Modified"])
async def test_no_body_where_the_status_forbids_one(transport: UpstreamTransport, status: bytes) -> None:
    async with RawUpstream(replies(b"HTTP/1.1 " + status + b"\r\n\r\n")) as upstream:
        assert await fetch(transport, ask(upstream.origin)) == b""
        assert await fetch(transport, ask(upstream.origin)) == b""
        assert len(upstream.peers) == 1


async def test_head_has_no_body_though_it_announces_one(transport: UpstreamTransport) -> None:
    async with RawUpstream(replies(OK + b"content-length: 10\r\n\r\n", answer(b"after"))) as upstream:
        assert await fetch(transport, ask(upstream.origin, b"", method="HEAD")) == b""
        assert await fetch(transport, ask(upstream.origin)) == b"after"
        assert len(upstream.peers) == 1
        assert b"content-length" not in upstream.peers[0].heads[0]


@pytest.mark.parametrize(
    "head", [OK + b"\r\n", OK + b"connection: close\r\n\r\n", b"HTTP/1.0 200 OK\r\n\r\n"], ids=["1.1", "close", "1.0"]
)
async def test_end_of_connection_ends_a_body_without_framing(transport: UpstreamTransport, head: bytes) -> None:
    async with RawUpstream(then_close(head + b"until the end")) as upstream:
        assert await fetch(transport, ask(upstream.origin)) == b"until the end"
        await settled(transport)
        assert transport.statistics().idle == 0


@pytest.mark.parametrize(
    "first",
    [answer(b"x", b"connection: close"), b"HTTP/1.0 200 OK\r\ncontent-length: 1\r\n\r\nx"],
    ids=["connection-close", "http-1.0"],
)
async def test_connection_that_is_to_close_is_not_used_again(transport: UpstreamTransport, first: bytes) -> None:
    async with RawUpstream(replies(first)) as upstream:
        assert await fetch(transport, ask(upstream.origin)) == b"x"
        assert await fetch(transport, ask(upstream.origin)) == b"x"
        assert len(upstream.peers) == 2


@pytest.mark.parametrize(
    "extra", [b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil", b"garbage", b"H"], ids=["answer", "garbage", "byte"]
)
async def test_bytes_after_the_end_are_no_answer_to_the_next_request(
    transport: UpstreamTransport, extra: bytes
) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(answer(b"%d" % peer.number) + extra)
        await peer.gone()

    async with RawUpstream(script) as upstream:
        assert await fetch(transport, ask(upstream.origin)) == b"0"
        assert await fetch(transport, ask(upstream.origin)) == b"1"
        assert len(upstream.peers) == 2


@pytest.mark.parametrize(
    "data",
    [
        OK + b"content-length: 10\r\n\r\nshort",
        OK + b"transfer-encoding: chunked\r\n\r\n5\r\nshort\r\n",
        OK + b"transfer-encoding: chunked\r\n\r\n5\r\nsho",
        OK + b"transfer-encoding: chunked\r\n\r\n5\r\nshort\r\n0\r\n",
    ],
    ids=["length", "no-last-chunk", "inside-chunk", "no-final-line"],
)
async def test_body_cut_short_is_a_failure_after_what_came(transport: UpstreamTransport, data: bytes) -> None:
    async with RawUpstream(then_close(data)) as upstream:
        got = await transport.send(ask(upstream.origin))
        collector = Collector()
        got.consume(collector)
        with pytest.raises(ConnectionLost):
            await collector.body()
        assert collector.data in {b"short", b"sho"}
        await settled(transport)


@pytest.mark.parametrize("data", [b"", b"HTTP/1.1 20", OK + b"x-half: "], ids=["nothing", "status", "header"])
async def test_connection_closed_before_the_head_is_lost(transport: UpstreamTransport, data: bytes) -> None:
    async with RawUpstream(then_close(data)) as upstream:
        with pytest.raises(ConnectionLost):
            await transport.send(ask(upstream.origin))
        assert upstream.requests == 1
        await settled(transport)


@pytest.mark.parametrize(
    "data",
    [
        b"<html>not http</html>\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.9\r\n\r\n",
        b"HTTP/1.1 20x OK\r\n\r\n",
        b"HTTP/2.0 200 OK\r\ncontent-length: 0\r\n\r\n",
        OK + b"no colon\r\n\r\n",
        OK + b"space : before colon\r\n\r\n",
        OK + b"x: nul\x00\r\n\r\n",
        OK + b"content-length: 2\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
        OK + b"transfer-encoding: chunked\r\ncontent-length: 2\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
        OK + b"content-length: 2\r\ncontent-length: 3\r\n\r\nhi!",
        OK + b"content-length: 2, 3\r\n\r\nhi!",
        OK + b"content-length: +2\r\n\r\nhi",
        OK + b"content-length: -1\r\n\r\nhi",
        OK + b"transfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        OK + b"transfer-encoding: gzip\r\n\r\nhi",
        OK + b"transfer-encoding: gzip\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n",
    ],
    ids=[
        "html", "ssh", "status", "version", "no-colon", "space-before-colon", "nul", "length+chunked", "chunked+length",
        "two-lengths", "length-list", "plus-length", "minus-length", "gzip-chunked", "gzip",
        "gzip+chunked", "chunked-1.0", "upgrade",
    ],
)  # fmt: skip
async def test_head_that_is_not_plain_http_is_refused(transport: UpstreamTransport, data: bytes) -> None:
    async with RawUpstream(replies(data)) as upstream:
        with pytest.raises(ProtocolViolation):
            await transport.send(ask(upstream.origin))
        await settled(transport)
        assert transport.statistics().idle == 0


@pytest.mark.parametrize(
    "chunks", [b"zz\r\n", b"-1\r\nx", b"2\r\nhiX\r\n0\r\n\r\n"], ids=["letters", "negative", "no-line-end"]
)
async def test_bad_chunk_breaks_the_body_off(transport: UpstreamTransport, chunks: bytes) -> None:
    async with RawUpstream(replies(OK + b"transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n" + chunks)) as upstream:
        got = await transport.send(ask(upstream.origin))
        collector = Collector()
        got.consume(collector)
        with pytest.raises(ProtocolViolation):
            await collector.body()
        assert collector.data.startswith(b"abc")
        await settled(transport)
        assert transport.statistics().idle == 0


@pytest.mark.parametrize(
    ("row", "data"),
    [
        ("bare line feed", b"HTTP/1.1 200 OK\ncontent-length: 2\n\nhi"),
        ("same length twice", OK + b"content-length: 2\r\ncontent-length: 2\r\n\r\nhi"),
        ("huge chunk", OK + b"transfer-encoding: chunked\r\n\r\nfffffffffffffffff\r\nx"),
        ("endless 1xx", b"HTTP/1.1 100 Continue\r\n\r\n" * 20_000),
    ],
)
async def test_where_strictness_differs(
    transport: UpstreamTransport, differs: Callable[[str], str], row: str, data: bytes
) -> None:
    expected = differs(row)
    async with RawUpstream(replies(data)) as upstream:
        if expected == "accepted":
            assert await fetch(transport, ask(upstream.origin)) == b"hi"
        else:
            with pytest.raises(getattr(port, expected)):
                await fetch(transport, ask(upstream.origin))
        await settled(transport)


@pytest.mark.parametrize(
    "data",
    [
        OK + b"x: " + b"y" * 70_000 + b"\r\n\r\n",
        OK + b"".join(b"x-%d: y\r\n" % n for n in range(201)) + b"content-length: 0\r\n\r\n",
        OK + b"x: " + b"y" * 1_000_000,
    ],
    ids=["one-header", "count", "endless-header"],
)
@pytest.mark.promise("P-46")
async def test_head_above_the_limits_is_refused(transport: UpstreamTransport, data: bytes) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        while True:
            await peer.send(data)
            if data.endswith(b"\r\n\r\n") and b" 200 " in data:
                await peer.gone()
            await asyncio.sleep(0.01)

    async with RawUpstream(script) as upstream:
        with pytest.raises(AnswerTooLarge):
            await transport.send(ask(upstream.origin))
        await settled(transport)


async def test_body_is_cut_at_the_limit(transport: UpstreamTransport) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(OK + b"\r\n")
        while True:
            await peer.send(b"x" * 10_000)

    async with RawUpstream(script) as upstream:
        got = await transport.send(ask(upstream.origin, limits=AnswerLimits(body=1_000_000)))
        collector = Collector()
        got.consume(collector)
        with pytest.raises(AnswerTooLarge):
            await collector.body()
        assert len(collector.data) <= 1_000_000
        await settled(transport)


async def test_body_announced_above_the_limit_is_refused_at_its_head(transport: UpstreamTransport) -> None:
    async with RawUpstream(replies(answer(b"x" * 101))) as upstream:
        with pytest.raises(AnswerTooLarge):
            await transport.send(ask(upstream.origin, limits=AnswerLimits(body=100)))
        assert await fetch(transport, ask(upstream.origin, limits=AnswerLimits(body=101))) == b"x" * 101
        await settled(transport)


@pytest.mark.parametrize("flood", [b"x: y\r\n", b"z"], ids=["trailers", "chunk-extension"])
async def test_framing_without_end_is_cut(transport: UpstreamTransport, flood: bytes) -> None:
    start = b"0\r\n" if flood.endswith(b"\n") else b"1;"

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(OK + b"transfer-encoding: chunked\r\n\r\n" + start)
        while True:
            await peer.send(flood * 1000)

    async with RawUpstream(script) as upstream:
        with pytest.raises(AnswerTooLarge):
            await fetch(transport, ask(upstream.origin))
        await settled(transport)


@pytest.mark.parametrize(
    "request_of",
    [
        {"headers": [(b"x", b"a\r\nevil: 1")]},
        {"headers": [(b"x", b"a\nb")]},
        {"headers": [(b"x", b"a\x00b")]},
        {"headers": [(b"x y", b"a")]},
        {"headers": [(b"", b"a")]},
        {"headers": [(b"x: y", b"a")]},
        {"headers": [(b"Content-Length", b"3")]},
        {"headers": [(b"transfer-encoding", b"chunked")]},
        {"headers": [(b"host", b"elsewhere")]},
        {"headers": [(b"Connection", b"close")]},
        {"path": b"/a b"},
        {"path": b"/a\r\nx: y"},
        {"path": b"http://elsewhere/"},
        {"method": "GET /"},
        {"method": ""},
    ],
    ids=repr,
)
@pytest.mark.promise("P-40")
async def test_request_that_would_break_its_framing_is_never_sent(
    transport: UpstreamTransport, request_of: dict[str, object]
) -> None:
    async with RawUpstream(replies(answer())) as upstream:
        with pytest.raises(ProtocolViolation):
            await transport.send(ask(upstream.origin, **request_of))  # type: ignore[arg-type]  # a table of keyword arguments
        assert upstream.peers == []
