"""
The gateway's metrics: OpenTelemetry GenAI names where they exist, `zcode_` for the rest (design.md section 7).

Labels are bounded: an unknown model is `other`, a code comes from our own tables. Children are looked up once
per label set and kept, because a look-up costs more than the increment.
"""

from collections.abc import Callable
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info

from services.gateway.observation import Observation

_SECONDS: Final = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 40, 60, 90, 120, 180, 300, 600)
_TOKENS: Final = (16, 64, 256, 1024, 4096, 16384, 65536, 131072, 262144, 1048576)
_MOST_CHILDREN: Final = 4096


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
        self._children: dict[tuple[str, ...], tuple[Counter, Histogram, Histogram]] = {}

    def gauge(self, registry: CollectorRegistry, name: str, help_text: str, read: Callable[[], float]) -> None:
        """Export a number that is read when it is scraped."""
        Gauge(name, help_text, registry=registry).set_function(read)

    def observe(self, observation: Observation) -> None:
        """Count one exchange."""
        model = observation.model if self._is_known_model(observation.model) else "other"
        counter, duration, first_byte = self._children_of(observation, model)
        counter.inc()
        duration.observe(observation.ended_at - observation.begun_at)
        if observation.first_byte_at is not None:
            first_byte.observe(observation.first_byte_at - observation.begun_at)
        if observation.attempts > 1:
            self._retries.inc(observation.attempts - 1)
        if observation.dropped:
            self._dropped.inc(len(observation.dropped))
        if observation.usage is not None:
            self._count_tokens(observation, model)

    def _children_of(self, seen: Observation, model: str) -> tuple[Counter, Histogram, Histogram]:
        status_class = f"{seen.status // 100}xx"
        code = seen.upstream_code if seen.upstream_code is not None and len(seen.upstream_code) <= 8 else ""
        key = (seen.path, seen.provider, seen.plan, model, status_class, code, str(seen.stream).lower())
        found = self._children.get(key)
        if found is None:
            found = (
                self._requests.labels(*key[:6]),
                self._duration.labels(model, key[6]),
                self._first_byte.labels(model),
            )
            if len(self._children) < _MOST_CHILDREN:
                self._children[key] = found
        return found

    def _count_tokens(self, seen: Observation, model: str) -> None:
        usage = seen.usage
        if usage is None:
            return
        kinds = (
            ("input", usage.input),
            ("cached", usage.cache_read),
            ("output", usage.output),
            ("reasoning", usage.reasoning),
        )
        for kind, count in kinds:
            if count:
                self._tokens.labels(model, kind).observe(count)
