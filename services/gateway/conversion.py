"""
Which machines stand between an upstream's answer and the client's: readers and writers for a translation, repairs for
the same dialect. Pure; made once per answer, ids and times are given.
"""

from collections.abc import Callable, Iterable
from functools import partial
from typing import Protocol

import msgspec

from services.gateway.translation.context import ResponseContext
from services.gateway.translation.errors import read_fault
from services.gateway.translation.fault import Fault
from services.gateway.translation.passthrough.anthropic_repair import AnthropicRepair
from services.gateway.translation.passthrough.openai_repair import OpenAIRepair
from services.gateway.translation.streams.convert import (
    BodyConversion,
    StreamConversion,
    Writer,
    whole_answer,
)
from services.gateway.translation.streams.events import Event, Usage
from services.gateway.translation.streams.fold import Answer
from services.gateway.translation.streams.read_anthropic import AnthropicReader, read_anthropic_batch
from services.gateway.translation.streams.read_openai import OpenAIReader, read_openai_batch
from services.gateway.translation.streams.reader import StreamReader
from services.gateway.translation.streams.write_anthropic import AnthropicWriter, write_anthropic_batch
from services.gateway.translation.streams.write_openai import OpenAIWriter, write_openai_batch
from services.gateway.translation.streams.write_responses import ResponsesWriter, write_responses_batch
from services.gateway.wire.formats import OPENAI, RESPONSES, WireFormat


class Conversion(Protocol):
    """A push machine from the upstream's stream to the client's; pure, one per answer."""

    @property
    def turn(self) -> int:
        """How many bytes it may be fed at once: some hundred events, a millisecond or two of work."""

    @property
    def begun(self) -> bool:
        """Whether a first event has come that is no error, so that a status can be sent."""

    @property
    def fault(self) -> Fault | None:
        """What broke the stream, as soon as that is known."""

    @property
    def finished(self) -> bool:
        """Whether the client's stream is complete, well or not; nothing is written after."""

    @property
    def settled(self) -> bool:
        """Whether `eof` would complete the stream now: only the upstream's last word is missing."""

    @property
    def usage(self) -> Usage | None:
        """The tokens, as last heard."""

    def feed(self, data: bytes) -> bytes:
        """Take what one read brought, return what the client gets for it."""

    def eof(self) -> bytes:
        """Take note that the upstream ended; returns the rest, or an error event for what is missing."""

    def fail(self, fault: Fault) -> bytes:
        """End the client's stream with one error event, closing what is open."""

    def ping(self) -> bytes:
        """Return a keep-alive that is legal at this point of the client's stream."""


class Pair(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """Who speaks what, and what an answer's side needs of the request's."""

    client: WireFormat
    upstream: WireFormat
    context: ResponseContext
    request_id: str
    created: int  # seconds since the epoch
    event_limit: int  # bytes
    new_id: Callable[[str], str]  # prefix -> id
    input_tokens: int = 0  # an estimate for the first event; 0: none


class WholeBody(msgspec.Struct, frozen=True, kw_only=True):
    """A batch answer for the client. `unchanged`: it is the upstream's own body, in its own coding."""

    body: bytes
    usage: Usage | None
    unchanged: bool


def stream_conversion(pair: Pair) -> Conversion:
    """Return the machine for an answer that is an event stream."""
    if pair.client is not pair.upstream:
        return StreamConversion(_reader(pair), _writer(pair))
    if pair.client is OPENAI:
        return OpenAIRepair(
            pair.request_id,
            include_usage=pair.context.include_usage,
            limit=pair.event_limit,
            now=float(pair.created),
        )
    return AnthropicRepair(pair.request_id, limit=pair.event_limit, now=float(pair.created))


def body_conversion(pair: Pair) -> Conversion:
    """Return the machine for an answer that came whole although a stream was asked for."""
    return BodyConversion(lambda body: _events_of_body(pair, body), _writer(pair))


def whole_body(pair: Pair, body: bytes) -> WholeBody | Fault:
    """Return the client's batch answer for the upstream's."""
    return _whole(pair, _events_of_body(pair, body))


class FoldedStream:
    """
    The client's batch answer, made from an event stream that nobody asked for.

    Read as it arrives, because a long one read at once would hold the event loop.
    """

    __slots__ = ("_events", "_pair", "_reader")

    def __init__(self, pair: Pair) -> None:
        self._pair = pair
        self._reader = _reader(pair)
        self._events: list[Event] = []

    def feed(self, data: bytes) -> None:
        """Take what one read brought."""
        self._events += self._reader.feed(data)

    def end(self) -> WholeBody | Fault:
        """Take note that the upstream ended."""
        self._events += self._reader.eof()
        return _whole(self._pair, self._events)


def _whole(pair: Pair, events: Iterable[Event]) -> WholeBody | Fault:
    whole = whole_answer(events, partial(_write_whole, pair))
    return whole if isinstance(whole, Fault) else WholeBody(body=whole.body, usage=whole.usage, unchanged=False)


def _write_whole(pair: Pair, answer: Answer) -> bytes:
    if pair.client is OPENAI:
        return write_openai_batch(answer, pair.context, created=pair.created)
    if pair.client is RESPONSES:
        return write_responses_batch(answer, pair.context, created=pair.created)
    return write_anthropic_batch(answer, pair.context)


def _events_of_body(pair: Pair, body: bytes) -> list[Event]:
    read = read_openai_batch if pair.upstream is OPENAI else read_anthropic_batch
    return read(body, pair.context, pair.new_id, fault_of=partial(_fault_of, pair))


def _reader(pair: Pair) -> StreamReader:
    reader = OpenAIReader if pair.upstream is OPENAI else AnthropicReader
    return reader(pair.context, pair.new_id, fault_of=partial(_fault_of, pair), limit=pair.event_limit)


def _writer(pair: Pair) -> Writer:
    if pair.client is OPENAI:
        return OpenAIWriter(pair.context, created=pair.created, request_id=pair.request_id)
    if pair.client is RESPONSES:
        return ResponsesWriter(pair.context, created=pair.created, request_id=pair.request_id)
    return AnthropicWriter(pair.context, request_id=pair.request_id, input_tokens_estimate=pair.input_tokens)


def _fault_of(pair: Pair, body: bytes) -> Fault:
    return read_fault(200, body, now=float(pair.created))
