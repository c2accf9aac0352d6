"""
The client's end of a streamed answer: holds the head back until something is known, keeps the connection alive,
and ends either well or with one error event.

States of an EventStream:

    HELD ──open──▶ OPEN ──close──▶ CLOSED
      └───────────────(fault)────────▲      a fault while HELD is an HTTP status, later it is an event
"""

import asyncio
import time
from collections.abc import Callable
from enum import Enum
from typing import Final

from services.gateway.conversion import Conversion
from services.gateway.downstream import Downstream
from services.gateway.translation.fault import Fault

Headers = list[tuple[bytes, bytes]]

COMMENT: Final = b": keep-alive\n\n"

EVENT_STREAM_HEADERS: Final[tuple[tuple[bytes, bytes], ...]] = (
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),
)


class _State(Enum):
    HELD = 1
    OPEN = 2
    CLOSED = 3


_HELD, _OPEN, _CLOSED = _State  # see wire.formats on members of an Enum


class EventStream:
    """The client's end of a streamed answer."""

    def __init__(
        self,
        client: Downstream,
        head: Callable[[], Headers],
        error_event: Callable[[Fault], bytes],
        *,
        now: float,
        hold: float,
        ping: float,
    ) -> None:
        self._client = client
        self._head = head
        self._error_event = error_event
        self._open_at = now + hold
        self._ping = ping
        self._next_ping = now + hold
        self._state = _HELD
        self._conversion: Conversion | None = None
        self._interrupt: Callable[[], None] = _nobody
        self.coded = False  # the body is compressed as the upstream sent it: nothing of ours can be put into it
        self.cut_by: Fault | None = None  # why the process ended it
        self.first_event_at: float | None = None
        self.heard_at: float | None = None  # the upstream was last waited for, until the stream was opened

    @property
    def held(self) -> bool:
        """Whether a failure can still become an HTTP status."""
        return self._state is _HELD

    @property
    def closed(self) -> bool:
        """Whether the client's stream has ended."""
        return self._state is _CLOSED

    def attach(self, conversion: Conversion) -> None:
        """Say which machine's stream this is, for keep-alives in the right place."""
        self._conversion = conversion

    def on_cut(self, interrupt: Callable[[], None]) -> None:
        """Set what stops the exchange when the process ends this stream."""
        self._interrupt = interrupt

    def release(self) -> None:
        """
        Let go of the exchange once it is over.

        Else each stream would refer to itself, and with it the request's body would wait for the garbage collector.
        """
        self._head = list
        self._error_event = _no_event
        self._interrupt = _nobody

    def tick(self, now: float) -> None:
        """Open a stream that was held long enough, and keep a silent one alive. Called about once a second."""
        if self._state is _CLOSED or now < self._next_ping:
            return
        self._next_ping = now + self._ping
        if self._state is _HELD:
            self.heard_at = now
            self._open()
        if self.coded:
            return
        started = self._conversion is not None and self._conversion.begun
        self._client.write(self._conversion.ping() if started and self._conversion is not None else COMMENT)

    def write(self, data: bytes, now: float) -> bool:
        """Pass a part of the stream on; False asks to hold the upstream back."""
        self._next_ping = now + self._ping
        if self._state is _HELD:
            self.first_event_at = now
            self._open()
        elif self.first_event_at is None:
            self.first_event_at = now
        return self._client.write(data)

    def fail(self, fault: Fault) -> None:
        """End the client's stream with an error event, whatever the upstream still sends."""
        if self._state is _CLOSED:
            return
        if self.coded:  # no event can be written into it, so the client is shown that it is not whole
            self._state = _CLOSED
            self._client.abort()
            return
        conversion = self._conversion
        started = conversion is not None and conversion.begun
        self.close(conversion.fail(fault) if started and conversion is not None else self._error_event(fault))

    def cut(self, fault: Fault) -> None:
        """End the stream because the process ends: with an event, or by way of the exchange with a status."""
        if self._state is _CLOSED:
            return
        self.cut_by = fault
        if self._state is _OPEN:
            self.fail(fault)
        self._interrupt()

    def close(self, data: bytes = b"") -> None:
        """End the client's stream."""
        if self._state is _CLOSED:
            return
        if self._state is _HELD:
            self._open()
        self._state = _CLOSED
        self._client.finish(data)

    def _open(self) -> None:
        self._state = _OPEN
        self._client.start(200, self._head())


def _no_event(fault: Fault) -> bytes:
    """Say nothing of a fault: the stream is over."""
    del fault
    return b""


def _nobody() -> None:
    """Interrupt nothing: the stream has no exchange."""


class Keeper:
    """One coarse ticker for every open event stream of the process, instead of a timer for each."""

    def __init__(self, interval: float = 1.0) -> None:
        self._interval = interval
        self._streams: set[EventStream] = set()
        self._handle: asyncio.TimerHandle | None = None

    def add(self, stream: EventStream) -> None:
        """Tick this stream until it is removed."""
        self._streams.add(stream)
        if self._handle is None:
            self._arm()

    def remove(self, stream: EventStream) -> None:
        """Forget a stream."""
        self._streams.discard(stream)

    def end_all(self, fault: Fault) -> None:
        """End every stream with an error event: the process is about to cut them anyway."""
        for stream in tuple(self._streams):
            stream.cut(fault)

    def __len__(self) -> int:
        return len(self._streams)

    def _arm(self) -> None:
        self._handle = asyncio.get_running_loop().call_later(self._interval, self._tick)

    def _tick(self) -> None:
        self._handle = None
        if self._streams:
            self._arm()
        now = time.monotonic()
        for stream in tuple(self._streams):
            stream.tick(now)
