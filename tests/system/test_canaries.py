"""
Secrets and content are planted wherever they may enter, everything that is written or shown is searched for them.

Logs at the lowest level, traces at a collector, metrics in both formats, the status page, the audit log, the books of
usage and quota, what commands print, and the answers to requests that were refused (promises.md P-51).
"""

import json
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.support.canaries import Canaries
from tests.support.collector import Collector, collector
from tests.support.laptop import Laptop, Served
from tests.support.promises import show
from tests.support.simulator_process import simulator_process

JUNK = 300  # of each kind; ten thousand are a unit test's
OPENMETRICS = {"accept": "application/openmetrics-text;version=1.0.0"}


def _canary(name: str) -> str:
    return f"{name}{secrets.token_hex(16)}"


class _Planted:
    """What must not be found."""

    def __init__(self) -> None:
        self.canaries = Canaries()
        self.upstream_key = self._plant("upstream-key", f"{secrets.token_hex(16)}.{secrets.token_hex(12)}")
        self.client_key = self._plant("client-key", _canary("clientkey"))
        self.wrong_key = self._plant("wrong-key", _canary("wrongkey"))
        self.prompt = self._plant("prompt", _canary("prompt"))
        self.completion = self._plant("completion", _canary("completion"))
        self.tool = self._plant("tool input", _canary("toolinput"))
        self.header = self._plant("header", _canary("header"))
        self.query = self._plant("query", _canary("query"))
        self.broken = self._plant("broken body", _canary("brokenbody"))
        self.upstream_text = self._plant("the upstream's text", _canary("upstreamtext"))

    def _plant(self, name: str, secret: str) -> str:
        self.canaries.plant(name, secret)
        return secret


