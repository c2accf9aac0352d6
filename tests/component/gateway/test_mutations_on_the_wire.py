"""M1, M2 and M5 as the upstream sees them, and nothing else changed: upstream.md section 4."""

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest

from services.gateway.wire.formats import WireFormat
from tests.support.dialects import ANTHROPIC, OPENAI, PATH, client_of, small
from tests.support.gateway import RunningGateway, running_gateway

_EPHEMERAL = {"type": "ephemeral"}


@pytest.fixture(scope="module")
async def serving() -> AsyncIterator[RunningGateway]:
    async with running_gateway(upstream_format="native") as running:
        yield running


@pytest.fixture
def gateway(serving: RunningGateway) -> RunningGateway:
    serving.simulator.records.reset()
    return serving


@pytest.fixture
async def client(gateway: RunningGateway) -> AsyncIterator[httpx2.AsyncClient]:
    async with client_of(gateway) as made:
        yield made


async def _sent(gateway: RunningGateway, client: httpx2.AsyncClient, dialect: WireFormat, body: Any) -> Any:
    answer = await client.post(PATH[dialect], json=body)
    assert 200 == answer.status_code, answer.text
    return json.loads(gateway.upstream_requests[-1].body)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, {"include_usage": True}),
        ({"stream_options": None}, {"include_usage": True}),
        ({"stream_options": {"include_usage": False}}, {"include_usage": True}),
        ({"stream_options": {"include_usage": True, "x": [1.50]}}, {"include_usage": True, "x": [1.5]}),
        ({"stream_options": {"x": 1}}, {"x": 1, "include_usage": True}),
    ],
)
async def test_m1_a_stream_is_asked_for_its_usage(
    gateway: RunningGateway, client: httpx2.AsyncClient, options: dict[str, Any], expected: dict[str, Any]
) -> None:
    asked = small(OPENAI, stream=True, **options)

    assert asked | {"stream_options": expected} == await _sent(gateway, client, OPENAI, asked)


async def test_m1_what_the_client_did_not_ask_for_it_does_not_get(
    gateway: RunningGateway, client: httpx2.AsyncClient
) -> None:
    silent = await client.post(PATH[OPENAI], json=small(OPENAI, "sim:events=3;usage=chunk", stream=True))
    asking = await client.post(
        PATH[OPENAI],
        json=small(OPENAI, "sim:events=3;usage=chunk", stream=True, stream_options={"include_usage": True}),
    )

    assert b'"choices":[]' not in silent.content
    assert b'"choices":[]' in asking.content


async def test_m1_a_batch_call_is_not_given_stream_options(gateway: RunningGateway, client: httpx2.AsyncClient) -> None:
    assert small(OPENAI) == await _sent(gateway, client, OPENAI, small(OPENAI))


_TEXT = {"type": "text", "text": "hi"}
_MARKED = {**_TEXT, "cache_control": _EPHEMERAL}
_OTHER_MARK = {**_TEXT, "cache_control": {"type": "ephemeral", "ttl": "1h"}}


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("hi", [_MARKED]),
        ([_TEXT], [_MARKED]),
        ([_TEXT, _TEXT], [_TEXT, _MARKED]),
        ([_OTHER_MARK], [_OTHER_MARK]),
        ([_OTHER_MARK, _TEXT], [_OTHER_MARK, _MARKED]),
    ],
)
async def test_m2_the_last_block_of_the_last_message_is_a_cache_breakpoint(
    gateway: RunningGateway, client: httpx2.AsyncClient, content: Any, expected: Any
) -> None:
    earlier = [{"role": "user", "content": "first"}, {"role": "assistant", "content": "then"}]
    asked = small(ANTHROPIC) | {"messages": [*earlier, {"role": "user", "content": content}]}

    sent = await _sent(gateway, client, ANTHROPIC, asked)

    assert asked | {"messages": [*earlier, {"role": "user", "content": expected}]} == sent


async def test_m2_there_are_never_more_than_four(gateway: RunningGateway, client: httpx2.AsyncClient) -> None:
    tool = {"name": "t", "input_schema": {"type": "object"}, "cache_control": _EPHEMERAL}
    asked = small(ANTHROPIC, system=[_MARKED, _MARKED], tools=[tool, tool])

    assert asked == await _sent(gateway, client, ANTHROPIC, asked)


async def test_m2_holds_for_what_was_translated_too() -> None:
    async with running_gateway(upstream_format="anthropic") as gateway, client_of(gateway) as client:
        sent = await _sent(gateway, client, OPENAI, small(OPENAI))

    assert [_MARKED] == sent["messages"][0]["content"]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("setting", ["anthropic", "openai", "native"])
@pytest.mark.parametrize("dialect", [OPENAI, ANTHROPIC])
async def test_m5_the_mark_of_the_long_context_stays_here(dialect: WireFormat, setting: str, stream: bool) -> None:
    async with running_gateway(upstream_format=setting) as gateway, client_of(gateway) as client:
        answer = await client.post(PATH[dialect], json=small(dialect, "glm-5.2[1m]", stream=stream))

    assert 200 == answer.status_code
    assert "glm-5.2" == json.loads(gateway.upstream_requests[0].body)["model"]


async def test_members_that_are_not_changed_keep_their_bytes(
    gateway: RunningGateway, client: httpx2.AsyncClient
) -> None:
    tools = b'[{"name":"t","input_schema":{"b":1.0,  "a":1e2,"type":"object","\\u00e9":"\\ud83d\\ude00"}}]'
    body = b'{"max_tokens":9,"tools":%s,"model":"glm-5.1","messages":[{"role":"user","content":"hi"}]}' % tools

    assert 200 == (await client.post(PATH[ANTHROPIC], content=body)).status_code
    assert tools in gateway.upstream_requests[0].body
