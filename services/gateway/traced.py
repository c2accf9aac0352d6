"""
The gateway's spans: a server span for a request, a client span for what it asked of the upstream.

Put around the hot routes only where traces are wanted, so that without them a request knows nothing of it. The spans
are made from the observation when the exchange is over, with the times that were taken anyway.
"""

import time
from collections.abc import Awaitable, Callable, Iterable
from typing import Final

from services.chassis.logs import vetted, word
from services.chassis.tracing import TRACEPARENT, Finished, Sampler, Sink, Span, Value, begun, current, received
from services.gateway.inbound import Inbound
from services.gateway.observation import Observation, Observer

Route = Callable[[Inbound], Awaitable[None]]

_HEADER: Final = TRACEPARENT.encode()
_NS: Final = 1_000_000_000


class TracedRoute:
    """A route whose requests are spans. Callers' trace ids are taken over only where they are believed."""

    def __init__(self, route: Route, sink: Sink, sampler: Sampler, *, believes: bool) -> None:
        self._route = route
        self._sink = sink
        self._sampler = sampler
        self._believes = believes

    async def __call__(self, inbound: Inbound) -> None:
        """Serve one request within a span of its own."""
        header = inbound.headers.get(_HEADER) if self._believes else None
        remote = received(header.decode("latin-1")) if header is not None else None
        token = current.set(begun(self._sink, self._sampler, remote))
        try:
            await self._route(inbound)
        finally:
            current.reset(token)


class TracedObserver:
    """Writes the spans of an exchange, then tells the observer behind it, which may show the trace's id."""

    def __init__(self, observer: Observer) -> None:
        self._observer = observer

    def observe(self, observation: Observation) -> None:
        """Take note of one exchange that is over."""
        span = current.get()
        if span is not None and span.sampled:
            observation.trace_id = span.trace_id
            for finished in spans_of(observation, span, time.time() - time.monotonic()):
                span.sink.add(finished)
        self._observer.observe(observation)


def spans_of(seen: Observation, span: Span, offset: float) -> Iterable[Finished]:
    """Return the spans of an exchange; `offset` is what wall-clock time is ahead of monotonic time, in seconds."""
    common = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": seen.provider,
        "gen_ai.request.model": vetted(seen.model[:128]) or "",
    }
    error = "" if seen.status < 400 else seen.code or f"{seen.status}"
    yield Finished(
        name=f"POST {seen.path}",
        kind="server",
        trace_id=span.trace_id,
        span_id=span.span_id,
        parent_id=span.parent_id,
        began=int((seen.begun_at + offset) * _NS),
        ended=int((seen.ended_at + offset) * _NS),
        attributes=common | _of_request(seen),
        error=error,
    )
    if seen.sent_at is None:
        return
    child = span.child()
    yield Finished(
        name=f"chat {common['gen_ai.request.model']}",
        kind="client",
        trace_id=child.trace_id,
        span_id=child.span_id,
        parent_id=child.parent_id,
        began=int((seen.sent_at + offset) * _NS),
        ended=int((seen.ended_at + offset) * _NS),
        attributes=common | _of_upstream(seen),
        error=error,
    )


def _of_request(seen: Observation) -> dict[str, Value]:
    found: dict[str, Value | None] = {
        "http.request.method": seen.method,
        "http.route": seen.path,
        "http.response.status_code": seen.status,
        "zcode.request_id": seen.request_id,
        "zcode.key_id": seen.key_id,
        "zcode.plan": seen.plan,
        "zcode.stream": seen.stream,
        "zcode.cancelled": seen.cancelled,
        "zcode.overhead_ms": None if seen.overhead is None else round(seen.overhead * 1000, 3),
        "zcode.first_byte_ms": _milliseconds(seen.begun_at, seen.first_byte_at),
    }
    return {name: value for name, value in found.items() if value is not None}


def _of_upstream(seen: Observation) -> dict[str, Value]:
    usage = seen.usage
    found: dict[str, Value | None] = {
        "http.request.method": "POST",
        "http.response.status_code": seen.upstream_status,
        "http.request.resend_count": seen.attempts - 1,
        "gen_ai.usage.input_tokens": None if usage is None else usage.input,
        "gen_ai.usage.cache_read.input_tokens": None if usage is None else usage.cache_read,
        "gen_ai.usage.output_tokens": None if usage is None else usage.output,
        "zcode.upstream_code": word(seen.upstream_code),
        "zcode.upstream_request_id": vetted(seen.upstream_request_id),
        "zcode.credential_id": seen.credential_id,
        "zcode.head_ms": _milliseconds(seen.sent_at, seen.head_at),
    }
    return {name: value for name, value in found.items() if value is not None}


def _milliseconds(first: float | None, last: float | None) -> float | None:
    return None if first is None or last is None else round((last - first) * 1000, 3)
