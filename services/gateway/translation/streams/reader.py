"""
What both stream readers are around their dialect: bytes in, events out, one end.

The dialect is an object that takes frames and a batch body and pushes what it understands into an `Assembly`.
"""

from collections.abc import Sequence
from typing import Protocol

from services.gateway.translation.errors import read_fault
from services.gateway.translation.fault import Fault
from services.gateway.translation.streams import faults
from services.gateway.translation.streams.assembly import Assembly
from services.gateway.translation.streams.events import Event, Usage
from services.gateway.wire.sse import SseParser


def fault_under_200(body: bytes) -> Fault:
    """Read an error that came in a stream, where no clock is at hand to turn a reset time into seconds."""
    return read_fault(200, body)


class DialectAnswer(Protocol):
    """One answer as one dialect says it."""

    @property
    def assembly(self) -> Assembly:
        """Where the events go."""

    @property
    def settled(self) -> bool:
        """Whether all is known but that the stream ends."""

    def frames(self, pairs: Sequence[tuple[bytes, bytes]]) -> None:
        """Take events of a stream, name and data, until the answer ends."""

    def close(self) -> None:
        """Take note that the stream ended without the dialect's own last word."""

    def body(self, body: bytes) -> None:
        """Take a whole batch answer."""


class StreamReader:
    """Takes one stream in pieces of any size; the events are the same however it was cut."""

    __slots__ = ("_answer", "_assembly", "_heard", "_parser")

    def __init__(self, answer: DialectAnswer, limit: int) -> None:
        self._answer = answer
        self._assembly = answer.assembly
        self._parser = SseParser(limit)
        self._heard = False

    @property
    def started(self) -> bool:
        """Whether the upstream has begun to answer."""
        return self._assembly.started

    @property
    def ended(self) -> bool:
        """Whether the last event has been returned."""
        return self._assembly.ended

    @property
    def settled(self) -> bool:
        """Whether all is known and only the stream's end is missing: `eof` would complete it now."""
        return self._answer.settled

    @property
    def usage(self) -> Usage | None:
        """The tokens, as last heard."""
        return self._assembly.usage

    def feed(self, data: bytes) -> list[Event]:
        """Take the next bytes."""
        if self._assembly.ended:
            return []
        pairs = self._parser.pairs(data)
        if pairs:
            self._heard = True
            self._answer.frames(pairs)
        if self._parser.too_large and not self._assembly.ended:
            self._assembly.fail(faults.TOO_LARGE)
        return self._assembly.take()

    def eof(self) -> list[Event]:
        """Take note that the upstream closed the stream."""
        assembly = self._assembly
        if assembly.ended:
            return []
        rest = self._parser.rest
        if not self._heard and rest.lstrip().startswith(b"{"):
            # A batch body, most often an error, under the wrong content type.
            self._answer.body(rest)
            return assembly.take()
        last = self._parser.eof()
        self._answer.frames(last)
        if not assembly.ended:
            if self._heard or last:
                self._answer.close()
            else:
                assembly.fail(faults.NO_DATA)
        return assembly.take()
