"""
Moves an answer's body from the upstream to the client, by push: one read, one conversion, one write.

A read of more than the conversion's `turn` is taken in several turns of the event loop, with the upstream paused
meanwhile, and after each large read it is others' turn, so that upstreams which flood neither keep others waiting
(promises.md P-71) nor fill what a slow client has not read (P-44).

`StreamRelay` feeds an event stream from an upstream answer; `pour` and `collect` read whole bodies. None of them
awaits per event; the only future is the one that says how it ended:

    the upstream …                            the client's stream                  `ended`
    sends the dialect's last event            complete at once                     with the framed end, or after _LINGER
    ends its body                             completed, or an error event         at once
    has said all but the last event (A10.11)  completed after _SETTLE of silence   then
    the same, and breaks off                  completed                            at once
    breaks off, stalls, exceeds a limit       an error event, or a status          at once
"""

import asyncio
import time
from collections.abc import Callable
from functools import partial
from typing import Final

from services.gateway.conversion import Conversion
from services.gateway.downstream import Downstream
from services.gateway.event_stream import EventStream
from services.gateway.translation.fault import Fault
from services.gateway.upstream.transport import AnswerTooLarge, TransportError, UpstreamAnswer

_LARGE: Final = 16 * 1024  # bytes of a read; an upstream that has more to say at once is made to wait for the others
_LINGER: Final = 0.5  # seconds an upstream may take to end its answer after the last event, for its connection's sake
_SETTLE: Final = 1.0  # seconds of silence in which an upstream that has said all but the last event may still say it


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
        self._most = conversion.turn
        self._stream = stream
        self._fault_of = fault_of
        self._limit = limit
        self.ended: asyncio.Future[Fault | None] = self._loop.create_future()
        self._timer: asyncio.TimerHandle | None = None  # of the linger, or of the silence once all is said
        self._paused = False  # by a client that does not keep up
        self._left = b""  # of a large read, from `_at` on
        self._at = 0
        self._then: Callable[[], None] | None = None  # what came after it
        self.bytes_in = 0
        stream.attach(conversion)
        client.on_drained(self._resume)

    def on_data(self, data: bytes) -> None:
        """Convert what one read brought and write it in one piece, or in several turns if it is large."""
        if self.ended.done() or self._conversion.finished:
            return
        if self._stream.first_event_at is None:
            self._stream.heard_at = time.monotonic()
        self.bytes_in += len(data)
        if self._limit is not None and self.bytes_in > self._limit:
            self.on_failure(AnswerTooLarge(f"the answer is larger than {self._limit} bytes"))
        elif self._left:
            self._left = self._left[self._at :] + data
            self._at = 0
        elif len(data) > self._most:
            self._left = data
            self._answer.pause()
            self._turn()
        else:
            self._take(data)
            if len(data) > _LARGE:
                self._let_others_go_first()

    def _let_others_go_first(self) -> None:
        if not self._conversion.finished and not self._paused:
            self._answer.pause()
            self._loop.call_soon(self._next_read)

    def _turn(self) -> None:
        """Take the next part of a large read."""
        start = self._at
        self._at = end = start + self._most
        self._take(self._left[start:end])
        if self.ended.done() or self._conversion.finished or end >= len(self._left):
            self._left = b""
            self._at = 0
            self._go_on()
        elif not self._paused:
            self._loop.call_soon(self._next_turn)

    def _next_turn(self) -> None:
        if self._left and not self.ended.done():
            self._turn()

    def _next_read(self) -> None:
        if not self._paused and not self._left and not self.ended.done():
            self._answer.resume()

    def _go_on(self) -> None:
        """Do what waited for the end of a large read."""
        then, self._then = self._then, None
        if then is not None:
            then()
        elif not self._paused:
            self._answer.resume()
            if not self._conversion.finished:
                self._await_last_word()

    def _take(self, data: bytes) -> None:
        conversion = self._conversion
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
        elif not self._answer.all_here:  # as it usually is: the framed end comes with this very read
            self._wait(_LINGER, self._end, None)  # for its connection's sake

    def _await_last_word(self) -> None:
        """Complete a settled stream soon, unless more comes; what has not been read has not been awaited."""
        if self._conversion.settled and not self._paused and not self._left:
            self._wait(_SETTLE, self.on_end)

    def _resume(self) -> None:
        if not self._paused or self.ended.done():
            return
        self._paused = False
        if self._left:
            self._turn()
        else:
            self._answer.resume()
            self._await_last_word()

    def _wait(self, seconds: float, then: Callable[..., None], *arguments: object) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_later(seconds, then, *arguments)

    def on_end(self) -> None:
        """Complete the client's stream, or say what is missing."""
        if self.ended.done():
            return
        if self._left:
            self._then = self.on_end
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
        if self._left:
            self._then = partial(self.on_failure, error)
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


class _Pourer:
    """Hands a body on as it comes; the transport keeps it within the request's limits."""

    def __init__(self, take: Callable[[bytes], None], most: int | None) -> None:
        self._take = take
        self._left = most
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def on_data(self, data: bytes) -> None:
        if self.ended.done():
            return
        if self._left is not None:
            data = data[: self._left]
            self._left -= len(data)
        self._take(data)
        if self._left == 0:
            self.on_end()

    def on_end(self) -> None:
        if not self.ended.done():
            self.ended.set_result(None)

    def on_failure(self, error: TransportError) -> None:
        if not self.ended.done():
            self.ended.set_exception(error)


async def pour(answer: UpstreamAnswer, take: Callable[[bytes], None], most: int | None = None) -> None:
    """Hand a body, or its first `most` bytes, to `take`; raises a TransportError. The caller closes the answer."""
    pourer = _Pourer(take, most)
    answer.consume(pourer)
    await pourer.ended


async def collect(answer: UpstreamAnswer, most: int | None = None) -> bytes:
    """Return a whole body, or its first `most` bytes; as `pour` otherwise."""
    whole = answer.whole()
    if whole is not None:
        return whole if most is None else whole[:most]
    parts: list[bytes] = []
    await pour(answer, parts.append, most)
    return b"".join(parts)
