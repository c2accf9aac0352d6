"""Spans reach a collector; one that is slow or away costs nothing; without one the SDK is not even loaded."""

import subprocess
import sys
import time
from pathlib import Path

import httpx2
import pytest
from prometheus_client import CollectorRegistry

from services.chassis.otlp import Destination, destination_of, open_traces
from services.chassis.tracing import Finished, Sampler
from tests.support.collector import black_hole, collector
from tests.support.laptop import KEY, Laptop
from tests.support.promises import show
from tests.support.redis_server import free_port
from tests.support.simulator_process import simulator_process

CANARY = "the-canary-of-the-prompt-that-no-trace-may-hold"
QUESTION = {"model": "glm-5.2", "max_tokens": 64, "stream": True, "messages": [{"role": "user", "content": CANARY}]}
TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
SPAN = Finished(
    name="x", kind="server", trace_id=TRACE, span_id="1" * 16, parent_id=None, began=1, ended=2, attributes={"a": 1}
)


@pytest.mark.promise("P-51")
def test_a_request_is_a_server_span_and_a_client_span_without_content(tmp_path: Path) -> None:
    with collector() as traces, simulator_process() as origin:
        laptop = Laptop(tmp_path, origin, telemetry={"otlpEndpoint": traces.url, "acceptTraceparent": True})
        with laptop.serving(OTEL_BSP_SCHEDULE_DELAY="50") as served:
            answer = httpx2.post(
                f"{served.url}/v1/messages?q={CANARY}",
                json=QUESTION,
                headers={"traceparent": f"00-{TRACE}-{PARENT}-01", "x-api-key": CANARY, "baggage": f"a={CANARY}"},
            )
            assert 200 == answer.status_code
            accept = {"accept": "application/openmetrics-text;version=1.0.0"}
            counted = httpx2.get(f"{served.admin_url}/metrics", headers=accept).text
            told = httpx2.get(f"{origin}/_simulator/requests").json()["requests"]
        client, server = sorted(traces.wait_for(2), key=lambda span: -span.kind)

    assert (TRACE, PARENT, TRACE, server.span_id) == (
        server.trace_id,
        server.parent_id,
        client.trace_id,
        client.parent_id,
    )
    assert ("zcode-gateway", "POST /v1/messages", "chat glm-5.2") == (server.service, server.name, client.name)
    assert {"http.response.status_code": 200, "gen_ai.request.model": "glm-5.2"}.items() <= server.attributes.items()
    assert client.attributes["gen_ai.usage.output_tokens"] > 0
    assert not server.failed
    assert 0 < client.seconds <= server.seconds
    assert f'trace_id="{TRACE}"' in counted  # an exemplar that leads from a graph to this trace
    assert not [name for request in told for name, _ in request["headers"] if name.lower() == "traceparent"]
    for secret in (CANARY, KEY):
        assert not [body for body in traces.raw if secret.encode() in body]


@pytest.mark.promise("P-66")
@pytest.mark.parametrize("kind", ["refused", "black hole"])
def test_a_collector_that_is_away_costs_nothing(kind: str, tmp_path: Path) -> None:
    with simulator_process() as origin, black_hole() as hole:
        endpoint = hole if kind == "black hole" else f"http://127.0.0.1:{free_port()}"
        laptop = Laptop(tmp_path, origin, telemetry={"otlpEndpoint": endpoint, "quotaSeconds": 0})
        with laptop.serving(OTEL_BSP_SCHEDULE_DELAY="20") as served, httpx2.Client() as client:
            for _ in range(50):
                assert 200 == client.post(f"{served.url}/v1/messages", json=QUESTION).status_code
            began = time.monotonic()
        ended = time.monotonic()
    show("P-66", 50, 0, collector=kind, seconds_to_end=round(ended - began, 2))

    assert ended - began < 6.0  # 3.5 s on a machine of one's own; the SDK alone would take 30
    assert "Traceback" not in served.log.read_text()


def test_without_an_endpoint_nothing_of_the_sdk_is_loaded() -> None:
    """redis-py brings the SDK's metrics along; what counts is that no exporter and no tracer is there."""
    script = (
        "import sys\n"
        "from services.gateway import process\n"
        "from services.chassis.instruments import instruments\n"
        "from prometheus_client import CollectorRegistry\n"
        "seen = instruments('gateway', CollectorRegistry(), None, {})\n"
        "seen.close()\n"
        "print(seen.traces, [name for name in sys.modules if 'sdk.trace' in name or 'exporter' in name])\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)

    assert "None []\n" == done.stdout


@pytest.mark.parametrize(
    ("endpoint", "environ", "expected"),
    [
        (None, {}, None),
        ("http://c:4318/", {}, "http://c:4318/v1/traces"),
        (None, {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318"}, "http://c:4318/v1/traces"),
        ("http://c", {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://d/x"}, "http://d/x"),
        ("http://c", {"OTEL_SDK_DISABLED": "true"}, None),
        ("http://c", {"OTEL_TRACES_EXPORTER": "none"}, None),
    ],
)
def test_the_standard_variables_count(endpoint: str | None, environ: dict[str, str], expected: str | None) -> None:
    found = destination_of(endpoint, environ)

    assert (None if expected is None else Destination(endpoint=expected, sampler=Sampler())) == found


def test_what_is_sent_and_what_is_lost_is_counted() -> None:
    registry = CollectorRegistry()
    with collector() as traces:
        opened = open_traces(traces.url, "gateway", "1.2.3", registry, {"OTEL_SERVICE_NAME": "mine"})
        assert opened is not None
        opened.add(SPAN)
        opened.close()
        (span,) = traces.spans
    assert ("mine", "x", "", {"a": 1}) == (span.service, span.name, span.parent_id, span.attributes)

    lost = open_traces(f"http://127.0.0.1:{free_port()}", "gateway", "1", CollectorRegistry(), {})
    assert lost is not None
    lost.add(SPAN)
    began = time.monotonic()
    lost.close()
    assert time.monotonic() - began < 10
    assert 1 == registry.get_sample_value("zcode_trace_spans_total", {"outcome": "sent"})
