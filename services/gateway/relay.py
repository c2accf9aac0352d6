"""
Moves an answer's body from the upstream to the client, by push: one read, one conversion, one write.

`EventStream` is the client's end of a streamed answer: it holds the head back until something is known, keeps the
client's connection alive, and ends either well or with one error event.
`StreamRelay` feeds it from an upstream answer. `collect` reads a whole body for batch answers.

States of an EventStream:

    HELD ──open──▶ OPEN ──close──▶ CLOSED
      └───────────────(fault)────────▲      a fault while HELD is an HTTP status, later it is an event

Neither awaits per event; the only future is the one that says how it ended.
"""

import asyncio
import time
from collections.abc import Callable
from enum import Enum
from typing import Final

from services.gateway.conversion import Conversion
from services.gateway.downstream import Downstream
from services.gateway.translation.fault import Fault
from services.gateway.upstream.transport import TransportError, UpstreamAnswer

Headers = list[tuple[bytes, bytes]]

COMMENT: Final = b": keep-alive\n\n"
_LINGER: Final = 0.5  # seconds an upstream may take to end its answer after the last event, for its connection's sake

EVENT_STREAM_HEADERS: Final[tuple[tuple[bytes, bytes], ...]] = (
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),
)


class _State(Enum):
    HELD = 1
    OPEN = 2
    CLOSED = 3


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
        self._state = _State.HELD
        self._conversion: Conversion | None = None
        self.first_event_at: float | None = None

    @property
    def held(self) -> bool:
        """Whether a failure can still become an HTTP status."""
        return self._state is _State.HELD

    @property
    def closed(self) -> bool:
        """Whether the client's stream has ended."""
        return self._state is _State.CLOSED

    def attach(self, conversion: Conversion) -> None:
        """Say which machine's stream this is, for keep-alives in the right place."""
        self._conversion = conversion

    def tick(self, now: float) -> None:
        """Open a stream that was held long enough, and keep a silent one alive. Called about once a second."""
        if self._state is _State.CLOSED or now < self._next_ping:
            return
        self._next_ping = now + self._ping
        if self._state is _State.HELD:
            self._open()
        started = self._conversion is not None and self._conversion.begun
        self._client.write(self._conversion.ping() if started and self._conversion is not None else COMMENT)

    def write(self, data: bytes, now: float) -> bool:
        """Pass a part of the stream on; False asks to hold the upstream back."""
        self._next_ping = now + self._ping
        if self._state is _State.HELD:
            self.first_event_at = now
            self._open()
        elif self.first_event_at is None:
            self.first_event_at = now
        return self._client.write(data)

    def fail(self, fault: Fault) -> None:
        """End the client's stream with an error event, whatever the upstream still sends."""
        conversion = self._conversion
        started = conversion is not None and conversion.begun
        self.close(conversion.fail(fault) if started and conversion is not None else self._error_event(fault))

    def close(self, data: bytes = b"") -> None:
        """End the client's stream."""
        if self._state is _State.CLOSED:
            return
        if self._state is _State.HELD:
            self._open()
        self._state = _State.CLOSED
        self._client.finish(data)

    def _open(self) -> None:
        self._state = _State.OPEN
        self._client.start(200, self._head())


class StreamRelay:
    """Feeds one upstream answer through a conversion into an event stream. `ended` resolves to what broke it, if so."""

    def __init__(
        self,
        answer: UpstreamAnswer,
        conversion: Conversion,
        stream: EventStream,
        client: Downstream,
        fault_of: Callable[[TransportError], Fault],
    ) -> None:
        loop = asyncio.get_running_loop()
        self._answer = answer
        self._conversion = conversion
        self._stream = stream
        self._fault_of = fault_of
        self.ended: asyncio.Future[Fault | None] = loop.create_future()
        self._linger: asyncio.TimerHandle | None = None
        self.bytes_in = 0
        stream.attach(conversion)
        client.on_drained(answer.resume)

    def on_data(self, data: bytes) -> None:
        """Convert what one read brought and write it in one piece."""
        conversion = self._conversion
        if self.ended.done() or conversion.finished:
            return
        self.bytes_in += len(data)
        out = conversion.feed(data)
        if conversion.fault is not None and self._stream.held:
            self._end(conversion.fault)
        elif conversion.finished:
            self._stream.close(out)
            if conversion.fault is not None:
                self._end(conversion.fault)
            else:  # the framed end usually comes with this very read, and saves the connection
                self._linger = asyncio.get_running_loop().call_later(_LINGER, self._end, None)
        elif out and not self._stream.write(out, time.monotonic()):
            self._answer.pause()

    def on_end(self) -> None:
        """Complete the client's stream, or say what is missing."""
        if self.ended.done():
            return
        conversion = self._conversion
        if not conversion.finished:
            out = conversion.eof()
            if conversion.fault is not None and self._stream.held:
                self._end(conversion.fault)
                return
            self._stream.close(out)
        self._end(conversion.fault)

    def on_failure(self, error: TransportError) -> None:
        """Turn a broken body into a status or an error event; a stream that was complete stays complete."""
        if self.ended.done():
            return
        if self._conversion.finished:
            self._end(None)
            return
        fault = self._fault_of(error)
        if not self._stream.held:
            self._stream.close(self._conversion.fail(fault))
        self._end(fault)

    def _end(self, fault: Fault | None) -> None:
        if self._linger is not None:
            self._linger.cancel()
        if not self.ended.done():
            self.ended.set_result(fault)


class _Collector:
    """Gathers a body; the transport keeps it within the request's limits."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self.body: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    def on_data(self, data: bytes) -> None:
        self._parts.append(data)

    def on_end(self) -> None:
        if not self.body.done():
            self.body.set_result(b"".join(self._parts))

    def on_failure(self, error: TransportError) -> None:
        if not self.body.done():
            self.body.set_exception(error)


async def collect(answer: UpstreamAnswer) -> bytes:
    """Read a whole body, at most what its request allows; raises a TransportError. The caller closes the answer."""
    collector = _Collector()
    answer.consume(collector)
    return await collector.body


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
            stream.fail(fault)

    def __len__(self) -> int:
        return len(self._streams)

    def _arm(self) -> None:
        self._handle = asyncio.get_running_loop().call_later(self._interval, self._tick)

    def _tick(self) -> None:
        now = time.monotonic()
        for stream in tuple(self._streams):
            stream.tick(now)
        if self._streams:
            self._arm()
        else:
            self._handle = None
