"""
Metering: the tokens of an answer, read from a copy of what the client gets, also where that is compressed.

Pure. A meter never raises and never changes what it sees; where it cannot go on it says why in `gave_up` and the answer
goes on unmetered.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import partial
from typing import Any, Final, Protocol

import msgspec

from services.gateway.conversion import WholeBody
from services.gateway.translation.errors import looks_like_error, read_fault
from services.gateway.translation.fault import Fault
from services.gateway.translation.passthrough.frames import Framer, read_frame
from services.gateway.translation.streams.events import Usage
from services.gateway.translation.streams.faults import BODY_NOT_JSON
from services.gateway.translation.streams.token_counts import (
    AnthropicCounts,
    OpenAICounts,
    read_anthropic,
    read_openai,
)
from services.gateway.wire.content_coding import CodingError, ContentDecoder, decoded
from services.gateway.wire.formats import ANTHROPIC, OPENAI, WireFormat
from services.gateway.wire.mend import BROKEN, mended

DECODED_LIMIT: Final = 16 * 1024 * 1024
"""Bytes of a decoded copy; a longer answer is not metered to its end."""

_EVENT_LIMIT: Final = 1024 * 1024
_KEY: Final = b'"usage"'


class _Body(msgspec.Struct, gc=False):
    """A batch body, an OpenAI chunk, or Anthropic's message_delta."""

    usage: Any = None


class _Event(_Body, gc=False):
    """Any event; `message` is that of Anthropic's message_start."""

    message: _Body | None = None


_decode_body: Final = msgspec.json.Decoder(_Body).decode
_decode_event: Final = msgspec.json.Decoder(_Event).decode


def usage_of_batch(fmt: WireFormat, body: bytes) -> Usage | None:
    """Return the tokens that a whole answer names; None if it names none."""
    if _KEY not in body:
        return None
    found = _read_body(body)
    return None if found is None else _usage_of(fmt, found)


_READ: Final[dict[WireFormat, Callable[[Any], Usage | None]]] = {
    OPENAI: read_openai,
    ANTHROPIC: partial(read_anthropic, before=None),
}


def _usage_of(fmt: WireFormat, found: _Body) -> Usage | None:
    return _READ[fmt](found.usage)


def _read_body(body: bytes) -> _Body | None:
    """Return what is metered of a whole answer; None for what is no JSON object, bad characters aside."""
    try:
        return _decode_body(body)
    except BROKEN:
        pass
    try:
        return _decode_body(mended(body))
    except BROKEN:
        return None


def passed_through(fmt: WireFormat, body: bytes, coding: bytes | None, *, now: float) -> WholeBody | Fault:
    """
    Return a batch answer as it came, with the tokens it names, or the fault that it is under its HTTP 200: an error,
    or no JSON object.

    A body whose coding cannot be undone, or only above the limit, goes out unmetered: it is the client's to read.
    """
    if coding is None and (counts := _counts_of_answer(fmt, body)) is not None:
        return WholeBody(body=body, usage=counts.usage(), unchanged=True)
    try:
        text = decoded(body, (coding or b"").decode("latin-1"), DECODED_LIMIT)
    except CodingError:
        return WholeBody(body=body, usage=None, unchanged=True)
    if looks_like_error(text):
        return read_fault(200, text, now=now)
    found = _read_body(text)
    if found is None:
        return BODY_NOT_JSON
    return WholeBody(body=body, usage=_usage_of(fmt, found), unchanged=True)


class _AnthropicAnswer(msgspec.Struct, gc=False):
    """What a real batch answer is known by."""

    content: list[msgspec.Raw] = []
    error: msgspec.Raw = msgspec.Raw(b"")
    usage: AnthropicCounts | None = None


class _OpenAIAnswer(msgspec.Struct, gc=False):
    choices: list[msgspec.Raw] = []
    error: msgspec.Raw = msgspec.Raw(b"")
    usage: OpenAICounts | None = None


_decode_anthropic: Final = msgspec.json.Decoder(_AnthropicAnswer).decode
_decode_openai: Final = msgspec.json.Decoder(_OpenAIAnswer).decode


def _counts_of_answer(fmt: WireFormat, body: bytes) -> AnthropicCounts | OpenAICounts | None:
    """
    Return the counts of what is beyond doubt a batch answer: it has content or choices, and no error.

    None says nothing: neither that there are no counts nor that it is no answer. For the usual case this one reading
    is all that a body needs, instead of `looks_like_error` and another.
    """
    try:
        if fmt is ANTHROPIC:
            message = _decode_anthropic(body)
            return message.usage if message.content and not bytes(message.error) else None
        completion = _decode_openai(body)
    except BROKEN:
        return None
    return completion.usage if completion.choices and not bytes(completion.error) else None


