"""
A real Prometheus scrapes a system under load: every panel and every alert finds what it asks for, and one alert fires.

Two processes, because no single one exports everything: a login on the coding plan, and the start plan with its captcha
service. Faults are injected so that what counts faults has something to count.
"""

import contextlib
import itertools
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.rules.test_names import CHART, EXPRESSIONS, IN_RULES
from tests.support.certificates import Authority
from tests.support.collector import collector
from tests.support.laptop import Laptop, Served
from tests.support.prometheus import Prometheus, prometheus
from tests.support.simulator_process import simulator_process

RULES = CHART / "alerts" / "zcode.rules.yaml"
OPENMETRICS = {"accept": "application/openmetrics-text;version=1.0.0"}

# A record that was tampered with, a captcha that a person passed; and what only a gateway of its own tells.
NEVER_HERE = (
    "zcode_undecryptable_records_total",
    "zcode_captcha_outcomes_total",
    "zcode_captcha_page_events_total",
    "zcode_config_",
    "zcode_issuer_keys_read_timestamp_seconds",  # of a service that knows Kubernetes' accounts
)


def _providers(origin: str) -> dict[str, Any]:
    oauth = {
        "authorizeUrl": f"{origin}/api/oauth/authorize",
        "tokenUrl": f"{origin}/api/v1/oauth/token",
        "initUrl": f"{origin}/api/v1/oauth/cli/init",
        "pollUrl": f"{origin}/api/v1/oauth/cli/poll",
        "bizBase": origin,
        "loginUrl": f"{origin}/api/auth/z/login",
    }
    bases = {"anthropicBase": f"{origin}/api/anthropic", "openaiBase": f"{origin}/api/coding/paas/v4"}
    return {"zai": bases | {"oauth": oauth}}


def _ask(url: str, *, stream: bool = True, model: str = "glm-5.2") -> int:
    body = {"model": model, "max_tokens": 64, "stream": stream, "messages": [{"role": "user", "content": "hi"}]}
    try:
        return httpx2.post(f"{url}/v1/messages", json=body, timeout=20).status_code
    except httpx2.HTTPError:
        return 0


@contextmanager
def _load(*urls: str) -> Iterator[None]:
    """Ask again and again while the block runs."""
    over = threading.Event()

    def work(url: str, stream: bool) -> None:
        while not over.wait(0.1):
            _ask(url, stream=stream)

    threads = [threading.Thread(target=work, args=(url, stream)) for url in urls for stream in (True, False)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        over.set()
        for thread in threads:
            thread.join(30)


def _control(origin: str, name: str, fields: Mapping[str, Any]) -> None:
    httpx2.post(f"{origin}/_simulator/{name}", json=dict(fields)).raise_for_status()


def _now(expression: str) -> str:
    return expression.replace("$__rate_interval", "20s").replace("$namespace", ".*")


@contextmanager
def _system(tmp_path: Path, origin: str, endpoint: str) -> Iterator[tuple[Served, Served]]:
    _control(origin, "identity", {"refresh": True, "expires_in": 3600})
    _control(origin, "allowance", {"weekly": 95})
    homes = [tmp_path / name for name in ("coding", "start")]
    for home in homes:
        home.mkdir()
    coding = Laptop(
        homes[0],
        origin,
        auth={"apiKey": None, "mode": "oauth"},
        providers=_providers(origin),
        telemetry={"otlpEndpoint": endpoint},
        upstream={"caFile": str(Authority(tmp_path).file)},
        limits={"streams": 4},
    )
    coding.command("auth", "login", "zai", "--no-browser", "--flow", "poll")
    start = Laptop(
        homes[1],
        origin,
        plan="start-plan",
        startPlan={
            "jwt": "a.b.c",
            "base": f"{origin}/api/v1/zcode-plan",
            "configsUrl": f"{origin}/api/v1/client/configs",
        },
        captcha={"port": 0, "timeoutMs": 200},
    )
    with coding.serving(OTEL_BSP_SCHEDULE_DELAY="200") as first, start.serving() as second:
        yield first, second


@pytest.mark.promise("P-51")
def test_prometheus_finds_what_every_panel_and_alert_asks_for_and_one_alert_fires(tmp_path: Path) -> None:
    with contextlib.ExitStack() as stack:
        origin = stack.enter_context(simulator_process())
        traces = stack.enter_context(collector())
        first, second = stack.enter_context(_system(tmp_path, origin, traces.url))
        targets = [served.admin_url.removeprefix("http://") for served in (first, second)]
        server = stack.enter_context(prometheus(tmp_path, targets, RULES))
        stack.enter_context(_load(first.url))
        assert 200 == _ask(first.url)
        for code, times in (("1302", 3), ("1305", 6), ("500", 2)):
            _control(origin, "script", {"script": f"error={code}", "times": times})
        _control(origin, "start-plan", {"challenge": True})
        for _ in range(3):
            _ask(second.url)
        missing = _wait_for_all(server)
        assert [] == missing
        assert "ZcodePlanStopped" not in server.firing()

        _control(origin, "script", {"script": "error=1313", "times": 1})
        labels = _wait_for_alert(server, "ZcodePlanStopped", first.url)
        assert ("zai", "1313", "critical") == (labels["provider"], labels["upstream_code"], labels["severity"])
        assert "ZcodeQuotaLow" in server.firing()
        assert {"zcode"} == {target["labels"]["job"] for target in server.get("targets")["activeTargets"]}
        assert server.get(
            "query_exemplars", query="zcode_overhead_seconds_bucket", start="0", end=f"{time.time() + 60}"
        )


def _wait_for_all(server: Prometheus) -> list[str]:
    """Return the expressions that still give nothing after a while. An alert's is asked for what it compares."""
    asked = [_now(_side(text) if text in IN_RULES else text) for text in EXPRESSIONS]
    left = [text for text in asked if not any(name in text for name in NEVER_HERE)]
    deadline = time.monotonic() + 60
    while left and time.monotonic() < deadline:
        left = [text for text in left if not server.query(text)]
        time.sleep(0.5)
    return left


def _side(expression: str) -> str:
    """Return what an alert looks at, without the bound that makes it fire."""
    if expression.startswith("absent("):
        return expression.removeprefix("absent(").rstrip().removesuffix(")")
    if "unless" in expression:  # asks for what has not happened before
        return "zcode_requests_total"
    depth = 0
    for at, character in enumerate(expression):
        depth += {"(": 1, ")": -1}.get(character, 0)
        if depth == 0 and expression[at : at + 3] in (" > ", " < ", " =="):
            return expression[:at]
    return expression


def _wait_for_alert(server: Prometheus, name: str, url: str) -> dict[str, str]:
    """Ask for one model after the other, because those that failed before are being left alone by now."""
    models = itertools.cycle(("glm-4.7", "glm-4.6", "glm-5", "glm-4.5-air", "glm-5-turbo"))
    deadline = time.monotonic() + 60
    while name not in (firing := server.firing()):
        assert time.monotonic() < deadline, firing
        _ask(url, model=next(models))
        time.sleep(0.2)
    return firing[name]
