"""
One request's answer over a pooled connection, from the wait for a slot to the last byte of the body.

Theory of operation: an answer object exists from the start of `send`, because it is what owns the slot in the pool.
Whatever happens (cancellation, timeout, reset, `close`), `_let_go` gives slot and connection back exactly once.

    state       entered by              left by
    seeking     send                    start (connection found or dialled) · close
    waiting     start                   begin (head) · fail · stale (a dead reused connection: seeking) · close
    holding     begin                   consume · fail and finish are remembered · close
    flowing     consume                 finish · fail · close
    over        finish, fail, close     (nothing; the receiver is not called again)

A complete answer lets its connection go before the receiver hears of it, so a receiver that at once starts the next
request finds the connection free.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Final, Protocol

from services.gateway.upstream.connection import Connection
from services.gateway.upstream.receiving import reader_failed, told
from services.gateway.upstream.transport import BodyReceiver, ConnectionLost, TransportError, UpstreamRequest

_HOLD: Final = 256 * 1024  # bytes of body kept before `consume`; above it the socket is not read


class StaleConnection(ConnectionLost):
    """A reused connection died before any byte of the answer: the one failure that is retried."""


class Slots(Protocol):
    """Where an answer's slot comes from."""

    def leave(self, answer: "PooledAnswer", connection: Connection | None) -> None:
        """Take the slot back, with a connection that can serve again or without; idempotent."""


class PooledAnswer:
    """Implements `UpstreamAnswer`; the connection calls `begin`, `deliver`, `finish`, `fail`."""

    __slots__ = (
        "_closed",
        "_failure",
        "_full",
        "_held",
        "_held_bytes",
        "_receiver",
        "_slots",
        "all_here",
        "arrival",
        "connection",
        "deadline",
        "fields",
        "headers",
        "paused",
        "request",
        "status",
    )

    def __init__(self, slots: Slots, request: UpstreamRequest, deadline: float) -> None:
        self.request = request
        self.deadline = deadline  # loop time of the total timeout
        self.connection: Connection | None = None
        self.arrival: asyncio.Future[None] | None = None  # resolves with the head
        self.status = 0
        self.headers: Sequence[tuple[bytes, bytes]] = ()
        self.fields: Mapping[bytes, bytes] = {}
        self.paused = False  # the socket is not read, so silence is not the upstream's fault
        self._slots = slots
        self._receiver: BodyReceiver | None = None
        self._held: list[bytes] = []
        self._held_bytes = 0
        self._full = False  # paused by us, because nobody consumes
        self.all_here = False
        self._failure: TransportError | None = None
        self._closed = False

    # The reader's side: UpstreamAnswer.

    def whole(self) -> bytes | None:
        if not self.all_here or self._closed:
            return None
        held = self._held
        body = held[0] if len(held) == 1 else b"".join(held)
        held.clear()
        return body

    def consume(self, receiver: BodyReceiver) -> None:
        self._receiver = receiver
        if self._closed:
            return
        if self._full:
            self._full = False
            self.resume()
        if self._held:
            held, self._held = b"".join(self._held), []
            self.deliver(held)
        if self.all_here:
            self._tell_end()
        elif self._failure is not None:
            self._tell_failure(self._failure)

    def pause(self) -> None:
        if self.connection is not None and not self.paused:
            self.paused = True
            self.connection.pause_reading()

    def resume(self) -> None:
        if self.connection is not None and self.paused:
            self.paused = False
            self.connection.resume_reading()

    def close(self) -> None:
        self._closed = True
        self._receiver = None
        self._let_go(reusable=False)
        if self.arrival is not None and self.arrival.done() and not self.arrival.cancelled():
            self.arrival.exception()  # nobody will: a failure that met a cancellation is not a lost one

    # The transport's side.

    def start(self, connection: Connection, head: bytes, loop: asyncio.AbstractEventLoop) -> asyncio.Future[None]:
        """Send the request over `connection`; the future resolves with the head of the answer."""
        self.connection = connection
        self.arrival = loop.create_future()
        connection.start(self, head)
        return self.arrival

    # The connection's side.

    def begin(self, status: int, headers: list[tuple[bytes, bytes]], fields: dict[bytes, bytes]) -> None:
        """Take the final head."""
        self.status = status
        self.headers = headers
        self.fields = fields
        if self.arrival is not None and not self.arrival.done():
            self.arrival.set_result(None)

    def deliver(self, data: bytes) -> None:
        """Take what one read brought of the body."""
        receiver = self._receiver
        if receiver is None:
            self._hold(data)
            return
        try:
            receiver.on_data(data)
        except Exception as error:  # noqa: BLE001  # as `told` does; written out, because this is called per event
            failure = reader_failed(error)
            if self._receiver is not None:
                self.fail(failure)

    def _hold(self, data: bytes) -> None:
        if self._closed:
            return
        self._held.append(data)
        self._held_bytes += len(data)
        if self._held_bytes > _HOLD and not self.paused:
            self._full = True
            self.pause()

    def complete(self, *, reusable: bool) -> None:
        """Let the connection go, the body being complete; `tell_end` follows once the last bytes are delivered."""
        self.all_here = True
        self._let_go(reusable=reusable)

    def finish(self) -> None:
        """Tell the receiver that the body is complete."""
        if self._receiver is not None:
            self._tell_end()

    def fail(self, error: TransportError) -> None:
        """Drop the connection and tell whoever waits."""
        self._let_go(reusable=False)
        if self.arrival is not None and not self.arrival.done():
            self.arrival.set_exception(error)
            return
        self._failure = error
        if self._receiver is not None:
            self._tell_failure(error)

    def stale(self) -> None:
        """Lose the connection but keep the slot, for the one retry that `send` makes."""
        self.connection = None
        if self.arrival is not None and not self.arrival.done():
            self.arrival.set_exception(StaleConnection("the reused connection was closed by the upstream"))

    def _let_go(self, *, reusable: bool) -> None:
        connection, self.connection = self.connection, None
        if connection is not None and not reusable:
            connection.drop()
        self._slots.leave(self, connection if reusable else None)

    def _tell_end(self) -> None:
        receiver, self._receiver = self._receiver, None
        if receiver is not None:
            told(receiver.on_end)

    def _tell_failure(self, error: TransportError) -> None:
        receiver, self._receiver = self._receiver, None
        if receiver is not None:
            told(receiver.on_failure, error)
