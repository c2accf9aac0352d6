"""
The client's side of an exchange: reading its request, writing the answer, noticing that it left.

`Downstream` is the port; `chassis.direct.DirectCycle` is the fast way to be one, `AsgiDownstream` the general one.
Writes are synchronous pushes. A client that does not keep up makes `write` return False and later calls
`on_drained`; what comes meanwhile is kept, and its size is bounded because the relay pauses the upstream.
Knows nothing of dialects.
"""

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, Protocol

from services.chassis.direct import ClientGone
from services.chassis.process import Tasks
from services.gateway.stepping import Suspended, Watch, step

Scope = dict[str, Any]
Message = dict[str, Any]
Receive = Callable[[], Coroutine[Any, Any, Message]]
Send = Callable[[Message], Coroutine[Any, Any, None]]
RawHeaders = Iterable[tuple[bytes, bytes]]


class BodyTooLarge(Exception):
    """The client sent more than the route takes: `limit` bytes."""

    def __init__(self, limit: int) -> None:
        super().__init__(limit)
        self.limit = limit


def _nothing() -> None:
    """Nobody wants to know."""


class Downstream(Protocol):
    """One client request and its answer. `gone` is true once nobody listens any more."""

    @property
    def started(self) -> bool:
        """Whether the head of the answer was given."""

    @property
    def finished(self) -> bool:
        """Whether the answer was ended or broken off."""

    @property
    def gone(self) -> bool:
        """Whether the client has left."""

    @property
    def task(self) -> asyncio.Task[Any] | None:
        """The task that serves the request."""

    async def read_body(self, limit: int) -> bytes:
        """Return the whole request body; raises BodyTooLarge as soon as it is, ClientGone when it never completes."""

    def watch(self, on_gone: Callable[[], None]) -> None:
        """Call `on_gone` once when the client leaves before the answer is complete."""

    def stop_watching(self) -> None:
        """Release the watch on the client; the answer is complete or given up."""

    def start(self, status: int, headers: RawHeaders) -> None:
        """Give the head of the answer; a server may keep it for the first `write` or `finish`."""

    def write(self, data: bytes) -> bool:
        """Send a part of the body; False asks the caller to hold back until `on_drained`."""

    def finish(self, data: bytes = b"") -> None:
        """Send the last part of the body and end the answer."""

    def on_drained(self, callback: Callable[[], None] | None) -> None:
        """Set what is called whenever a client that was slow has caught up; None: nobody waits for that any more."""

    async def flushed(self) -> None:
        """Wait until what was written cannot be lost by the end of the request's task."""

    def abort(self) -> None:
        """Break an answer off without its end, so that the client sees that it is not whole."""


class AsgiDownstream:
    """A Downstream over ASGI's `receive` and `send`."""

    __slots__ = (
        "_blocked",
        "_catching_up",
        "_ending",
        "_on_drained",
        "_on_gone",
        "_pending",
        "_receive",
        "_send",
        "_tasks",
        "_watch",
        "finished",
        "gone",
        "started",
    )

    def __init__(self, receive: Receive, send: Send, tasks: Tasks) -> None:
        self._receive = receive
        self._send = send
        self._tasks = tasks
        self._watch: Watch[Message] | None = None
        self._pending: list[bytes] = []
        self._blocked = False
        self._ending = False
        self._catching_up: asyncio.Task[None] | None = None
        self._on_drained: Callable[[], None] | None = None
        self._on_gone: Callable[[], None] = _nothing
        self.started = False
        self.finished = False
        self.gone = False

    @property
    def task(self) -> asyncio.Task[Any] | None:
        """The task that serves the request: whichever asks."""
        return asyncio.current_task()

    async def read_body(self, limit: int) -> bytes:
        """Return the whole request body; raises BodyTooLarge as soon as it is, ClientGone when it never completes."""
        message = await self._receive()
        if message["type"] == "http.disconnect":
            self.gone = True
            raise ClientGone
        body: bytes = message.get("body", b"")
        if not message.get("more_body", False):
            if len(body) > limit:
                raise BodyTooLarge(limit)
            return body
        return await self._read_rest(body, limit)

    async def _read_rest(self, first: bytes, limit: int) -> bytes:
        parts, size, more = [first], len(first), True
        while more:
            if size > limit:
                raise BodyTooLarge(limit)
            message = await self._receive()
            if message["type"] == "http.disconnect":
                self.gone = True
                raise ClientGone
            part = message.get("body", b"")
            parts.append(part)
            size += len(part)
            more = message.get("more_body", False)
        if size > limit:
            raise BodyTooLarge(limit)
        return b"".join(parts)

    def watch(self, on_gone: Callable[[], None]) -> None:
        """Call `on_gone` once when the client leaves before the answer is complete."""
        self._on_gone = on_gone
        self._listen()

    def _listen(self) -> None:
        watch = Watch(self._receive(), self._heard)
        if watch.waiting:  # else it has been heard already, and may have been followed by another
            self._watch = watch

    def _heard(self, message: Message) -> None:
        if message["type"] != "http.disconnect":  # surplus data after the body: dropped, and listened on
            self._listen()
        elif not self.finished:
            self.gone = True
            self._on_gone()

    def start(self, status: int, headers: RawHeaders) -> None:
        """Send the head of the answer."""
        self.started = True
        self._push({"type": "http.response.start", "status": status, "headers": headers})

    def write(self, data: bytes) -> bool:
        """Send a part of the body; False asks the caller to hold back until `on_drained`."""
        if self.gone or self.finished:
            return True
        if self._blocked:
            self._pending.append(data)
            return False
        return self._push({"type": "http.response.body", "body": data, "more_body": True})

    def finish(self, data: bytes = b"") -> None:
        """Send the last part of the body and end the answer."""
        if self.finished or self.gone:
            return
        self.finished = True
        if self._blocked:
            self._pending.append(data)
            self._ending = True
        else:
            self._push({"type": "http.response.body", "body": data, "more_body": False})

    def on_drained(self, callback: Callable[[], None] | None) -> None:
        """Set what is called whenever a client that was slow has caught up; None: nobody waits for that any more."""
        self._on_drained = callback

    async def flushed(self) -> None:
        """
        Wait until the server has taken everything that was written; returns at once for a client that keeps up.

        An answer whose task ends before that is cut off by the server, so this comes last.
        """
        if self._catching_up is not None:
            await asyncio.wait((self._catching_up,))

    def abort(self) -> None:
        """
        Break an answer off without its end, so that the client sees that it is not whole.

        The server closes a connection whose answer was begun and never completed when the request's task ends.
        """
        self.finished = True
        self._pending.clear()
        if self._catching_up is not None:
            self._catching_up.cancel()

    def stop_watching(self) -> None:
        """Release the watch on the client; the answer is complete or given up."""
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None
        self._on_gone = _nothing

    def _push(self, message: Message) -> bool:
        suspended = step(self._send(message))
        if suspended is None:
            return True
        self._blocked = True
        self._catching_up = self._tasks.start(self._catch_up(suspended), name="slow-client")
        return False

    async def _catch_up(self, suspended: Suspended[None]) -> None:
        await suspended
        while self._pending and not self.gone:
            data = b"".join(self._pending)
            self._pending.clear()
            await self._send({"type": "http.response.body", "body": data, "more_body": not self._ending})
        self._blocked = False
        if self._on_drained is not None and not self._ending:
            self._on_drained()
