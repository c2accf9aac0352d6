"""
P-34: what a request must look like to be let in, probe by probe, byte for byte.

Every probe that is to be refused is followed, in the same bytes, by a well-formed request for /smuggled. The
application must never see that one. Every probe that is to be served is followed by a request on the same connection,
to show that the connection is still in step.
"""

import msgspec
import pytest

from services.chassis.http_guard.limits import GuardLimits
from tests.support.raw_http import raw_client
from tests.support.recording_app import RecordingApp
from tests.support.serving import running_server

HOST = b"Host: gate.example\r\n"
SMUGGLED = b"GET /smuggled HTTP/1.1\r\n" + HOST + b"\r\n"
AFTER = b"GET /after HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n"
LIMITS = GuardLimits(body=1024 * 1024, linger=0.2, sweep=0.05)


class Probe(msgspec.Struct, frozen=True):
    name: str
    data: bytes
    status: int
    body: bytes = b""  # what the application must have got
    last: bool = False  # served, but the connection is not kept

    @property
    def served(self) -> bool:
        return self.status == 200


def get(headers: bytes = HOST, target: bytes = b"/probe", version: bytes = b"HTTP/1.1") -> bytes:
    return b"GET " + target + b" " + version + b"\r\n" + headers + b"\r\n"


def post(headers: bytes, body: bytes = b"") -> bytes:
    return b"POST /probe HTTP/1.1\r\n" + HOST + headers + b"\r\n" + body


def chunked(body: bytes) -> bytes:
    return post(b"Transfer-Encoding: chunked\r\n", body)


