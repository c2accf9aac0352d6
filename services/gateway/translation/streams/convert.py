"""
A reader and a writer put together: what the relay feeds, and what turns one whole body into another.

Four cases (translation.md A12): a stream to a stream, a body to a stream (a server that ignored `stream`), a stream
to a body (a server that streams unasked), a body to a body.
"""

from collections.abc import Callable, Iterable
from typing import Final, Protocol

import msgspec

from services.gateway.translation.fault import Fault
from services.gateway.translation.streams.events import Event, Failed, Usage, UsageSeen
from services.gateway.translation.streams.fold import Answer, fold
from services.gateway.translation.streams.reader import StreamReader

TURN: Final = 16 * 1024  # bytes that are translated at once: a hundred events, a millisecond at most


class Writer(Protocol):
    """The client's end of a conversion."""

    started: bool
    finished: bool

    def write(self, events: Iterable[Event]) -> bytes:
        """Return the bytes for the events of one read."""

    def ping(self) -> bytes:
        """Return a keep-alive that is legal now."""


class StreamConversion:
    """From the upstream's stream to the client's; the relay's `Conversion`."""

    __slots__ = ("_reader", "_writer", "fault")

    turn = TURN

    def __init__(self, reader: StreamReader, writer: Writer) -> None:
        self._reader = reader
        self._writer = writer
        self.fault: Fault | None = None

    @property
    def begun(self) -> bool:
        """Whether the upstream has begun to answer."""
        return self._reader.started

    @property
    def finished(self) -> bool:
        """Whether the client's stream is complete, well or not."""
        return self._writer.finished

    @property
    def settled(self) -> bool:
        """Whether `eof` would complete the answer now: only the upstream's last word is missing."""
        return self._reader.settled

    @property
    def usage(self) -> Usage | None:
        """The tokens, as last heard."""
        return self._reader.usage

    def feed(self, data: bytes) -> bytes:
        """Take what one read brought, return what the client gets for it."""
        return self._written(self._reader.feed(data))

    def eof(self) -> bytes:
        """Take note that the upstream ended."""
        return self._written(self._reader.eof())

    def fail(self, fault: Fault) -> bytes:
        """End the client's stream with one error event."""
        return b"" if self._writer.finished else self._written([Failed(fault)])

    def ping(self) -> bytes:
        """Return a keep-alive that is legal at this point."""
        return self._writer.ping()

    def _written(self, events: list[Event]) -> bytes:
        if events and type(events[-1]) is Failed:
            self.fault = events[-1].fault
        return self._writer.write(events)


class BodyConversion:
    """From a batch answer to the client's stream. Nothing is written before the body is whole."""

    __slots__ = ("_parts", "_read", "_writer", "fault", "usage")

    settled = False  # a body is known to be whole only at its end

    turn = TURN

    def __init__(self, read: Callable[[bytes], list[Event]], writer: Writer) -> None:
        self._read = read
        self._writer = writer
        self._parts: list[bytes] = []
        self.fault: Fault | None = None
        self.usage: Usage | None = None

    @property
    def begun(self) -> bool:
        """Whether the client's stream has begun."""
        return self._writer.started

    @property
    def finished(self) -> bool:
        """Whether the client's stream is complete, well or not."""
        return self._writer.finished

    def feed(self, data: bytes) -> bytes:
        """Keep a part of the body."""
        self._parts.append(data)
        return b""

    def eof(self) -> bytes:
        """Convert the body."""
        return self._written(self._read(b"".join(self._parts)))

    def fail(self, fault: Fault) -> bytes:
        """End the client's stream with one error event."""
        return b"" if self._writer.finished else self._written([Failed(fault)])

    def ping(self) -> bytes:
        """Return a keep-alive that is legal at this point."""
        return self._writer.ping()

    def _written(self, events: list[Event]) -> bytes:
        for event in events:
            if type(event) is Failed:
                self.fault = event.fault
            elif type(event) is UsageSeen:
                self.usage = event.usage
        return self._writer.write(events)


class WholeAnswer(msgspec.Struct, frozen=True):
    """A batch answer for the client, and what it cost."""

    body: bytes
    usage: Usage


def whole_answer(events: Iterable[Event], write: Callable[[Answer], bytes]) -> WholeAnswer | Fault:
    """Return the client's body for all the events of an answer, or why there is none."""
    answer = fold(events)
    return answer if isinstance(answer, Fault) else WholeAnswer(write(answer), answer.usage)


def events_of_stream(reader: StreamReader, body: bytes) -> list[Event]:
    """Return the events of a stream that came as one body."""
    return [*reader.feed(body), *reader.eof()]
