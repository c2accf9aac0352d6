"""
The gateway's metrics: OpenTelemetry GenAI names where they exist, `zcode_` for the rest (design.md section 7).

Labels are bounded: an unknown model is `other`, a code comes from our own tables. The series that an exchange counts
into are looked up once per kind of exchange and kept, because a look-up costs more than the increment.
"""

from collections.abc import Callable, Iterable
from typing import Final

import msgspec
from prometheus_client import CollectorRegistry

from services.chassis.telemetry import Count, Counter, Family, Gauge, Histogram, Readings, Spread
from services.gateway.observation import Observation
from services.gateway.translation.error_table import ROW_BY_CODE, SYSTEM_BLOCKS_MISSING
from services.gateway.translation.streams.events import Usage

_FIRST: Final = (0.05, 0.1, 0.25, 0.5, 1, 2, 3, 5, 7.5, 10, 15, 20, 30, 45, 60, 90, 120, 180)
_WHOLE: Final = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 40, 60, 90, 120, 180, 300, 600, 1200, 1800)
_TOKEN: Final = (0.001, 0.0025, 0.005, 0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.25, 2.5, 5, 10)
_OURS: Final = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1)
_WAIT: Final = (0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_TOKENS: Final = (16, 64, 256, 1024, 4096, 16384, 65536, 131072, 262144, 1048576)
_MODEL: Final = "gen_ai_request_model"


def _histogram(name: str, help_: str, bounds: tuple[float, ...], *labels: str, unit: str = "seconds") -> Family:
    return Family(name=name, kind="histogram", help=help_, unit=unit, bounds=bounds, labels=labels)


REQUESTS: Final = Family(
    name="zcode_requests",
    kind="counter",
    help="Requests of clients that are over, by how they ended; 499 is a client that left.",
    labels=("route", "provider", "plan", "model", "status_class", "upstream_code"),
)
FAILURES: Final = Family(
    name="zcode_request_failures",
    kind="counter",
    help="Requests that failed, by our own code for why.",
    labels=("code",),
)
ABANDONED: Final = Family(
    name="zcode_requests_abandoned", kind="counter", help="Requests whose client left before the end."
)
DURATION: Final = _histogram(
    "gen_ai_client_operation_duration_seconds",
    "From a request's arrival to the last byte of its answer.",
    _WHOLE,
    _MODEL,
    "stream",
)
FIRST: Final = _histogram(
    "gen_ai_server_time_to_first_token_seconds",
    "From a request's arrival to the first byte of its answer.",
    _FIRST,
    _MODEL,
)
PER_TOKEN: Final = _histogram(
    "gen_ai_server_time_per_output_token_seconds",
    "Mean time between two tokens of a streamed answer.",
    _TOKEN,
    _MODEL,
)
USED: Final = _histogram(
    "gen_ai_client_token_usage", "Tokens of one request.", _TOKENS, _MODEL, "gen_ai_token_type", unit="tokens"
)
OVERHEAD: Final = _histogram(
    "zcode_overhead_seconds", "Time spent in this process before the answer's first byte.", _OURS
)
UPSTREAM_HEAD: Final = _histogram(
    "zcode_upstream_response_seconds", "From sending to the upstream to the head of its answer.", _FIRST, _MODEL
)
STREAM: Final = _histogram("zcode_answer_seconds", "From the first byte of an answer to its last.", _WHOLE, _MODEL)
QUEUE: Final = _histogram("zcode_queue_seconds", "Time that requests waited for a slot, of those that did.", _WAIT)
RETRIES: Final = Family(name="zcode_upstream_retries", kind="counter", help="Tries beyond the first.")
DROPPED: Final = Family(
    name="zcode_translation_dropped_params", kind="counter", help="Hints that an upstream could not be given."
)
IN_FLIGHT: Final = Family(name="zcode_requests_in_flight", kind="gauge", help="Requests being served.")
WAITING: Final = Family(name="zcode_requests_waiting", kind="gauge", help="Requests waiting for a slot.")
SLOTS: Final = Family(name="zcode_request_slots", kind="gauge", help="How many requests are served at once at most.")
STREAMS: Final = Family(name="zcode_streams_open", kind="gauge", help="Event streams being relayed.")
CONNECTIONS: Final = Family(
    name="zcode_upstream_connections",
    kind="gauge",
    help="Connections to the upstream: idle, active, and requests that wait for one.",
    labels=("state",),
)
FAMILIES: Final = (
    REQUESTS,
    FAILURES,
    ABANDONED,
    DURATION,
    FIRST,
    PER_TOKEN,
    USED,
    OVERHEAD,
    UPSTREAM_HEAD,
    STREAM,
    QUEUE,
    RETRIES,
    DROPPED,
    IN_FLIGHT,
    WAITING,
    SLOTS,
    STREAMS,
    CONNECTIONS,
)

_MANY: Final = 512  # exchanges whose times are kept before they are sorted in
_MOST_KEPT: Final = 4096
_MOST_CODES: Final = 64
_CODES: Final = frozenset(map(str, (*ROW_BY_CODE, *SYSTEM_BLOCKS_MISSING.codes)))
_STATES: Final = ("idle", "active", "waiting")

_Key = tuple[str, str, str, str, int, str, bool]


class GatewayMetrics:
    """Counts exchanges into one registry; the registry is the process's, never a global."""

    def __init__(self, registry: CollectorRegistry, *, is_known_model: Callable[[str], bool]) -> None:
        self._is_known_model = is_known_model
        self._requests = Counter(REQUESTS, registry)
        self._failures = Counter(FAILURES, registry)
        self._abandoned = Counter(ABANDONED, registry)
        self._duration = Histogram(DURATION, registry)
        self._first = Histogram(FIRST, registry)
        self._per_token = Histogram(PER_TOKEN, registry)
        self._tokens = Histogram(USED, registry)
        self._overhead = Histogram(OVERHEAD, registry)
        self._head = Histogram(UPSTREAM_HEAD, registry)
        self._stream = Histogram(STREAM, registry)
        self._queue = Histogram(QUEUE, registry)
        self._retries = Counter(RETRIES, registry)
        self._dropped = Counter(DROPPED, registry)
        self._timed = (
            self._duration,
            self._first,
            self._per_token,
            self._tokens,
            self._overhead,
            self._head,
            self._stream,
        )
        self._unsorted = 0
        self._kept: dict[_Key, _Series] = {}
        self._codes: dict[str, Count] = {}

    def waited(self, seconds: float) -> None:
        """Take note of a wait for a slot."""
        self._queue.observe(seconds)

    def take(self, observations: Iterable[Observation]) -> None:
        """Count exchanges that are over."""
        for observation in observations:
            self.observe(observation)
            self._unsorted += 1
        if self._unsorted >= _MANY:
            self._unsorted = 0
            for histogram in self._timed:
                histogram.sort_in()

    def observe(self, seen: Observation) -> None:
        """Count one exchange."""
        self._series_of(seen).count(seen)
        if seen.attempts > 1:
            self._retries.inc(seen.attempts - 1)
        if seen.dropped:
            self._dropped.inc(len(seen.dropped))
        if seen.cancelled:
            self._abandoned.inc()
        elif seen.code is not None:
            self._failure(seen.code).inc()

    def _failure(self, code: str) -> Count:
        """A code is one of ours; should one ever come from outside, it cannot make more than so many series."""
        found = self._codes.get(code)
        if found is None:
            known = len(self._codes) < _MOST_CODES
            found = self._failures.labels(code if known else "other")
            if known:
                self._codes[code] = found
        return found

    def _series_of(self, seen: Observation) -> "_Series":
        code = seen.upstream_code if seen.upstream_code in _CODES else ""
        key = (seen.path, seen.provider, seen.plan, seen.model, seen.status // 100, code, seen.stream)
        found = self._kept.get(key)
        if found is None:
            found = self._make(key)
            # Bounded, because a model's name is whatever clients send; what is not kept is looked up again.
            if len(self._kept) < _MOST_KEPT:
                self._kept[key] = found
        return found

    def _make(self, key: _Key) -> "_Series":
        route, provider, plan, name, hundred, code, stream = key
        model = name if self._is_known_model(name) else "other"
        return _Series(
            requests=self._requests.labels(route, provider, plan, model, f"{hundred}xx", code),
            duration=self._duration.labels(model, str(stream).lower()),
            first=self._first.labels(model),
            per_token=self._per_token.labels(model),
            head=self._head.labels(model),
            stream=self._stream.labels(model),
            overhead=self._overhead.only,
            input=self._tokens.labels(model, "input"),
            cached=self._tokens.labels(model, "cached"),
            output=self._tokens.labels(model, "output"),
            reasoning=self._tokens.labels(model, "reasoning"),
        )


class _Series(msgspec.Struct, frozen=True, kw_only=True):
    """The series that exchanges of one kind count into."""

    requests: Count
    duration: Spread
    first: Spread
    per_token: Spread
    head: Spread
    stream: Spread
    overhead: Spread
    input: Spread
    cached: Spread
    output: Spread
    reasoning: Spread

    def count(self, seen: Observation) -> None:
        """Count an exchange; `take` sorts in what has come together, as does whoever looks."""
        self.requests.value += 1
        self.duration.add(seen.ended_at - seen.begun_at)
        usage = seen.usage
        if usage is not None:
            self._tokens(usage)
        if seen.sent_at is not None and seen.head_at is not None:
            self.head.add(seen.head_at - seen.sent_at)
        if seen.overhead is not None:
            self.overhead.add(seen.overhead)
        first = seen.first_byte_at
        if first is not None:
            self.first.add(first - seen.begun_at)
            if seen.stream:
                self._streamed(seen.ended_at - first, usage)
        if seen.trace_id is not None:
            self._show(seen, seen.trace_id)

    def _streamed(self, spent: float, usage: Usage | None) -> None:
        self.stream.add(spent)
        tokens = 0 if usage is None else usage.output or 0
        if tokens > 1:
            self.per_token.add(spent / (tokens - 1))

    def _tokens(self, usage: Usage) -> None:
        if usage.input:
            self.input.add(usage.input)
        if usage.cache_read:
            self.cached.add(usage.cache_read)
        if usage.output:
            self.output.add(usage.output)
        if usage.reasoning:
            self.reasoning.add(usage.reasoning)

    def _show(self, seen: Observation, trace: str) -> None:
        """Name the trace of an exchange where its times are shown."""
        self.duration.show(seen.ended_at - seen.begun_at, trace)
        if seen.sent_at is not None and seen.head_at is not None:
            self.head.show(seen.head_at - seen.sent_at, trace)
        if seen.overhead is not None:
            self.overhead.show(seen.overhead, trace)
        if seen.first_byte_at is not None:
            self.first.show(seen.first_byte_at - seen.begun_at, trace)
            if seen.stream:
                self.stream.show(seen.ended_at - seen.first_byte_at, trace)


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """Where the numbers of the moment are read."""

    in_flight: Callable[[], int]
    waiting: Callable[[], int]
    slots: int
    streams: Callable[[], int]
    connections: Callable[[str], int]  # by state


def export_load(registry: CollectorRegistry, load: Load) -> None:
    """Export how busy the gateway is, read when it is scraped."""

    def connections() -> Readings:
        return {(state,): load.connections(state) for state in _STATES}

    Gauge(IN_FLIGHT, registry, load.in_flight)
    Gauge(WAITING, registry, load.waiting)
    Gauge(SLOTS, registry, lambda: load.slots)
    Gauge(STREAMS, registry, load.streams)
    Gauge(CONNECTIONS, registry, connections)
