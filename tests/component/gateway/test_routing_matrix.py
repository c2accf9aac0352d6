"""
Where every kind of call goes, and with which credential: provider x plan x upstream format x client dialect x stream.

Asserted is what the simulator was really asked, and that the client was answered in its own dialect.
"""

import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest

from services.chassis.secret import Secret
from services.gateway.routing import Plan, UpstreamFormat
from services.gateway.wire.formats import WireFormat
from services.simulator.app import Simulator
from services.simulator.records import Request
from services.simulator.start_plan import BASE, PATHS
from services.simulator.wire import Wire
from tests.support.dialects import ANTHROPIC, OPENAI, PATH, RESPONSES, UPSTREAM_PATH, client_of, error_in, small
from tests.support.gateway import RunningGateway, gateway_settings, running_gateway
from tests.support.reading import events_of
from tests.support.simulated import TEST_SETTINGS, running_simulator

_KEY = "id-of-key.secret.with.dots"
_JWT = "start-plan-token"

# plan, upstreamFormat, client -> the format spoken upstream: the seed's table, and what the setting makes of it.
_TABLE: list[tuple[Plan, str, WireFormat, WireFormat]] = [
    (Plan.CODING, "anthropic", ANTHROPIC, ANTHROPIC),
    (Plan.CODING, "anthropic", OPENAI, ANTHROPIC),
    (Plan.CODING, "openai", ANTHROPIC, OPENAI),
    (Plan.CODING, "openai", OPENAI, OPENAI),
    (Plan.CODING, "native", ANTHROPIC, ANTHROPIC),
    (Plan.CODING, "native", OPENAI, OPENAI),
    (Plan.START, "anthropic", ANTHROPIC, ANTHROPIC),
    (Plan.START, "anthropic", OPENAI, ANTHROPIC),
    (Plan.START, "openai", ANTHROPIC, OPENAI),
    (Plan.START, "openai", OPENAI, OPENAI),
    (Plan.START, "native", ANTHROPIC, ANTHROPIC),
    (Plan.START, "native", OPENAI, OPENAI),
    (Plan.START, "auto", ANTHROPIC, OPENAI),
    (Plan.START, "auto", OPENAI, OPENAI),
    (Plan.CODING, "anthropic", RESPONSES, ANTHROPIC),
    (Plan.CODING, "openai", RESPONSES, OPENAI),
    (Plan.CODING, "native", RESPONSES, OPENAI),
    (Plan.START, "anthropic", RESPONSES, ANTHROPIC),
    (Plan.START, "auto", RESPONSES, OPENAI),
]

_START_PATH = {OPENAI: PATHS[Wire.OPENAI], ANTHROPIC: PATHS[Wire.ANTHROPIC]}

_CASES = list(itertools.product(("zai", "bigmodel"), _TABLE, (False, True)))


@asynccontextmanager
async def _gateway(provider: str, plan: Plan, setting: str) -> AsyncIterator[RunningGateway]:
    simulator = Simulator(TEST_SETTINGS)
    async with running_simulator(simulator) as origin:
        changes: dict[str, Any] = {
            "provider": provider,
            "plan": plan,
            "auth": {"api_key": Secret(_KEY)},
            "start_plan": {
                "base": f"{origin}{BASE}//",
                "jwt": Secret(_JWT),
                "upstream_format": UpstreamFormat(setting),
                "system_blocks": (),
            },
        }
        coding = "anthropic" if plan is Plan.START else setting
        async with running_gateway(origin, simulator=simulator, upstream_format=coding, **changes) as gateway:
            yield gateway


@pytest.mark.parametrize(
    ("provider", "row", "stream"),
    _CASES,
    ids=[
        f"{provider}-{plan.value}-{setting}-{client.value}-{'stream' if stream else 'batch'}"
        for provider, (plan, setting, client, _), stream in _CASES
    ],
)
async def test_every_call_takes_its_route(
    provider: str, row: tuple[Plan, str, WireFormat, WireFormat], stream: bool
) -> None:
    plan, setting, client_dialect, upstream = row
    async with _gateway(provider, plan, setting) as gateway, client_of(gateway) as client:
        asked = small(client_dialect, "sim:text=Hello%20there", stream=stream)
        answer = await client.post(PATH[client_dialect], json=asked)

    assert 200 == answer.status_code, answer.text
    [request] = gateway.upstream_requests
    expected = (UPSTREAM_PATH if plan is Plan.CODING else _START_PATH)[upstream]
    assert expected.encode() == request.target
    _check_credential(request, plan, upstream)
    _check_body(request, client_dialect, upstream, stream=stream)
    assert "Hello there" == _said(client_dialect, answer.content, stream=stream)


