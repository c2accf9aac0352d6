"""
From an upstream's successful answer to the client's: whole, or as a stream.

A delivery is made once per call and may be handed several answers, one per try; it returns a fault instead of raising,
so that the exchange decides about trying again. `begun` says that something of an answer has gone to the client.
"""

import gzip
import os
import time
from typing import Final, Protocol

import msgspec

from services.gateway.call import ClientCall
from services.gateway.conversion import (
    Conversion,
    FoldedStream,
    Pair,
    WholeBody,
    body_conversion,
    stream_conversion,
    whole_body,
)
from services.gateway.downstream import Downstream
from services.gateway.event_stream import EVENT_STREAM_HEADERS, EventStream, Headers
from services.gateway.heads import passed_back, upstream_request_id
from services.gateway.observation import Observation
from services.gateway.preparation import Preparation
from services.gateway.relay import StreamRelay, collect, pour
from services.gateway.routing import UpstreamRoute
from services.gateway.translation.errors import error_event
from services.gateway.translation.fault import Fault
from services.gateway.translation.streams.faults import CODING
from services.gateway.transport_faults import fault_of
from services.gateway.upstream.transport import UpstreamAnswer
from services.gateway.usage import MeteredCopy, StreamMeter, passed_through

_GZIP_FROM: Final = 1024  # bytes; below this the header costs more than it saves
_EVENT_STREAM: Final = b"text/event-stream"
_PLAIN: Final = b"identity"
_JSON: Final = (b"content-type", b"application/json")
_SIMULATED: Final = (b"x-zcode-simulated", b"true")


class Delivery(Protocol):
    """Takes answers of one call."""

    observation: Observation

    @property
    def begun(self) -> bool:
        """Whether something of an answer has gone to the client, so that no other try may follow."""

    def note_head(self, answer: UpstreamAnswer) -> None:
        """Take note of the head of an answer."""

    def redirect(self, route: UpstreamRoute, preparation: Preparation) -> None:
        """Expect answers of another route from now on; only while nothing of an answer has gone to the client."""

    async def deliver(self, answer: UpstreamAnswer) -> Fault | None:
        """Relay a 2xx answer to its end; returns what was wrong with it. Raises a TransportError."""


class DeliverySettings(msgspec.Struct, frozen=True, kw_only=True):
    """What every delivery of a process goes by; seconds and bytes."""

    event_limit: int
    body_limit: int  # of an answer that came whole although a stream was asked for
    hold: float  # how long the head of a stream waits for its first event
    ping: float  # how long a stream may be silent before a keep-alive
    simulated: bool  # the upstream is the simulator: every answer says so


class _Delivery:
    """What both kinds share: the call, and the head of its answer."""

    def __init__(
        self,
        call: ClientCall,
        route: UpstreamRoute,
        preparation: Preparation,
        client: Downstream,
        observation: Observation,
        settings: DeliverySettings,
    ) -> None:
        self._call = call
        self._route = route
        self._preparation = preparation
        self._client = client
        self._settings = settings
        self._answer_headers: Headers = []
        self.observation = observation

    def redirect(self, route: UpstreamRoute, preparation: Preparation) -> None:
        """Expect answers of another route from now on."""
        self._route = route
        self._preparation = preparation

    def note_head(self, answer: UpstreamAnswer) -> None:
        """Remember when the head came, the upstream's own id, and the headers that clients act on."""
        observation = self.observation
        observation.head_at = time.monotonic()
        observation.upstream_status = answer.status
        self._answer_headers = passed_back(answer.headers)
        own_id = upstream_request_id(answer.fields)
        if own_id is not None:
            observation.upstream_request_id = own_id.decode("latin-1")
            self._answer_headers.append((b"x-upstream-request-id", own_id))

    def _head(self) -> Headers:
        """Return the headers that every successful answer carries."""
        now = time.monotonic()
        observation = self.observation
        observation.first_byte_at = now
        observation.status = 200
        observation.overhead = observation.spent_here(now)
        headers = [
            *self._call.head,
            *self._answer_headers,
            (b"x-zcode-overhead-ms", b"%d.%02d" % divmod(int(observation.overhead * 100_000 + 0.5), 100)),
        ]
        if self._preparation.dropped:
            headers.append((b"x-zcode-dropped-params", ", ".join(self._preparation.dropped).encode("ascii", "replace")))
        if self._settings.simulated:
            headers.append(_SIMULATED)
        return headers

    def _pair(self) -> Pair:
        return Pair(
            client=self._call.format,
            upstream=self._route.format,
            context=self._preparation.context,
            request_id=self.observation.request_id,
            created=int(time.time()),
            event_limit=self._settings.event_limit,
            new_id=_new_id,
            input_tokens=self._preparation.input_tokens,
        )


