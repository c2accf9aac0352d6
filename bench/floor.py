"""
The least that a relay in Python can do: `python -m bench.floor PORT UPSTREAM_PORT CLIENT_KEY UPSTREAM_KEY`.

Not a gateway. It checks and replaces the key, looks into the body for the model, leaves hop-by-hop headers out, keeps
connections, and passes on what it reads; it has no limits, deadlines, retries, repairs, metering, log or errors, and
trusts both sides. It shows where the interpreter, the event loop and the parser end, so that a ratio to a proxy
written in C can be read: what the gateway costs above this is ours, what this costs is Python's (performance.md 3,
`proto`).
"""

import asyncio
import hmac
import sys
from typing import Any, Final

import httptools
import msgspec
import uvloop

_DROPPED: Final = frozenset({b"connection", b"host", b"x-api-key", b"transfer-encoding", b"keep-alive"})
_VENDORS: Final = frozenset({b"server", b"date", b"connection", b"transfer-encoding", b"keep-alive"})


class _Peek(msgspec.Struct):
    model: str
    stream: bool = False


_decode: Final = msgspec.json.Decoder(_Peek).decode


class _Side(asyncio.Protocol):
    """What a connection to either side shares."""

    def __init__(self, relay: "Relay") -> None:
        self.relay = relay
        self.headers: list[tuple[bytes, bytes]] = []
        self.parts: list[bytes] = []
        self.on_body = self.parts.append
        self.lost = False

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self.lost = True

    def on_message_begin(self) -> None:
        self.headers = []

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name.lower(), value))

    def taken(self) -> bytes:
        """Return what has come of the body, and forget it."""
        body = b"".join(self.parts)
        self.parts.clear()
        return body


class Upstream(_Side):
    """A connection to the upstream."""

    def __init__(self, relay: "Relay") -> None:
        super().__init__(relay)
        self.parser = httptools.HttpResponseParser(self)
        self.client: Client | None = None
        self.head = b""
        self.chunked = self.complete = False

    def ask(self, client: "Client", request: bytes) -> None:
        """Send a request on behalf of a client."""
        self.client = client
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        self.complete = False
        self.parser.feed_data(data)
        body, head, client = self.taken(), self.head, self.client
        self.head = b""
        if client is None or client.lost:
            self.transport.close()
            return
        if self.chunked:
            body = b"%x\r\n%b\r\n" % (len(body), body) if body else b""
            if self.complete:
                body += b"0\r\n\r\n"
        if self.complete:
            self.client = None
            self.relay.idle.append(self)
        client.transport.write(head + body)

    def on_headers_complete(self) -> None:
        self.chunked = (b"transfer-encoding", b"chunked") in self.headers
        lines = [b"%b: %b\r\n" % pair for pair in self.headers if pair[0] not in _VENDORS]
        if self.chunked:
            lines.append(b"transfer-encoding: chunked\r\n")
        self.head = b"HTTP/1.1 %d OK\r\n%b\r\n" % (self.parser.get_status_code(), b"".join(lines))

    def on_message_complete(self) -> None:
        self.complete = True


class Client(_Side):
    """A client's connection."""

    def __init__(self, relay: "Relay") -> None:
        super().__init__(relay)
        self.parser = httptools.HttpRequestParser(self)
        self.url = b""

    def data_received(self, data: bytes) -> None:
        self.parser.feed_data(data)

    def on_url(self, url: bytes) -> None:
        self.url = url

    def on_message_complete(self) -> None:
        relay, body = self.relay, self.taken()
        presented = next((value for name, value in self.headers if name == b"x-api-key"), b"")
        if not hmac.compare_digest(presented, relay.client_key) or not _decode(body).model:
            self.transport.close()
            return
        lines = [b"%b: %b\r\n" % pair for pair in self.headers if pair[0] not in _DROPPED]
        request = b"POST %b HTTP/1.1\r\n%b%b\r\n%b" % (self.url, relay.own_lines, b"".join(lines), body)
        while relay.idle:
            upstream = relay.idle.pop()
            if not upstream.lost:
                upstream.ask(self, request)
                return
        relay.tasks.add(asyncio.ensure_future(relay.dial(self, request)))


class Relay:
    """What all connections share."""

    def __init__(self, upstream: int, client_key: str, upstream_key: str) -> None:
        self.upstream = upstream
        self.client_key = client_key.encode()
        self.own_lines = b"host: 127.0.0.1:%d\r\nx-api-key: %b\r\n" % (upstream, upstream_key.encode())
        self.idle: list[Upstream] = []
        self.tasks: set[asyncio.Future[None]] = set()

    async def dial(self, client: Client, request: bytes) -> None:
        """Open a connection to the upstream and ask over it."""
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(lambda: Upstream(self), "127.0.0.1", self.upstream)
        connection.ask(client, request)


async def _serve(port: int, relay: Relay) -> None:
    server = await asyncio.get_running_loop().create_server(lambda: Client(relay), "127.0.0.1", port, backlog=4096)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(_serve(int(sys.argv[1]), Relay(int(sys.argv[2]), sys.argv[3], sys.argv[4])))
