"""
Traces without a tracer: W3C trace context in and out, and spans that are written down when they are over.

Nothing here knows OpenTelemetry; `otlp.py` sends what is collected, and is imported only where traces are wanted. A
span that is under way is an object in a context variable, which carries the sink with it: where there is no span, all
of this does nothing. Names and numbers are recorded, never a body, a header or a query.
"""

import os
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final, Protocol, TypeAlias

import msgspec

Value: TypeAlias = str | int | float | bool
Attributes: TypeAlias = Mapping[str, Value]

TRACEPARENT: Final = "traceparent"

_FORM: Final = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_NOBODY: Final = {"0" * 32, "0" * 16}
_LOWER: Final = (1 << 64) - 1


class Finished(msgspec.Struct, frozen=True, kw_only=True):
    """A span that is over. Times are nanoseconds since the epoch."""

    name: str
    kind: str  # server | client | internal
    trace_id: str
    span_id: str
    parent_id: str | None
    began: int
    ended: int
    attributes: Attributes = {}
    error: str = ""  # its type, empty: it went well


class Sink(Protocol):
    """Takes finished spans. Must not block and must not raise."""

    def add(self, span: Finished) -> None:
        """Take one span."""


class Remote(msgspec.Struct, frozen=True):
    """A caller's span, as its header tells it."""

    trace_id: str
    span_id: str
    sampled: bool


class Span:
    """One that is under way. A span that is not sampled costs its ids and nothing else."""

    __slots__ = ("parent_id", "sampled", "sink", "span_id", "trace_id")

    def __init__(self, sink: Sink, trace_id: str, parent_id: str | None, sampled: bool) -> None:
        self.sink = sink
        self.trace_id = trace_id
        self.span_id = os.urandom(8).hex()
        self.parent_id = parent_id
        self.sampled = sampled

    def child(self) -> "Span":
        return Span(self.sink, self.trace_id, self.span_id, self.sampled)

    @property
    def traceparent(self) -> str:
        """The header by which another process goes on with this trace."""
        return f"00-{self.trace_id}-{self.span_id}-{'01' if self.sampled else '00'}"


current: Final[ContextVar[Span | None]] = ContextVar("span", default=None)


def received(header: str | None) -> Remote | None:
    """Read a `traceparent`; None for one that is none, by W3C Trace Context level 1."""
    match = _FORM.fullmatch(header or "")
    if match is None or match[1] == "ff" or (match[1] == "00" and match[5]) or {match[2], match[3]} & _NOBODY:
        return None
    return Remote(match[2], match[3], bool(int(match[4], 16) & 1))


class Sampler(msgspec.Struct, frozen=True, kw_only=True):
    """Which traces are kept, in the words of OTEL_TRACES_SAMPLER and OTEL_TRACES_SAMPLER_ARG."""

    ratio: float = 1.0
    follows_parent: bool = True

    def keeps(self, trace_id: str, remote: Remote | None) -> bool:
        """Decide by the caller's word where that counts, else by the trace's id, so that all processes agree."""
        if self.follows_parent and remote is not None:
            return remote.sampled
        return int(trace_id[16:], 16) & _LOWER < self.ratio * (_LOWER + 1)


def sampler_of(environ: Mapping[str, str]) -> Sampler:
    """Read the standard variables; what is not understood keeps everything that callers do not refuse."""
    name = environ.get("OTEL_TRACES_SAMPLER", "parentbased_always_on").strip().lower()
    follows, base = name.startswith("parentbased_"), name.removeprefix("parentbased_")
    if base == "always_off":
        return Sampler(ratio=0.0, follows_parent=follows)
    if base != "traceidratio":
        return Sampler(follows_parent=follows or base != "always_on")
    try:
        ratio = float(environ.get("OTEL_TRACES_SAMPLER_ARG", "1"))
    except ValueError:
        ratio = 1.0
    return Sampler(ratio=min(1.0, max(0.0, ratio)), follows_parent=follows)


def begun(sink: Sink, sampler: Sampler, remote: Remote | None) -> Span:
    """Begin with a request: the caller's trace, or a new one."""
    trace_id = os.urandom(16).hex() if remote is None else remote.trace_id
    return Span(sink, trace_id, None if remote is None else remote.span_id, sampler.keeps(trace_id, remote))


def outgoing() -> dict[str, str]:
    """Return the headers of a call to another process of ours."""
    span = current.get()
    return {} if span is None else {TRACEPARENT: span.traceparent}


@contextmanager
def step(name: str, kind: str = "client", **attributes: Value) -> Iterator[None]:
    """Record what the block does as a part of the span that is under way, if there is one."""
    above = current.get()
    if above is None or not above.sampled:
        yield
        return
    span = above.child()
    token, began, error = current.set(span), time.time_ns(), ""
    try:
        yield
    except BaseException as failure:
        error = type(failure).__name__
        raise
    finally:
        current.reset(token)
        span.sink.add(
            Finished(
                name=name,
                kind=kind,
                trace_id=span.trace_id,
                span_id=span.span_id,
                parent_id=span.parent_id,
                began=began,
                ended=time.time_ns(),
                attributes=attributes,
                error=error,
            )
        )
