"""
Requests that are answered without ASGI: the data path of a listener, behind the same guard as everything else.

Theory of operation: a listener may name routes that are served directly. The guard asks such a route whether it admits
the head of a request; only then is the request's body kept here instead of going through ASGI messages, and once it is
whole the route's coroutine is started. What the route does not admit (no key, another method) goes to the application,
which says why. The answer is written to the socket in as few pieces as there are: a head waits for the first body.

    state      entered by                  left by
    arriving   the head is admitted        body complete, or the client lost: serving
    serving    `begin`                     `finish`, `abort`, the client lost
    over       the last byte is written    -

The protocol treats a `DirectCycle` as one of uvicorn's cycles, so it has the fields and the `message_event` of one.
"""

import asyncio
import contextvars
import logging
from collections.abc import Callable, Coroutine, Iterable
from operator import itemgetter
from typing import Any, Final, Protocol

from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from services.chassis.header_lines import header_lines

_log = logging.getLogger(__name__)

_LENGTH: Final = b"content-length"
_NAME_OF: Final = itemgetter(0)
_NAME: Final = "request"  # of every task: a name for each would be written down and never read

Headers = dict[bytes, bytes]  # by name in lower case; of repeated ones the last
Serve = Callable[["DirectCycle"], Coroutine[Any, Any, None]]


class ClientGone(Exception):
    """The client left before its request was complete."""


class RequestHead:
    """
    What a request begins with; a client that says the same head again is given the same object.

    `headers` lack the body's length, which is the guard's own business and the one thing that differs. `memo` is the
    route's: what it has found out about this head, None at first.
    """

    __slots__ = ("headers", "memo", "method", "path")

    def __init__(self, method: bytes, path: bytes, headers: Headers) -> None:
        self.method = method
        self.path = path
        self.headers = headers
        self.memo: Any = None


class DirectRoute(Protocol):
    """What a listener names for a path."""

    def admit(self, head: RequestHead, peer: str | None) -> Serve | None:
        """Return what serves this request; None sends it to the application. Must not raise."""


def _nothing() -> None:
    """Nobody wants to know."""


class DirectCycle:
    """One request and its answer. `gone` is true once nobody listens any more."""

    __slots__ = (
        "_chunked",
        "_head",
        "_loop",
        "_on_drained",
        "_on_gone",
        "_on_response",
        "_parts",
        "_serve",
        "_tasks",
        "_transport",
        "disconnected",
        "finished",
        "flow",
        "keep_alive",
        "more_body",
        "response_complete",
        "started",
        "task",
    )

    def __init__(
        self,
        serve: Serve,
        transport: asyncio.Transport,
        flow: FlowControl,
        tasks: set[asyncio.Task[None]],
        loop: asyncio.AbstractEventLoop,
        on_response: Callable[[], None],
        *,
        keep_alive: bool,
    ) -> None:
        self._serve: Serve | None = serve  # until it has begun
        self._transport = transport
        self._tasks = tasks
        self._loop = loop
        self._on_response = on_response
        self._parts: list[bytes] = []
        self._head = b""
        self._chunked = False
        self._on_drained: Callable[[], None] | None = None
        self._on_gone: Callable[[], None] = _nothing
        self.flow = flow
        self.keep_alive = keep_alive
        self.more_body = True
        self.disconnected = False
        self.response_complete = False
        self.started = False
        self.finished = False
        self.task: asyncio.Task[None] | None = None

    # The protocol's side.

    @property
    def message_event(self) -> "DirectCycle":
        """What the protocol sets when something changed: this."""
        return self

    @property
    def response_started(self) -> bool:
        return self.started

    def set(self) -> None:
        """Hear that the client is lost, if it is."""
        if not self.disconnected or self.finished:
            return
        if self._serve is not None:
            self.begin()  # to be told of it by `read_body`
        else:
            self._on_gone()

    def take(self, part: bytes) -> None:
        """Keep a part of the body; the guard has counted it."""
        self._parts.append(part)

    def drop_body(self) -> None:
        """Forget the body of a request that is refused."""
        self._parts.clear()

    def begin(self) -> None:
        """Serve the request: its body is complete, or never will be."""
        serve, self._serve = self._serve, None
        if serve is None:
            return
        # A context of its own, because asyncio may leak one request's into the next (promises.md D10).
        self.task = task = asyncio.Task(serve(self), loop=self._loop, name=_NAME, context=contextvars.Context())
        self._tasks.add(task)
        task.add_done_callback(self._served)

    def _served(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self.task = None
        self._on_gone = self._on_response = _nothing
        self._on_drained = None
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("a route failed: %s", type(error).__name__, exc_info=error)
        if not self.response_complete and not self.disconnected:
            self._transport.close()  # so that the client sees that the answer is not whole

    def drained(self) -> None:
        """Hear that the client has caught up."""
        if self._on_drained is not None and not self.finished:
            self._on_drained()

    # The route's side.

    @property
    def gone(self) -> bool:
        return self.disconnected

    async def read_body(self, limit: int) -> bytes:
        """Return the request's body, which the guard holds to `limit`; raises ClientGone if it never completed."""
        del limit
        if self.disconnected:
            raise ClientGone
        parts = self._parts
        body = parts[0] if len(parts) == 1 else b"".join(parts)
        parts.clear()
        return body

    def watch(self, on_gone: Callable[[], None]) -> None:
        """Call `on_gone` once when the client leaves before the answer is complete."""
        self._on_gone = on_gone

    def stop_watching(self) -> None:
        """Let go of who watches."""
        self._on_gone = _nothing

    def start(self, status: int, headers: Iterable[tuple[bytes, bytes]]) -> None:
        """Make the head of the answer; it goes out with what is written first. Raises ValueError on a bad header."""
        self.started = True
        pairs = tuple(headers)
        self._chunked = _LENGTH not in map(_NAME_OF, pairs)
        head = STATUS_LINE[status] + header_lines(pairs)
        end = b"transfer-encoding: chunked\r\n\r\n" if self._chunked else b"\r\n"
        self._head = head + end if self.keep_alive else head + b"connection: close\r\n" + end

    def write(self, data: bytes) -> bool:
        """Send a part of the body, or only the head; False asks the caller to hold back until `on_drained`."""
        if self.disconnected or self.finished:
            return True
        head, self._head = self._head, b""
        if data and self._chunked:
            self._transport.write(b"%b%x\r\n%b\r\n" % (head, len(data), data))
        elif head or data:
            self._transport.write(head + data)
        return not self.flow.write_paused

    def finish(self, data: bytes = b"") -> None:
        """Send the last part of the body and end the answer."""
        if self.finished or self.disconnected:
            return
        self.finished = self.response_complete = True
        head, self._head = self._head, b""
        if not self._chunked:
            self._transport.write(head + data)
        elif data:
            self._transport.write(b"%b%x\r\n%b\r\n0\r\n\r\n" % (head, len(data), data))
        else:
            self._transport.write(head + b"0\r\n\r\n")
        if not self.keep_alive:
            self._transport.close()
        self._on_response()

    def on_drained(self, callback: Callable[[], None] | None) -> None:
        """Set what is called whenever a client that was slow has caught up; None: nobody waits for that any more."""
        self._on_drained = callback

    async def flushed(self) -> None:
        """Return at once: what was written is the transport's."""

    def abort(self) -> None:
        """Break an answer off without its end; the connection ends with the request's task."""
        self.finished = True
