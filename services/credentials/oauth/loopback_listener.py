"""
The listener that a browser comes back to (RFC 8252 section 7.3), for one login.

Bound to the literal 127.0.0.1 and to nothing else. It answers one path of one host, says so little that there is
nothing to learn from it, and is gone as soon as the right callback came. What counts as right is `callback.judge`'s.
"""

import asyncio
from http import HTTPStatus
from types import TracebackType
from typing import Final, Self

import httptools

from services.chassis.listening import bind_tcp
from services.credentials.oauth.callback import Accepted, CallbackRequest, Rejected, judge
from services.credentials.oauth.steps import Expected

HOST: Final = "127.0.0.1"
_HEAD: Final = 16 * 1024  # bytes
_SECONDS: Final = 5.0  # for a request to arrive
_CONNECTIONS: Final = 32
_DONE: Final = "The login has arrived. You can close this page and go back to the terminal.\n"
_BUSY: Final = Rejected(429, "too many connections")
_TAKEN: Final = Rejected(410, "the login has arrived already")
_UNREADABLE: Final = Rejected(400, "this is not a request")


class LoopbackListener:
    """
    Waits for the callback of one login. Use it as a context: it listens from its beginning to its end.

    Raises CannotListen on entering when the port is taken.
    """

    def __init__(self, path: str, port: int = 0) -> None:
        self._path = path
        self._port = port
        self._expected: Expected | None = None
        self._connections: set[asyncio.StreamWriter] = set()

    async def __aenter__(self) -> Self:
        self._code: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        bound = bind_tcp(HOST, self._port)
        self._port = bound.getsockname()[1]
        self._server = await asyncio.start_server(self._serve, sock=bound, limit=_HEAD)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()
        self._code.cancel()

    @property
    def address(self) -> str:
        """The redirect address."""
        return f"http://{HOST}:{self._port}{self._path}"

    def expect(self, expected: Expected) -> None:
        """Say what the right callback looks like; until then everything is refused."""
        self._expected = expected

    async def code(self) -> str:
        """Wait for the right callback and return its code; the listener is gone then."""
        return await self._code

    def _close(self) -> None:
        self._server.close()
        for connection in tuple(self._connections):
            connection.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections.add(writer)
        try:
            crowded = len(self._connections) > _CONNECTIONS
            verdict = _BUSY if crowded else await self._verdict(reader)
            writer.write(_answer(verdict))
            if isinstance(verdict, Accepted):
                self._server.close()  # before anything is awaited: nobody connects after this
                self._code.set_result(verdict.code.reveal())
            async with asyncio.timeout(1):
                await writer.drain()
        except (OSError, TimeoutError):
            pass
        finally:
            self._connections.discard(writer)
            writer.close()

    async def _verdict(self, reader: asyncio.StreamReader) -> Accepted | Rejected:
        try:
            async with asyncio.timeout(_SECONDS):
                request = _parse(await reader.readuntil(b"\r\n\r\n"))
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, TimeoutError, ValueError):
            return _UNREADABLE
        if self._code.done():
            return _TAKEN
        return Rejected(404, "nothing is here") if self._expected is None else judge(request, self._expected)


class _Reading:
    """httptools' callbacks."""

    def __init__(self) -> None:
        self.target = b""
        self.headers: list[tuple[str, str]] = []

    def on_url(self, url: bytes) -> None:
        self.target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name.decode("latin-1").lower(), value.decode("latin-1")))


def _parse(head: bytes) -> CallbackRequest:
    """Read a request's head. Raises ValueError."""
    reading = _Reading()
    parser = httptools.HttpRequestParser(reading)
    try:
        parser.feed_data(head)
    except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
        raise ValueError("not an HTTP request") from error
    return CallbackRequest(parser.get_method().decode("latin-1"), reading.target.decode("latin-1"), reading.headers)


def _answer(verdict: Accepted | Rejected) -> bytes:
    status, words = (200, _DONE) if isinstance(verdict, Accepted) else (verdict.status, f"{verdict.why}\n")
    body = words.encode()
    lines = (
        f"HTTP/1.1 {status} {HTTPStatus(status).phrase}",
        "content-type: text/plain; charset=utf-8",
        f"content-length: {len(body)}",
        "connection: close",
        "cache-control: no-store",
        "content-security-policy: default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
        "cross-origin-opener-policy: same-origin",
        "cross-origin-resource-policy: same-origin",
        "referrer-policy: no-referrer",
        "x-content-type-options: nosniff",
        "x-frame-options: DENY",
        "",
        "",
    )
    return "\r\n".join(lines).encode() + body