class BatchDelivery(_Delivery):
    """A whole answer, sent in one piece once it is known to be one."""

    begun = False

    async def deliver(self, answer: UpstreamAnswer) -> Fault | None:
        """Read the answer, convert it if the dialects differ, send it."""
        kind = answer.fields.get(b"content-type") or _JSON[1]
        coding = answer.fields.get(b"content-encoding")
        streamed = kind.startswith(_EVENT_STREAM)
        if self._call.format is self._route.format and not streamed:
            body = answer.whole()
            if body is None:
                body = await self._collected(answer)
            self.observation.bytes_in = len(body)
            result = passed_through(self._route.format, body, coding, now=time.time())
        else:
            result = await self._converted(answer, coding, streamed=streamed)
        if isinstance(result, Fault):
            return result
        self._send(result, kind, coding)
        self.observation.usage = result.usage
        return None

    async def _converted(self, answer: UpstreamAnswer, coding: bytes | None, *, streamed: bool) -> WholeBody | Fault:
        if coding is not None and coding != _PLAIN:
            return CODING
        if not streamed:
            body = await self._collected(answer)
            self.observation.bytes_in = len(body)
            return whole_body(self._pair(), body)
        folded = FoldedStream(self._pair())

        def take(data: bytes) -> None:
            self.observation.bytes_in += len(data)
            folded.feed(data)

        await pour(answer, take)
        self.observation.heard_at = time.monotonic()
        return folded.end()

    async def _collected(self, answer: UpstreamAnswer) -> bytes:
        body = await collect(answer)
        self.observation.heard_at = time.monotonic()
        return body

    def _send(self, result: WholeBody, kind: bytes, coding: bytes | None) -> None:
        headers = self._head()
        body = result.body
        if result.unchanged:
            headers.append((b"content-type", kind))
            if coding is not None:
                headers.append((b"content-encoding", coding))
        else:
            headers.append(_JSON)
            body = self._compressed(body, headers)
        headers.append((b"content-length", b"%d" % len(body)))
        self.begun = True
        self._client.start(200, headers)
        self._client.finish(body)

    def _compressed(self, body: bytes, headers: Headers) -> bytes:
        accepted = self._call.accept_encoding
        if accepted is None or len(body) < _GZIP_FROM or not _accepts_gzip(accepted):
            return body
        headers.append((b"content-encoding", b"gzip"))
        headers.append((b"vary", b"accept-encoding"))
        return gzip.compress(body, compresslevel=1, mtime=0)


class StreamDelivery(_Delivery):
    """A streamed answer. `stream` outlives the tries, because keep-alives may go out before any of them succeeds."""

    def __init__(
        self,
        call: ClientCall,
        route: UpstreamRoute,
        preparation: Preparation,
        client: Downstream,
        observation: Observation,
        settings: DeliverySettings,
    ) -> None:
        super().__init__(call, route, preparation, client, observation, settings)
        self._begun = False
        self._coding: bytes | None = None
        self.stream = EventStream(
            client,
            self._stream_head,
            self._error_event,
            now=observation.begun_at,
            hold=settings.hold,
            ping=settings.ping,
        )

    @property
    def begun(self) -> bool:
        """Whether an event of an answer has gone out; keep-alives do not count."""
        return self._begun

    async def deliver(self, answer: UpstreamAnswer) -> Fault | None:
        """Relay the answer event by event to its end."""
        streamed = (answer.fields.get(b"content-type") or b"").startswith(_EVENT_STREAM)
        conversion = self._conversion(answer, streamed=streamed)
        if isinstance(conversion, Fault):
            return conversion
        limit = None if streamed else self._settings.body_limit
        relay = StreamRelay(answer, conversion, self.stream, self._client, fault_of, limit=limit)
        answer.consume(relay)
        try:
            fault = await relay.ended
        finally:
            self._client.on_drained(None)
            self._begun = not self.stream.held and (conversion.begun or self.stream.closed)
            self.observation.usage = conversion.usage
            self.observation.bytes_in = relay.bytes_in
        if self._begun and fault is not None:
            self.observation.code = fault.code
        return fault

    def _conversion(self, answer: UpstreamAnswer, *, streamed: bool) -> Conversion | Fault:
        coding = answer.fields.get(b"content-encoding") or _PLAIN
        self._coding = None
        self.stream.coded = False
        if coding == _PLAIN:
            return stream_conversion(self._pair()) if streamed else body_conversion(self._pair())
        # Event streams are asked for plain. One that comes compressed all the same can be passed on, not converted,
        # and that only while the client has not been told that it is plain.
        if streamed and self._call.format is self._route.format and self.stream.held:
            self._coding = coding
            self.stream.coded = True
            return MeteredCopy(StreamMeter(self._route.format, coding.decode("latin-1")))
        return CODING

    def _error_event(self, fault: Fault) -> bytes:
        self.observation.code = fault.code
        return error_event(self._call.format, fault, self.observation.request_id)

    def _stream_head(self) -> Headers:
        self.observation.heard_at = self.stream.heard_at
        coding = () if self._coding is None else ((b"content-encoding", self._coding),)
        return [*EVENT_STREAM_HEADERS, *coding, *self._head()]


def _new_id(prefix: str) -> str:
    return prefix + os.urandom(12).hex()


def _accepts_gzip(accepted: bytes) -> bool:
    for item in accepted.lower().split(b","):
        name, _, weight = item.partition(b";")
        if name.strip() in (b"gzip", b"*"):
            return weight.replace(b" ", b"") not in (b"q=0", b"q=0.0", b"q=0.00", b"q=0.000")
    return False
