"""
One client connection: parses requests, hands them over one at a time, and notices at once when the client goes.

Written on `asyncio.Protocol` rather than on a web server because every byte of an answer, its framing and its end are
the script's to choose, wrong ones included.
"""

import asyncio
import logging
import socket
import struct
import time
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final, cast

import httptools

from services.simulator.records import Records, Request

_log = logging.getLogger(__name__)

# Linger for 0 seconds: closing sends a reset.
_LINGER_RESET: Final = struct.pack("ii", 1, 0)
_BODY_LIMIT: Final = 64 * 1024 * 1024
_PIPELINE: Final = 64
_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
_BAD_REQUEST: Final = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"

# Answers a request on a connection; returns whether another may follow.
Handler = Callable[[Request, "Connection"], Awaitable[bool]]


class Connection(asyncio.Protocol):
    """A connection; implements `delivery.Link` for the request in progress."""

    def __init__(self, records: Records, handler: Handler, connections: set["Connection"]) -> None:
        self._records = records
        self._handler = handler
        self._connections = connections
        self._parser = httptools.HttpRequestParser(self)
        self._waiting: deque[Request] = deque()
        # The connection owns the task of its request: it cancels it when the client goes.
        self._task: asyncio.Task[None] | None = None
        self._request: Request | None = None
        self._writable: asyncio.Future[None] | None = None
        self._closed = False
        self.sent = 0

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # A cast, because uvloop's transports are no subclass of asyncio's.
        self._stream = cast("asyncio.Transport", transport)
        self._connections.add(self)
        self._records.open_connections += 1
        self._records.connections += 1

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self.write(_BAD_REQUEST)
            self.finish()

    def eof_received(self) -> None:
        # A client that has gone, and one that only closed its direction, are the same to a chat API.
        self._gone()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 (asyncio's signature)
        self._gone()
        self._connections.discard(self)
        self._records.open_connections -= 1

    def pause_writing(self) -> None:
        self._writable = asyncio.get_running_loop().create_future()

    def resume_writing(self) -> None:
        waiter, self._writable = self._writable, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    # httptools callbacks

    def on_message_begin(self) -> None:
        self._target = b""
        self._headers: list[tuple[bytes, bytes]] = []
        self._body: list[bytes] = []
        self._body_size = 0

    def on_url(self, url: bytes) -> None:
        self._target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers.append((name, value))

    def on_headers_complete(self) -> None:
        if any(name.lower() == b"expect" for name, _ in self._headers) and self._task is None:
            self.write(_CONTINUE)

    def on_body(self, body: bytes) -> None:
        self._body_size += len(body)
        if self._body_size <= _BODY_LIMIT:
            self._body.append(body)
        else:
            self.reset()

    def on_message_complete(self) -> None:
        request = Request(
            number=self._records.next_number(),
            at=time.time(),
            method=self._parser.get_method().decode("latin-1"),
            target=self._target,
            headers=tuple(self._headers),
            body=b"".join(self._body),
            keep_alive=self._parser.should_keep_alive(),
        )
        if self._task is None:
            self._begin(request)
        elif len(self._waiting) < _PIPELINE:
            self._waiting.append(request)
        else:
            self.reset()

    # delivery.Link

    def write(self, data: bytes) -> None:
        if not self._closed and data:
            self.sent += len(data)
            self._stream.write(data)

    async def drain(self) -> None:
        if self._writable is not None:
            await self._writable

    def finish(self) -> None:
        self._closed = True
        self._stream.close()

    def finish_writing(self) -> None:
        self._closed = True
        self._stream.write_eof()

    def reset(self) -> None:
        self._closed = True
        raw: socket.socket = self._stream.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_RESET)
        self._stream.abort()

    # the request in progress

    def _begin(self, request: Request) -> None:
        self._request = request
        self.sent = 0
        self._task = asyncio.get_running_loop().create_task(self._serve(request))

    async def _serve(self, request: Request) -> None:
        try:
            reusable = await self._handler(request, self)
        except asyncio.CancelledError:
            return
        except Exception:  # noqa: BLE001 (a fault of the simulator must not look like one of the gateway)
            _log.exception("the simulator failed to answer %s", request.path)
            reusable = False
        self._request = None
        self._task = None
        if not reusable:
            self.finish()
        elif self._waiting and not self._closed:
            self._begin(self._waiting.popleft())

    def _gone(self) -> None:
        """The client has gone: note it where an answer was in progress, and stop that answer."""
        self._closed = True
        request, self._request = self._request, None
        if self._task is not None and request is not None:
            self._records.cancel(request, self.sent)
            self._task.cancel()
        self._waiting.clear()

    def abort(self) -> None:
        """Drop the connection because the server stops; no cancellation is noted."""
        self._request = None
        if self._task is not None:
            self._task.cancel()
        self._stream.abort()