PROBES = [
    # Served
    Probe("plain get", get(), 200),
    Probe("host with a port", get(b"Host: gate.example:8080\r\n"), 200),
    Probe("host is an ipv6 address", get(b"Host: [::1]:8080\r\n"), 200),
    Probe("host name in capitals", get(b"HOST: Gate.Example\r\n"), 200),
    Probe("empty header value", get(b"X-Empty:\r\n" + HOST), 200),
    Probe("blank lines before the request", b"\r\n\r\n" + get(), 200),
    Probe("post with a length", post(b"Content-Length: 3\r\n", b"abc"), 200, b"abc"),
    Probe("post with length zero", post(b"Content-Length: 0\r\n"), 200),
    Probe("post without a body", post(b""), 200),
    Probe("chunked", chunked(b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"), 200, b"abcde"),
    Probe("chunked in capitals", post(b"Transfer-Encoding: Chunked\r\n", b"1\r\na\r\n0\r\n\r\n"), 200, b"a"),
    Probe("chunk extension", chunked(b"1;name=value\r\na\r\n0\r\n\r\n"), 200, b"a"),
    Probe("trailers are dropped", chunked(b"1\r\na\r\n0\r\nX-API-Key: stolen\r\n\r\n"), 200, b"a"),
    Probe("identity coding", post(b"Content-Encoding: identity\r\nContent-Length: 1\r\n", b"a"), 200, b"a"),
    Probe("bearer and api key", get(HOST + b"Authorization: Bearer a\r\nX-API-Key: a\r\n"), 200),
    Probe("same cookie header twice", get(HOST + b"Cookie: a=1\r\nCookie: b=2\r\n"), 200),
    Probe("percent-encoded path", get(target=b"/pro%62e"), 200),
    Probe("http 1.0", get(version=b"HTTP/1.0"), 200, last=True),
    Probe(
        "http 1.0 that would keep alive", get(HOST + b"Connection: keep-alive\r\n", version=b"HTTP/1.0"), 200, last=True
    ),
    Probe("connection close", get(HOST + b"Connection: close\r\n"), 200, last=True),
    Probe("websocket upgrade is ignored", get(HOST + b"Connection: Upgrade\r\nUpgrade: websocket\r\n"), 200, last=True),
    Probe(
        "h2c upgrade of a post is ignored",
        post(
            b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: A\r\nContent-Length: 3\r\n", b"abc"
        ),
        200,
        b"abc",
        last=True,
    ),
    # Host
    Probe("no host", get(b""), 400),
    Probe("no host in http 1.0", get(b"", version=b"HTTP/1.0"), 400),
    Probe("two hosts", get(HOST + b"Host: other.example\r\n"), 400),
    Probe("same host twice", get(HOST + HOST), 400),
    Probe("empty host", get(b"Host:\r\n"), 400),
    Probe("host with a path", get(b"Host: gate.example/x\r\n"), 400),
    Probe("host with credentials", get(b"Host: a@gate.example\r\n"), 400),
    Probe("host with a query", get(b"Host: gate.example?x\r\n"), 400),
    Probe("host with a fragment", get(b"Host: gate.example#x\r\n"), 400),
    Probe("two names in one host", get(b"Host: gate.example, other.example\r\n"), 400),
    Probe("host with a word for a port", get(b"Host: gate.example:http\r\n"), 400),
    Probe("host with an open bracket", get(b"Host: [::1\r\n"), 400),
    Probe("space before the colon", get(b"Host : gate.example\r\n"), 400),
    # Target and version
    Probe("absolute form", get(target=b"http://other.example/probe"), 400),
    Probe("asterisk form", b"OPTIONS * HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    Probe("authority form", b"CONNECT gate.example:443 HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    Probe("target without a slash", get(target=b"probe"), 400),
    Probe("fragment in the target", get(target=b"/probe#x"), 400),
    Probe("raw high byte in the target", get(target=b"/\xff"), 400),
    Probe("control byte in the target", get(target=b"/\x01"), 400),
    Probe("null byte in the target", get(target=b"/\x00"), 400),
    Probe("http 0.9", b"GET /probe\r\n\r\n", 505),
    Probe("http 1.2", get(version=b"HTTP/1.2"), 400),
    Probe("http 2.0 in words", get(version=b"HTTP/2.0"), 505),
    Probe("http/2 preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
    Probe("tls hello", b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03", 400),
    Probe("method in small letters", b"get /probe HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    Probe("unknown method", b"BREW /probe HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    # Header syntax
    Probe("bare line feeds", b"GET /probe HTTP/1.1\nHost: gate.example\n\n", 400),
    Probe("one bare line feed", get(b"X-A: 1\n" + HOST), 400),
    Probe("bare carriage return", get(b"X-A: 1\rX-B: 2\r\n" + HOST), 400),
    Probe("null byte in a value", get(b"X-A: 1\x002\r\n" + HOST), 400),
    Probe("folded header", get(b"X-A: 1\r\n 2\r\n" + HOST), 400),
    Probe("folded first header", b"GET /probe HTTP/1.1\r\n X-A: 1\r\n" + HOST + b"\r\n", 400),
    Probe("header without a name", get(b": 1\r\n" + HOST), 400),
    Probe("header without a colon", get(b"X-A\r\n" + HOST), 400),
    Probe("underscore in a name", get(b"X_API_Key: a\r\n" + HOST), 400),
    Probe("underscored length", post(b"Content_Length: 5\r\n", b"abcde"), 400),
    Probe("high byte in a name", get(b"X-\xc3\x84: 1\r\n" + HOST), 400),
    Probe("two authorizations", get(HOST + b"Authorization: Bearer a\r\nAuthorization: Bearer b\r\n"), 400),
    Probe("same api key twice", get(HOST + b"X-API-Key: a\r\nX-API-Key: a\r\n"), 400),
    # Framing
    Probe("length and chunked", post(b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", b"0\r\n\r\n"), 400),
    Probe("chunked and length", post(b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", b"0\r\n\r\n"), 400),
    Probe("two lengths", post(b"Content-Length: 3\r\nContent-Length: 5\r\n", b"abcde"), 400),
    Probe("same length twice", post(b"Content-Length: 3\r\nContent-Length: 3\r\n", b"abc"), 400),
    Probe("list of lengths", post(b"Content-Length: 3, 3\r\n", b"abc"), 400),
    Probe("signed length", post(b"Content-Length: +3\r\n", b"abc"), 400),
    Probe("negative length", post(b"Content-Length: -1\r\n", b"abc"), 400),
    Probe("empty length", post(b"Content-Length:\r\n", b"abc"), 400),
    Probe("hexadecimal length", post(b"Content-Length: 0x3\r\n", b"abc"), 400),
    Probe("length beyond 64 bits", post(b"Content-Length: 99999999999999999999\r\n", b"abc"), 400),
    Probe("unknown transfer coding", post(b"Transfer-Encoding: xchunked\r\n", b"0\r\n\r\n"), 400),
    Probe("two transfer codings", post(b"Transfer-Encoding: gzip, chunked\r\n", b"0\r\n\r\n"), 400),
    Probe("chunked twice", post(b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", b"0\r\n\r\n"), 400),
    Probe("vertical tab before chunked", post(b"Transfer-Encoding: \x0bchunked\r\n", b"0\r\n\r\n"), 400),
    Probe("identity transfer coding", post(b"Transfer-Encoding: identity\r\n", b"abc"), 400),
    Probe(
        "chunked in http 1.0", b"POST /probe HTTP/1.0\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400
    ),
    Probe(
        "upgrade with a chunked body",
        post(b"Connection: Upgrade\r\nUpgrade: h2c\r\nTransfer-Encoding: chunked\r\n", b"0\r\n\r\n"),
        400,
    ),
    Probe("get with a body", get(HOST + b"Content-Length: 1\r\n") + b"a", 400),
    Probe("get with a chunked body", get(HOST + b"Transfer-Encoding: chunked\r\n") + b"0\r\n\r\n", 400),
    Probe("chunk size with a sign", chunked(b"+1\r\na\r\n0\r\n\r\n"), 400),
    Probe("chunk size with a prefix", chunked(b"0x1\r\na\r\n0\r\n\r\n"), 400),
    Probe("chunk size with a space", chunked(b"1 \r\na\r\n0\r\n\r\n"), 400),
    Probe("chunk size beyond 64 bits", chunked(b"fffffffffffffffff\r\na\r\n0\r\n\r\n"), 400),
    Probe("chunks with bare line feeds", chunked(b"1\na\n0\n\n"), 400),
    Probe("line feed in a chunk extension", chunked(b"1;a\nb\r\na\r\n0\r\n\r\n"), 400),
    Probe("chunk longer than its size", chunked(b"1\r\naX\r\n0\r\n\r\n"), 400),
    # Size and coding
    Probe("long target", get(target=b"/" + b"a" * 8192), 414),
    Probe("many headers", get(HOST + b"X-A: 1\r\n" * 100), 431),
    Probe("long header", get(HOST + b"X-A: " + b"a" * 32768 + b"\r\n"), 431),
    Probe("large body by length", post(b"Content-Length: 1048577\r\n"), 413),
    Probe("gzip", post(b"Content-Encoding: gzip\r\nContent-Length: 3\r\n", b"abc"), 415),
    Probe("unknown expectation", post(b"Expect: the unexpected\r\nContent-Length: 3\r\n", b"abc"), 417),
]


def _pieces(probe: Probe, *, split: bool) -> list[bytes]:
    data, last = probe.data, b""
    if not probe.served:
        data += SMUGGLED
    elif probe.last:  # comes with the end of the probe: the server hangs up right after its answer
        last = data[-1:] + SMUGGLED
        data = data[:-1]
    step = (1 if len(data) < 1000 else 500) if split else len(data)
    return [data[at : at + step] for at in range(0, len(data), step)] + ([last] if last else [])


@pytest.mark.promise("P-34")
@pytest.mark.parametrize("probe", PROBES, ids=lambda probe: probe.name)
@pytest.mark.parametrize("split", [False, True], ids=["in one piece", "byte by byte"])
async def test_probe(probe: Probe, *, split: bool) -> None:
    app = RecordingApp()
    pieces = _pieces(probe, split=split)

    async with running_server(app, limits=LIMITS) as server, raw_client(server.port) as client:
        await client.send(*pieces)
        if probe.served and not probe.last:
            await client.send(AFTER)
        reply = await client.read()

    assert reply.closed
    assert "/smuggled" not in app.paths
    if not probe.served:
        assert reply.statuses == [probe.status]
        assert [seen for seen in app.seen if seen.whole] == []
        return
    assert reply.statuses == ([200] if probe.last else [200, 200])
    assert app.paths == (["/probe"] if probe.last else ["/probe", "/after"])
    assert app.seen[0].body == probe.body
    assert b"x-api-key" not in dict(app.seen[0].headers) or b"X-API-Key" in probe.data.split(b"\r\n\r\n")[0]


def test_there_are_at_least_sixty_probes() -> None:
    assert len(PROBES) >= 60
    assert len({probe.name for probe in PROBES}) == len(PROBES)
