"""
An OTLP collector that keeps what it gets, on a thread of its own; or one that takes connections and says nothing.

    with collector() as traces: ... traces.url ... traces.spans
"""

import gzip
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import msgspec
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


class GotSpan(msgspec.Struct, frozen=True, kw_only=True):
    """One span as it came."""

    service: str
    name: str
    kind: int  # 2 server, 3 client
    trace_id: str
    span_id: str
    parent_id: str
    attributes: dict[str, Any]
    failed: bool
    seconds: float


class Collector:
    """What came. `raw` is every body, for searches."""

    def __init__(self) -> None:
        self.url = ""
        self.raw: list[bytes] = []
        self._lock = threading.Lock()

    def take(self, body: bytes) -> None:
        with self._lock:
            self.raw.append(body)

    @property
    def spans(self) -> list[GotSpan]:
        """Every span so far."""
        with self._lock:
            bodies = list(self.raw)
        return [span for body in bodies for span in _spans(body)]

    def wait_for(self, count: int, seconds: float = 30.0) -> list[GotSpan]:
        """Return the spans once there are so many."""
        deadline = time.monotonic() + seconds
        while len(found := self.spans) < count:
            assert time.monotonic() < deadline, [span.name for span in found]
            time.sleep(0.02)
        return found


def _spans(body: bytes) -> Iterator[GotSpan]:
    for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
        named = {pair.key: pair.value.string_value for pair in resource.resource.attributes}
        for scope in resource.scope_spans:
            for span in scope.spans:
                yield GotSpan(
                    service=named["service.name"],
                    name=span.name,
                    kind=span.kind,
                    trace_id=span.trace_id.hex(),
                    span_id=span.span_id.hex(),
                    parent_id=span.parent_span_id.hex(),
                    attributes={
                        pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in span.attributes
                    },
                    failed=span.status.code == 2,
                    seconds=(span.end_time_unix_nano - span.start_time_unix_nano) / 1e9,
                )


@contextmanager
def collector() -> Iterator[Collector]:
    """Serve until the block ends."""
    kept = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            kept.take(gzip.decompress(body) if self.headers.get("content-encoding") == "gzip" else body)
            self.send_response(200 if self.path == "/v1/traces" else 404)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    kept.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield kept
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def black_hole() -> Iterator[str]:
    """Take connections and never answer; give the address."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