def _requests(planted: _Planted) -> Iterator[dict[str, Any]]:
    """Yield requests that go well and that go wrong, each with something planted in it."""
    key = {"x-api-key": planted.client_key, "x-custom": planted.header, "traceparent": planted.header}
    text = {"role": "user", "content": planted.prompt}
    call = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": json.dumps({"a": planted.tool})}}
    body = {"model": "glm-5.2", "max_tokens": 64, "messages": [text]}
    tools = [
        text,
        {"role": "assistant", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": planted.tool},
    ]
    yield from _responses(planted, key)
    for path in ("/v1/messages", "/v1/chat/completions"):
        target = f"{path}?secret={planted.query}"
        for stream in (True, False):
            yield {"url": target, "headers": key, "json": body | {"stream": stream}}
        yield {"url": target, "headers": key, "content": f'{{"model": "glm-5.2", "x": "{planted.broken}'.encode()}
        yield {"url": target, "headers": key, "json": body | {"messages": planted.broken}}
        yield {"url": target, "headers": {"x-api-key": planted.wrong_key}, "json": body}
        yield {"url": target, "headers": {"authorization": planted.wrong_key}, "json": body}
    yield {"url": "/v1/chat/completions", "headers": key, "json": body | {"messages": tools}}
    yield {"url": f"/v1/nothing?secret={planted.query}", "headers": key, "json": body}


def _responses(planted: _Planted, key: dict[str, str]) -> Iterator[dict[str, Any]]:
    target = f"/v1/responses?secret={planted.query}"
    call = {"type": "function_call", "call_id": "c1", "name": "f", "arguments": json.dumps({"a": planted.tool})}
    said = [
        {"role": "user", "content": planted.prompt},
        {"type": "reasoning", "summary": [], "encrypted_content": planted.prompt},
        call,
    ]
    body = {"model": "glm-5.2", "input": planted.prompt, "metadata": {"a": planted.prompt}}
    for stream in (True, False):
        yield {"url": target, "headers": key, "json": body | {"stream": stream}}
    answered = [*said, {"type": "function_call_output", "call_id": "c1", "output": planted.tool}]
    yield {"url": target, "headers": key, "json": body | {"input": answered}}
    for broken in ([planted.broken], said, [{"type": "message", "role": "user", "content": [planted.broken]}]):
        yield {"url": target, "headers": key, "json": body | {"input": broken}}
    yield {"url": target, "headers": {"authorization": planted.wrong_key}, "json": body}


def _refusals(url: str, planted: _Planted) -> list[bytes]:
    """Make every request; return what those were told that failed."""
    told = []
    for request in _requests(planted):
        answer = httpx2.post(f"{url}{request.pop('url')}", timeout=30, **request)
        if answer.status_code >= 400:
            told.append(answer.content)
    return told


def _faults(origin: str, url: str, planted: _Planted) -> None:
    """Let the upstream fail in several ways, with a text of its own."""
    text = planted.upstream_text
    scripts = [f"error=1210;message={text}", f"error=1302;message={text}", f"error={text}", f"error=1210 {text[:20]}"]
    for script in (*scripts, "answer=garbage", "answer=html", "cut=40"):
        pushed = httpx2.post(f"{origin}/_simulator/script", json={"script": script})
        if pushed.status_code == 200:  # else the grammar does not know it
            key = {"x-api-key": planted.client_key}
            body = {"model": "glm-4.7", "max_tokens": 9, "messages": [{"role": "user", "content": planted.prompt}]}
            httpx2.post(f"{url}/v1/messages", headers=key, json=body, timeout=30)


def _answers(origin: str, url: str, planted: _Planted) -> None:
    """Let the upstream say what must not be found, as it is and in the other dialect."""
    key = {"x-api-key": planted.client_key}
    said = [{"role": "user", "content": planted.prompt}]
    for path, asked in (("messages", "messages"), ("chat/completions", "messages"), ("responses", "input")):
        for stream in (True, False):
            script = f"text={planted.completion};reasoning=first"
            httpx2.post(f"{origin}/_simulator/script", json={"script": script}).raise_for_status()
            body = {"model": "glm-5.2", "max_tokens": 64, "stream": stream, asked: said}
            answer = httpx2.post(f"{url}/v1/{path}", headers=key, json=body, timeout=30)
            assert planted.completion in answer.text


def _shown(served: Served) -> list[bytes]:
    admin = served.admin_url
    return [
        httpx2.get(f"{admin}/metrics").content,
        httpx2.get(f"{admin}/metrics", headers=OPENMETRICS).content,
        httpx2.get(f"{admin}/status").content,
        httpx2.get(f"{admin}/status.json").content,
        httpx2.get(f"{admin}/readyz").content,
    ]


@pytest.mark.promise("P-51")
def test_nothing_planted_is_found_in_anything_that_is_written_or_shown(tmp_path: Path) -> None:
    planted = _Planted()
    auth = {"apiKey": planted.upstream_key, "proxyApiKey": planted.client_key}
    with collector() as traces, simulator_process() as origin:
        laptop = _laptop(tmp_path, origin, traces, auth)
        with laptop.serving(OTEL_BSP_SCHEDULE_DELAY="50") as served:
            told = _refusals(served.url, planted)
            _answers(origin, served.url, planted)
            _faults(origin, served.url, planted)
            shown = _shown(served)
            traces.wait_for(4)
        printed = [
            laptop.command(*words).encode() for words in (("usage", "--json"), ("usage", "--csv"), ("quota", "--json"))
        ]
    written = [path.read_bytes() for path in laptop.store.rglob("*") if path.is_file()]

    assert len(told) >= 8
    assert served.log.read_text().count('"event":"request"') >= 8
    assert served.log.read_text().count('"event":"headers"') >= 8
    places = {
        "the log": [served.log.read_bytes()],
        "traces": traces.raw,
        "metrics and status": shown,
        "refusals": told,
        "commands": printed,
        "files": written,
    }
    found = {name: planted.canaries.found_in(*texts) for name, texts in places.items()}
    hits = sum(map(len, found.values()))
    show(
        "P-51",
        sum(map(len, places.values())),
        hits,
        bytes=sum(len(text) for texts in places.values() for text in texts),
    )
    assert {name: set() for name in places} == found


def _laptop(home: Path, origin: str, traces: Collector, auth: dict[str, str]) -> Laptop:
    telemetry = {"otlpEndpoint": traces.url, "acceptTraceparent": True}
    return Laptop(home, origin, auth=auth, telemetry=telemetry, logging={"level": "debug"})


@pytest.mark.promise("P-51")
def test_junk_leaves_the_number_of_series_bounded(tmp_path: Path) -> None:
    with simulator_process() as origin:
        laptop = Laptop(tmp_path, origin, telemetry={"quotaSeconds": 0}, auth={"proxyApiKey": "the-key-of-this-test"})
        with laptop.serving() as served, httpx2.Client() as client:
            _junk(client, served.url, 3)
            before = len(client.get(f"{served.admin_url}/metrics").text.splitlines())
            _junk(client, served.url, JUNK)
            after = len(client.get(f"{served.admin_url}/metrics").text.splitlines())

    show("P-51", 3 * JUNK, max(0, after - before - 5), lines_before=before, lines_after=after)
    assert after <= before + 5


def _junk(client: httpx2.Client, url: str, count: int) -> None:
    body = {"max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}
    key = {"x-api-key": "the-key-of-this-test"}
    for _ in range(count):
        name = secrets.token_hex(8)
        client.post(f"{url}/v1/messages", json=body | {"model": name}, headers=key)
        client.post(f"{url}/v1/messages", json=body | {"model": "glm-5.2"}, headers={"x-api-key": name})
        client.get(f"{url}/v1/{name}", headers=key)
