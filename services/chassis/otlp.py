"""
Sends spans to an OpenTelemetry collector (OTLP over HTTP, protobuf), from a thread of the SDK's own.

The SDK is imported here and nowhere else, and only when `open_traces` finds that traces are wanted. A collector that is
slow or away costs spans, which are counted, and nothing else (P-66): the queue is bounded, an export takes two seconds
at most, and the end of the process does not wait for it longer than `_PATIENCE` (promises.md D23).
"""

import logging
import threading
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import msgspec
from prometheus_client import CollectorRegistry

from services.chassis.telemetry import Counter, Family
from services.chassis.tracing import Finished, Sampler, sampler_of

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.sdk.trace.export import SpanExportResult

SPANS: Final = Family(
    name="zcode_trace_spans",
    kind="counter",
    help="Spans that a collector took, or that were lost on the way.",
    labels=("outcome",),
)
FAMILIES: Final = (SPANS,)

_TIMEOUT: Final = 2.0  # seconds of one export
_PATIENCE: Final = 2.5  # seconds that the end of the process gives to the last one
_PATH: Final = "/v1/traces"
_SCOPE: Final = "zcode-proxy"


class Destination(msgspec.Struct, frozen=True, kw_only=True):
    """Where spans go, and which."""

    endpoint: str
    sampler: Sampler


def destination_of(endpoint: str | None, environ: Mapping[str, str]) -> Destination | None:
    """Return what the settings and the standard variables want; None: no traces."""
    if environ.get("OTEL_SDK_DISABLED", "").lower() == "true" or environ.get("OTEL_TRACES_EXPORTER") == "none":
        return None
    whole = environ.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") or None
    base = endpoint or environ.get("OTEL_EXPORTER_OTLP_ENDPOINT") or None
    if whole is None and base is None:
        return None
    return Destination(endpoint=whole or f"{(base or '').rstrip('/')}{_PATH}", sampler=sampler_of(environ))


class Traces:
    """A `tracing.Sink` with its sampler. `close` it at the end; it does not block for long."""

    def __init__(
        self,
        destination: Destination,
        service: str,
        version: str,
        registry: CollectorRegistry,
        environ: Mapping[str, str],
    ) -> None:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415 -- when wanted
        from opentelemetry.sdk.resources import Resource  # noqa: PLC0415 -- as above
        from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415 -- as above
        from opentelemetry.sdk.util.instrumentation import InstrumentationScope  # noqa: PLC0415 -- as above

        logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)  # it says at every export that nobody is there
        self.sampler = destination.sampler
        spans = Counter(SPANS, registry)
        name = environ.get("OTEL_SERVICE_NAME") or f"zcode-{service}"
        self._resource = Resource.create({"service.name": name, "service.version": version})
        self._scope = InstrumentationScope(_SCOPE, version)
        exporter: Any = OTLPSpanExporter(endpoint=destination.endpoint, timeout=_TIMEOUT)
        counting: Any = _Counting(exporter, spans.labels("sent"), spans.labels("lost"))
        self._processor = BatchSpanProcessor(counting)

    def add(self, span: Finished) -> None:
        """Queue a span; what the queue does not hold is lost and that is all."""
        self._processor.on_end(self._as_otel(span))

    def close(self) -> None:
        """Send what waits, for so long at most."""
        thread = threading.Thread(target=self._processor.shutdown, name="traces", daemon=True)
        thread.start()
        thread.join(_PATIENCE)

    def _as_otel(self, span: Finished) -> "ReadableSpan":
        from opentelemetry.sdk.trace import ReadableSpan  # noqa: PLC0415 -- loaded already
        from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags  # noqa: PLC0415 -- as above

        flags = TraceFlags(TraceFlags.SAMPLED)
        trace = int(span.trace_id, 16)
        context = SpanContext(trace, int(span.span_id, 16), is_remote=False, trace_flags=flags)
        parent = None
        if span.parent_id is not None:
            parent = SpanContext(trace, int(span.parent_id, 16), is_remote=span.kind == "server", trace_flags=flags)
        attributes = dict(span.attributes) | ({"error.type": span.error} if span.error else {})
        return ReadableSpan(
            name=span.name,
            context=context,
            parent=parent,
            resource=self._resource,
            attributes=attributes,
            kind=SpanKind[span.kind.upper()],
            status=Status(StatusCode.ERROR if span.error else StatusCode.UNSET),
            start_time=span.began,
            end_time=span.ended,
            instrumentation_scope=self._scope,
        )


def open_traces(
    endpoint: str | None, service: str, version: str, registry: CollectorRegistry, environ: Mapping[str, str]
) -> Traces | None:
    """Return where spans go, None where no traces are wanted: then nothing of the SDK is loaded."""
    destination = destination_of(endpoint, environ)
    return None if destination is None else Traces(destination, service, version, registry, environ)


class _Counting:
    """An exporter that counts what became of spans. Called on the SDK's thread; the numbers may be a little late."""

    def __init__(self, exporter: Any, sent: Any, lost: Any) -> None:
        self._exporter = exporter
        self._sent = sent
        self._lost = lost

    def export(self, spans: "Sequence[ReadableSpan]") -> "SpanExportResult":
        result: SpanExportResult = self._exporter.export(spans)
        (self._sent if result.name == "SUCCESS" else self._lost).inc(len(spans))
        return result

    def shutdown(self) -> None:
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return bool(self._exporter.force_flush(timeout_millis))
