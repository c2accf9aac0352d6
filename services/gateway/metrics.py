"""
The gateway's metrics: OpenTelemetry GenAI names where they exist, `zcode_` for the rest (design.md section 7).

Labels are bounded: an unknown model is `other`, a code comes from our own tables. Children are looked up once
per label set and kept, because a look-up costs more than the increment.
"""

from collections.abc import Callable
from typing import Final

import msgspec
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info

from services.gateway.observation import Observation
from services.gateway.translation.error_table import ROW_BY_CODE, SYSTEM_BLOCKS_MISSING
from services.gateway.translation.streams.events import Usage

_SECONDS: Final = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 40, 60, 90, 120, 180, 300, 600)
_TOKENS: Final = (16, 64, 256, 1024, 4096, 16384, 65536, 131072, 262144, 1048576)
_MOST_KEPT: Final = 4096
_CODES: Final = frozenset(map(str, (*ROW_BY_CODE, *SYSTEM_BLOCKS_MISSING.codes)))

_Key = tuple[str, str, str, str, int, str, bool]


class GatewayMetrics:
    """An Observer over one registry; the registry is the process's, never a global."""

    def __init__(self, registry: CollectorRegistry, *, is_known_model: Callable[[str], bool], version: str) -> None:
        self._is_known_model = is_known_model
        self._requests = Counter(
            "zcode_requests",
            "Requests of clients that are over, by how they ended.",
            ("route", "provider", "plan", "model", "status_class", "upstream_code"),
            registry=registry,
        )
        self._duration = Histogram(
            "gen_ai_client_operation_duration_seconds",
            "From a request's arrival to the last byte of its answer.",
            ("gen_ai_request_model", "stream"),
            buckets=_SECONDS,
            registry=registry,
        )
        self._first_byte = Histogram(
            "gen_ai_server_time_to_first_token_seconds",
            "From a request's arrival to the first byte of its answer.",
            ("gen_ai_request_model",),
            buckets=_SECONDS,
            registry=registry,
        )
        self._tokens = Histogram(
            "gen_ai_client_token_usage",
            "Tokens of one request.",
            ("gen_ai_request_model", "gen_ai_token_type"),
            buckets=_TOKENS,
            registry=registry,
        )
        self._retries = Counter("zcode_upstream_retries", "Tries beyond the first.", registry=registry)
        self._dropped = Counter(
            "zcode_translation_dropped_params", "Hints that an upstream could not be given.", registry=registry
        )
        Info("zcode_build", "What is running.", registry=registry).info({"version": version})
        self._kept: dict[_Key, _Children] = {}

    def gauge(self, registry: CollectorRegistry, name: str, help_text: str, read: Callable[[], float]) -> None:
        """Export a number that is read when it is scraped."""
        Gauge(name, help_text, registry=registry).set_function(read)

    def observe(self, observation: Observation) -> None:
        """Count one exchange."""
        children = self._children_of(observation)
        children.requests.inc()
        children.duration.observe(observation.ended_at - observation.begun_at)
        if observation.first_byte_at is not None:
            children.first_byte.observe(observation.first_byte_at - observation.begun_at)
        if observation.attempts > 1:
            self._retries.inc(observation.attempts - 1)
        if observation.dropped:
            self._dropped.inc(len(observation.dropped))
        if observation.usage is not None:
            children.count(observation.usage)

    def _children_of(self, seen: Observation) -> "_Children":
        code = seen.upstream_code if seen.upstream_code in _CODES else ""
        key = (seen.path, seen.provider, seen.plan, seen.model, seen.status // 100, code, seen.stream)
        found = self._kept.get(key)
        if found is None:
            found = self._make(key)
            # Bounded, because a model's name is whatever clients send; what is not kept is looked up again.
            if len(self._kept) < _MOST_KEPT:
                self._kept[key] = found
        return found

    def _make(self, key: _Key) -> "_Children":
        route, provider, plan, name, hundred, code, stream = key
        model = name if self._is_known_model(name) else "other"
        return _Children(
            requests=self._requests.labels(route, provider, plan, model, f"{hundred}xx", code),
            duration=self._duration.labels(model, str(stream).lower()),
            first_byte=self._first_byte.labels(model),
            input=self._tokens.labels(model, "input"),
            cached=self._tokens.labels(model, "cached"),
            output=self._tokens.labels(model, "output"),
            reasoning=self._tokens.labels(model, "reasoning"),
        )


class _Children(msgspec.Struct, frozen=True, kw_only=True):
    """The series that exchanges of one kind count into."""

    requests: Counter
    duration: Histogram
    first_byte: Histogram
    input: Histogram
    cached: Histogram
    output: Histogram
    reasoning: Histogram

    def count(self, usage: Usage) -> None:
        if usage.input:
            self.input.observe(usage.input)
        if usage.cache_read:
            self.cached.observe(usage.cache_read)
        if usage.output:
            self.output.observe(usage.output)
        if usage.reasoning:
            self.reasoning.observe(usage.reasoning)
