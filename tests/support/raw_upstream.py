"""A raw socket server on loopback whose every byte and silence a test decides; no HTTP library in it."""

import asyncio
import contextlib
import socket
import ssl
import struct
import time
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Self

from services.gateway.upstream.transport import Origin

Script = Callable[["Peer"], Awaitable[None]]


class Peer:
    """One accepted connection, seen from the upstream's side."""

    def __init__(self, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.number = number  # of the connection, from 0
        self.heads: list[bytes] = []
        self.bodies: list[bytes] = []
        self.sent = 0
        self.gone_at = 0.0  # time.monotonic() when the client's close was seen
        self._gone = asyncio.Event()
        self._watched = False
        self.reader = reader
        self.writer = writer

    async def request(self, *, pause: float = 0.0) -> bytes:
        """
        Read one request and return its body; raise `IncompleteReadError` if the client hangs up.

        With `pause` the body is taken 128 KiB at a time, with so many seconds in between.
        """
        self._watched = True
        head = await self.head()
        length = 0
        for line in head.split(b"\r\n"):
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
        body = bytearray()
        while len(body) < length:
            body += await self.reader.readexactly(min(length - len(body), 128 * 1024 if pause else length))
            await asyncio.sleep(pause)
        self.heads.append(head)
        self._watched = False
        self.bodies.append(bytes(body))
        return self.bodies[-1]

    @property
    def protocol(self) -> str | None:
        """What ALPN agreed on; None without TLS."""
        tls = self.writer.get_extra_info("ssl_object")
        return None if tls is None else str(tls.selected_alpn_protocol())

    async def head(self) -> bytes:
        """Read the head of a request and leave its body where it is."""
        return await self.reader.readuntil(b"\r\n\r\n")

    async def send(self, data: bytes) -> None:
        """Write and wait until the network has taken nearly all of it."""
        self.writer.write(data)
        await self.writer.drain()
        self.sent += len(data)

    async def trickle(self, data: bytes, *, step: int = 1, pause: float = 0.0) -> None:
        """Write `step` bytes at a time, each with its own turn of the event loop."""
        for start in range(0, len(data), step):
            await self.send(data[start : start + step])
            await asyncio.sleep(pause)

    def close(self) -> None:
        """Hang up in order."""
        self.writer.close()

    def reset(self) -> None:
        """Hang up with a RST."""
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()

    def abandon(self) -> None:
        """Drop the socket whatever its state."""
        with contextlib.suppress(AttributeError):  # asyncio's transports do not take an abort after their end
            self.writer.transport.abort()

    async def gone(self, seconds: float = 5.0) -> float:
        """Wait for the client to hang up, reading whatever it sends; return the time.monotonic() of it."""
        async with asyncio.timeout(seconds):
            if self._watched:  # by the script
                await self._gone.wait()
            else:
                self._watched = True
                await self._read_on()
        return self.gone_at

    async def _read_on(self) -> None:
        try:
            while await self.reader.read(65536):
                pass
        except ConnectionError:
            pass
        self.hung_up()

    def hung_up(self) -> None:
        """Take note that the client hung up."""
        self.gone_at = time.monotonic()
        self._gone.set()


class RawUpstream:
    """
    Runs `script` for every connection. Use as `async with RawUpstream(script) as upstream`.

    A script that is cut by the client's hang-up ends quietly; any other failure of a script fails the test at exit.
    """

    def __init__(self, script: Script, *, host: str = "127.0.0.1", tls: ssl.SSLContext | None = None) -> None:
        self.peers: list[Peer] = []
        self.origin = Origin("https" if tls else "http", host, 0)
        self._script = script
        self._tls = tls
        self._scripts: set[asyncio.Task[None]] = set()
        self._failures: list[BaseException] = []
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        origin = self.origin
        self._server = await asyncio.start_server(self._serve, origin.host, 0, ssl=self._tls)
        self.origin = Origin(origin.scheme, origin.host, self._server.sockets[0].getsockname()[1])
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        for task in tuple(self._scripts):
            task.cancel()
        await asyncio.gather(*self._scripts, return_exceptions=True)
        for peer in self.peers:
            peer.abandon()
        await asyncio.sleep(0.01)
        if self._failures and error is None:
            raise self._failures[0]

    @property
    def requests(self) -> int:
        """How many requests arrived completely, on all connections."""
        return sum(len(peer.heads) for peer in self.peers)

    async def connected(self, count: int = 1) -> Peer:
        """Wait for the `count`th connection."""
        await eventually(lambda: len(self.peers) >= count)
        return self.peers[count - 1]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._scripts.add(task)
        peer = Peer(len(self.peers), reader, writer)
        self.peers.append(peer)
        try:
            await self._script(peer)
        except (asyncio.IncompleteReadError, ConnectionError):
            peer.hung_up()
        except asyncio.CancelledError:
            pass
        except BaseException as failure:  # noqa: BLE001 -- reported when the server is left
            self._failures.append(failure)
        finally:
            self._scripts.discard(task)


async def eventually(condition: Callable[[], bool], *, seconds: float = 5.0) -> None:
    """Wait until `condition` holds; fail with TimeoutError if that does not come."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.001)


def answer(body: bytes = b"ok", *headers: bytes, status: bytes = b"200 OK") -> bytes:
    """Return an answer with a content-length."""
    lines = [b"HTTP/1.1 " + status, b"content-length: %d" % len(body), *headers]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def chunked(*chunks: bytes) -> bytes:
    """Return an answer in chunks."""
    coded = b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks)
    return b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n" + coded + b"0\r\n\r\n"


def replies(*answers: bytes) -> Script:
    """Return a script that answers request after request, the last answer for ever."""

    async def script(peer: Peer) -> None:
        served = 0
        while True:
            await peer.request()
            await peer.send(answers[min(served, len(answers) - 1)])
            served += 1

    return script


async def silent(peer: Peer) -> None:
    """Take requests and say nothing."""
    await peer.gone(60)
