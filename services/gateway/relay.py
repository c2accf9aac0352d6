"""
Moves an answer's body from the upstream to the client, by push: one read, one conversion, one write.

`EventStream` is the client's end of a streamed answer: it holds the head back until something is known, keeps the
client's connection alive, and ends either well or with one error event.
`StreamRelay` feeds it from an upstream answer. `collect` reads a whole body for batch answers.

States of an EventStream:

    HELD ──open──▶ OPEN ──close──▶ CLOSED
      └───────────────(fault)────────▲      a fault while HELD is an HTTP status, later it is an event

How a StreamRelay ends:

    the upstream …                            the client's stream                  `ended`
    sends the dialect's last event            complete at once                     with the framed end, or after _LINGER
    ends its body                             completed, or an error event         at once
    has said all but the last event (A10.11)  completed after _SETTLE of silence   then
    breaks off, stalls, exceeds a limit       an error event, or a status          at once
    the same with all but the last event said completed                            at once

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
from services.gateway.upstream.transport import AnswerTooLarge, TransportError, UpstreamAnswer

Headers = list[tuple[bytes, bytes]]

COMMENT: Final = b": keep-alive\n\n"
_LINGER: Final = 0.5  # seconds an upstream may take to end its answer after the last event, for its connection's sake
_SETTLE: Final = 1.0  # seconds of silence in which an upstream that has said all but the last event may still say it

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
        self._interrupt: Callable[[], None] = _nobody
        self.coded = False  # the body is compressed as the upstream sent it: nothing of ours can be put into it
        self.cut_by: Fault | None = None  # why the process ended it
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

    def on_cut(self, interrupt: Callable[[], None]) -> None:
        """Set what stops the exchange when the process ends this stream."""
        self._interrupt = interrupt

    def tick(self, now: float) -> None:
        """Open a stream that was held long enough, and keep a silent one alive. Called about once a second."""
        if self._state is _State.CLOSED or now < self._next_ping:
            return
        self._next_ping = now + self._ping
        if self._state is _State.HELD:
            self._open()
        if self.coded:
            return
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
        if self._state is _State.CLOSED:
            return
        if self.coded:  # no event can be written into it, so the client is shown that it is not whole
            self._state = _State.CLOSED
            self._client.abort()
            return
        conversion = self._conversion
        started = conversion is not None and conversion.begun
        self.close(conversion.fail(fault) if started and conversion is not None else self._error_event(fault))

    def cut(self, fault: Fault) -> None:
        """End the stream because the process ends: with an event, or by way of the exchange with a status."""
        if self._state is _State.CLOSED:
            return
        self.cut_by = fault
        if self._state is _State.OPEN:
            self.fail(fault)
        self._interrupt()

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


def _nobody() -> None:
    """Interrupt nothing: the stream has no exchange."""


class StreamRelay:
    """Feeds one upstream answer through a conversion into an event stream. `ended` resolves to what broke it, if so."""

    def __init__(
        self,
        answer: UpstreamAnswer,
        conversion: Conversion,
        stream: EventStream,
        client: Downstream,
        fault_of: Callable[[TransportError], Fault],
        *,
        limit: int | None = None,
    ) -> None:
        """`limit`: bytes of a body that is kept until it is whole, because it is no stream."""
        self._loop = asyncio.get_running_loop()
        self._answer = answer
        self._conversion = conversion
        self._stream = stream
        self._fault_of = fault_of
        self._limit = limit
        self.ended: asyncio.Future[Fault | None] = self._loop.create_future()
        self._timer: asyncio.TimerHandle | None = None  # of the linger, or of the silence once all is said
        self._paused = False
        self.bytes_in = 0
        stream.attach(conversion)
        client.on_drained(self._resume)

    def on_data(self, data: bytes) -> None:
        """Convert what one read brought and write it in one piece."""
        conversion = self._conversion
        if self.ended.done() or conversion.finished:
            return
        self.bytes_in += len(data)
        if self._limit is not None and self.bytes_in > self._limit:
            self.on_failure(AnswerTooLarge(f"the answer is larger than {self._limit} bytes"))
            return
        out = conversion.feed(data)
        if conversion.fault is not None and self._stream.held:
            self._end(conversion.fault)
        elif conversion.finished:
            self._finished(out)
        else:
            if out and not self._stream.write(out, time.monotonic()):
                self._paused = True
                self._answer.pause()
            if conversion.settled and (out or self._timer is None):
                self._await_last_word()

    def _finished(self, out: bytes) -> None:
        self._stream.close(out)
        if self._conversion.fault is not None:
            self._end(self._conversion.fault)
        else:  # the framed end usually comes with this very read, and saves the connection
            self._wait(_LINGER, self._end, None)

    def _await_last_word(self) -> None:
        """Complete the stream soon, unless more comes; but what was not read from the upstream has not been awaited."""
        if not self._paused:
            self._wait(_SETTLE, self.on_end)

    def _resume(self) -> None:
        self._paused = False
        self._answer.resume()
        if not self.ended.done() and self._conversion.settled:
            self._await_last_word()

    def _wait(self, seconds: float, then: Callable[..., None], *arguments: object) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_later(seconds, then, *arguments)

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
        if self._conversion.settled:
            self.on_end()
            return
        fault = self._fault_of(error)
        if not self._stream.held:
            self._stream.fail(fault)
        self._end(fault)

    def _end(self, fault: Fault | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if not self.ended.done():
            self.ended.set_result(fault)


class _Collector:
    """Gathers a body; the transport keeps it within the request's limits."""

    def __init__(self, most: int | None) -> None:
        self._left = most
        self._parts: list[bytes] = []
        self.body: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    def on_data(self, data: bytes) -> None:
        if self._left is not None:
            data = data[: self._left]
            self._left -= len(data)
        self._parts.append(data)
        if self._left == 0:
            self.on_end()

    def on_end(self) -> None:
        if not self.body.done():
            self.body.set_result(b"".join(self._parts))
            self._parts.clear()

    def on_failure(self, error: TransportError) -> None:
        if not self.body.done():
            self.body.set_exception(error)


async def collect(answer: UpstreamAnswer, most: int | None = None) -> bytes:
    """
    Read a whole body, or its first `most` bytes; raises a TransportError. The caller closes the answer.

    Without `most` a body is as large as its request allows.
    """
    collector = _Collector(most)
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