class UsageMeter(Protocol):
    """Reads along with one answer."""

    @property
    def usage(self) -> Usage | None:
        """The tokens, as last heard; of a batch, once it has ended."""

    @property
    def gave_up(self) -> str | None:
        """Why nothing further is read; safe to log."""

    def feed(self, data: bytes) -> None:
        """Take the next bytes of the body, as transferred."""

    def end(self) -> None:
        """Take note that the body is complete."""


class _Meter(ABC):
    """What both kinds share: undoing the content coding, within bounds."""

    def __init__(self, fmt: WireFormat, coding: str, limit: int) -> None:
        self.usage: Usage | None = None
        self.gave_up: str | None = None
        self._format = fmt
        self._decoder: ContentDecoder | None = None
        try:
            self._decoder = ContentDecoder(coding, limit)
        except CodingError as error:
            self.gave_up = str(error)

    def feed(self, data: bytes) -> None:
        """Take the next bytes of the body, as transferred."""
        if self._decoder is None or self.gave_up is not None:
            return
        try:
            for piece in self._decoder.pieces(data):
                self._read(piece)
                if self.gave_up is not None:
                    break
        except CodingError as error:
            self.gave_up = str(error)
            self._forget()

    @abstractmethod
    def _read(self, data: bytes) -> None:
        """Take the next bytes, without their coding."""

    @abstractmethod
    def _forget(self) -> None:
        """Let go of what was kept."""


class BatchMeter(_Meter):
    """Keeps a copy of the body, within the limit, and reads it at its end."""

    def __init__(self, fmt: WireFormat, coding: str = "", limit: int = DECODED_LIMIT) -> None:
        super().__init__(fmt, coding, limit)
        self._body = bytearray()

    def end(self) -> None:
        """Read the body."""
        self.usage = usage_of_batch(self._format, bytes(self._body))
        self._forget()

    def _read(self, data: bytes) -> None:
        self._body += data

    def _forget(self) -> None:
        self._body.clear()


class StreamMeter(_Meter):
    """Reads the events that name usage, and only those."""

    def __init__(
        self, fmt: WireFormat, coding: str = "", limit: int = DECODED_LIMIT, event_limit: int = _EVENT_LIMIT
    ) -> None:
        super().__init__(fmt, coding, limit)
        self._framer = Framer(event_limit)

    def end(self) -> None:
        """Read a last event that lacks its blank line."""
        self._read_frame(self._framer.rest())

    def _read(self, data: bytes) -> None:
        framer = self._framer
        if framer.waiting:
            data = framer.join(data)
        for raw in framer.cut(data) if data else ():
            self._read_frame(raw)
        if framer.too_large:
            self.gave_up = "an event is larger than the limit"

    def _read_frame(self, raw: bytes) -> None:
        frame = read_frame(raw) if _KEY in raw else None
        if frame is None:
            return
        _, data = frame
        try:
            event = _decode_event(mended(data))
        except BROKEN:
            return
        if self._format is OPENAI:
            self.usage = read_openai(event.usage) or self.usage
            return
        if event.message is not None:
            self.usage = read_anthropic(event.message.usage, self.usage)
        self.usage = read_anthropic(event.usage, self.usage)

    def _forget(self) -> None:
        self._framer.rest()


class MeteredCopy:
    """
    Pass-through of a stream that is compressed: nothing is repaired, every byte goes out as it came in, usage is read
    from a copy. It is a conversion like the others, but a failure cannot be written into compressed bytes: the stream
    just ends, which the client's decoder or SDK notices.
    """

    turn = 16 * 1024  # as transferred; what it unpacks to is bounded elsewhere
    settled = False  # what is compressed is known to be whole only at its end

    def __init__(self, meter: UsageMeter) -> None:
        self.begun = False
        self.finished = False
        self.fault: Fault | None = None
        self._meter = meter

    @property
    def usage(self) -> Usage | None:
        """The tokens, as last heard."""
        return self._meter.usage

    @property
    def gave_up(self) -> str | None:
        """Why the meter stopped, if it did."""
        return self._meter.gave_up

    def feed(self, data: bytes) -> bytes:
        """Pass what one read brought."""
        self.begun = True
        self._meter.feed(data)
        return data

    def eof(self) -> bytes:
        """Take note that the upstream ended."""
        self.finished = True
        self._meter.end()
        return b""

    def fail(self, fault: Fault) -> bytes:
        """Take note of what broke the stream."""
        self.finished = True
        self.fault = fault
        return b""

    def ping(self) -> bytes:
        """Return nothing: no event can be put between compressed bytes."""
        return b""
