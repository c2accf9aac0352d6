"""One request, three processes, one trace: whoever was asked for something is a child of who asked."""

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx2

from services.credentials.contract import Kind
from services.credentials.records import Secrets
from tests.support.cluster import Cluster, Running
from tests.support.collector import Collector, GotSpan, collector
from tests.support.redis_server import free_port
from tests.support.simulator_process import simulator_process

JWT = "eyJhbGciOiJub25lIn0.eyJpYXQiOjE3NjAwMDAwMDAsInN1YiI6ImNhbmFyeSJ9.x"
SERVER, CLIENT = 2, 3
EXPECTED = {
    ("zcode-gateway", "POST /v1/messages"),
    ("zcode-gateway", "captcha POST /v1/start-plan/token"),
    ("zcode-gateway", "chat glm-5.2"),
    ("zcode-captcha", "POST /v1/start-plan/token"),
    ("zcode-credentials", "POST /v1/reports"),
}


def _cluster(home: Path, origin: str, traces: Collector) -> Cluster:
    path = str(home / "captcha.sock")
    token = home / "captcha.token"
    token.write_text("a-token-between-gateway-and-captcha\n")
    more = {
        "plan": "start-plan",
        "startPlan": {"base": f"{origin}/api/v1/zcode-plan", "configsUrl": f"{origin}/api/v1/client/configs"},
        "captcha": {
            "socket": path,
            "address": f"unix:{path}",
            "tokenFile": str(token),
            "port": free_port(),
            "adminPort": free_port(),
            "timeoutMs": 300,
        },
        "telemetry": {"quotaSeconds": 0},
    }
    environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": traces.url, "OTEL_BSP_SCHEDULE_DELAY": "50"}
    return Cluster(home / "cluster", origin, socket=True, environment=environment, more=more)


@contextmanager
def _captcha(cluster: Cluster) -> Iterator[Running]:
    with cluster.running("captcha", "--config", "config.yaml") as service:
        port = cluster.settings["captcha"]["adminPort"]
        cluster.wait(lambda: cluster.readiness(port)[0] == 200, service)
        yield service


async def test_a_request_that_needs_all_three_is_one_trace(tmp_path: Path) -> None:
    with ExitStack() as stack:
        traces = stack.enter_context(collector())
        origin = stack.enter_context(simulator_process())
        cluster = _cluster(tmp_path, origin, traces)
        cluster.command("init")
        await cluster.add(kind=Kind.API_KEY, secrets=Secrets(start_plan_jwt=JWT))
        httpx2.post(f"{origin}/_simulator/start-plan", json={"jwts": ["another one"]}).raise_for_status()
        stack.enter_context(cluster.credentials())
        stack.enter_context(_captcha(cluster))
        stack.enter_context(cluster.gateway())
        cluster.wait(lambda: cluster.readiness()[0] == 200)

        assert 401 == cluster.ask(None).status_code  # the upstream refuses the token, and everybody hears of it
        spans = _whole_trace(traces)

    (root,) = [span for span in spans if not span.parent_id]
    assert ("zcode-gateway", SERVER, "POST /v1/messages") == (root.service, root.kind, root.name)
    assert {root.trace_id} == {span.trace_id for span in spans}
    above = {span.span_id: span for span in spans}
    for span in spans:
        parent = above.get(span.parent_id)
        if span.kind == SERVER and parent is not None:  # a service is called by another process of ours
            assert CLIENT == parent.kind
            assert span.service != parent.service
    assert not [body for body in traces.raw if JWT.encode() in body]


def _whole_trace(traces: Collector) -> list[GotSpan]:
    """Return the spans once each of the three has told its part and nobody's parent is missing."""
    deadline = time.monotonic() + 30
    while True:
        spans = traces.spans
        known = {span.span_id for span in spans} | {""}
        if {(span.service, span.name) for span in spans} >= EXPECTED and all(span.parent_id in known for span in spans):
            return spans
        assert time.monotonic() < deadline, [(span.service, span.name, span.parent_id in known) for span in spans]
        time.sleep(0.05)