def _check_credential(request: Request, plan: Plan, upstream: WireFormat) -> None:
    key = _KEY if plan is Plan.CODING else _JWT
    by_header = plan is Plan.CODING and upstream is ANTHROPIC
    assert (key.encode() if by_header else None) == request.header(b"x-api-key")
    assert (None if by_header else b"Bearer " + key.encode()) == request.header(b"authorization")
    assert (b"2023-06-01" if upstream is ANTHROPIC else None) == request.header(b"anthropic-version")
    assert (plan is Plan.CODING) == (request.header(b"x-session-id") is not None)


def _check_body(request: Request, client: WireFormat, upstream: WireFormat, *, stream: bool) -> None:
    sent = msgspec.json.decode(request.body)
    assert stream == sent.get("stream", False)
    assert "sim:text=Hello%20there" == sent["model"]
    [message] = sent["messages"]
    if upstream is ANTHROPIC:
        assert sent["max_tokens"] > 0
        block = {"type": "text", "text": "hi", "cache_control": {"type": "ephemeral"}}
        assert {"role": "user", "content": [block]} == message
    else:
        assert {"role": "user", "content": "hi"} == message
        assert ({"include_usage": True} if stream else None) == sent.get("stream_options")
        assert (64 if client is ANTHROPIC else None) == sent.get("max_tokens")


def _said(dialect: WireFormat, body: bytes, *, stream: bool) -> str:
    if not stream:
        whole = msgspec.json.decode(body)
        if dialect is ANTHROPIC:
            return "".join(block["text"] for block in whole["content"] if block["type"] == "text")
        if dialect is RESPONSES:
            return "".join(item["content"][0]["text"] for item in whole["output"] if item["type"] == "message")
        return str(whole["choices"][0]["message"]["content"])
    events = events_of(body)
    if dialect is ANTHROPIC:
        return "".join(event["delta"].get("text", "") for event in events if event["type"] == "content_block_delta")
    if dialect is RESPONSES:
        return "".join(event["delta"] for event in events if event["type"] == "response.output_text.delta")
    return "".join(
        choice["delta"].get("content") or "" for event in events for choice in event["choices"] if "delta" in choice
    )


@pytest.mark.parametrize("dialect", [OPENAI, ANTHROPIC, RESPONSES])
@pytest.mark.parametrize(("plan", "names"), [(Plan.CODING, "auth.apiKey"), (Plan.START, "startPlan.jwt")])
async def test_without_a_credential_nothing_goes_upstream(dialect: WireFormat, plan: Plan, names: str) -> None:
    async with (
        running_gateway(plan=plan, auth={"api_key": None if plan is Plan.CODING else Secret(_KEY)}) as gateway,
        client_of(gateway) as client,
    ):
        answer = await client.post(PATH[dialect], json=small(dialect))

    assert (500, "false") == (answer.status_code, answer.headers["x-should-retry"])
    assert names in error_in(dialect, answer).message
    assert [] == gateway.upstream_requests


async def test_a_providers_own_credential_wins() -> None:
    simulator = Simulator(TEST_SETTINGS)
    async with running_simulator(simulator) as origin:
        rows = gateway_settings(origin).providers
        own = {name: msgspec.structs.replace(row, credential=Secret(f"{name}-own")) for name, row in rows.items()}
        async with (
            running_gateway(origin, simulator=simulator, provider="bigmodel", providers=own) as gateway,
            client_of(gateway) as client,
        ):
            assert 200 == (await client.post(PATH[ANTHROPIC], json=small(ANTHROPIC))).status_code

    assert b"bigmodel-own" == gateway.upstream_requests[0].header(b"x-api-key")
