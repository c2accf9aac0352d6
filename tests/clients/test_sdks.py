"""
The vendors' own Python SDKs complete a tool round trip through the gateway: both dialects, streaming and not, on both
upstream formats, with every retry of theirs switched off.
"""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

import anthropic
import openai
import pydantic
import pytest

from services.chassis.secret import Secret
from tests.support.gateway import RunningGateway, running_gateway
from tests.support.stream_validators import check_anthropic_stream, check_openai_stream

KEY = "client-key.of-this-test"
MODEL = "glm-5.2"
QUESTION = "What is the weather in Lisbon?"
DESCRIPTION = "Say what the weather is in a city."
SCHEMA: dict[str, Any] = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}

each_upstream_format = pytest.mark.parametrize("upstream_format", ["anthropic", "openai"])
streaming_or_not = pytest.mark.parametrize("stream", [True, False], ids=["stream", "batch"])


def weather(city: str) -> str:
    """What the tool of these tests does."""
    return f"In {city} it is 21 degrees."


@asynccontextmanager
async def gateway_with_key(upstream_format: str) -> AsyncIterator[RunningGateway]:
    async with running_gateway(upstream_format=upstream_format, auth={"proxy_api_key": Secret(KEY)}) as gateway:
        yield gateway


def anthropic_client(gateway: RunningGateway) -> anthropic.AsyncAnthropic:
    return anthropic.AsyncAnthropic(base_url=gateway.url, api_key=KEY, max_retries=0)


def openai_client(gateway: RunningGateway) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(base_url=f"{gateway.url}/v1", api_key=KEY, max_retries=0)


async def ask_anthropic(client: anthropic.AsyncAnthropic, messages: list[Any], *, stream: bool) -> Any:
    tools: list[Any] = [{"name": "get_weather", "description": DESCRIPTION, "input_schema": SCHEMA}]
    wanted: dict[str, Any] = {"model": MODEL, "max_tokens": 1000, "messages": messages, "tools": tools}
    if not stream:
        return await client.messages.create(**wanted)
    async with client.messages.stream(**wanted) as events:
        return await events.get_final_message()


@each_upstream_format
@streaming_or_not
async def test_the_anthropic_sdk_completes_a_tool_round_trip(stream: bool, upstream_format: str):
    async with gateway_with_key(upstream_format) as gateway, anthropic_client(gateway) as client:
        messages: list[Any] = [{"role": "user", "content": QUESTION}]
        asked = await ask_anthropic(client, messages, stream=stream)
        [call] = [block for block in asked.content if block.type == "tool_use"]
        result = {"type": "tool_result", "tool_use_id": call.id, "content": weather(**call.input)}
        messages += [{"role": "assistant", "content": asked.content}, {"role": "user", "content": [result]}]
        answered = await ask_anthropic(client, messages, stream=stream)

    assert (asked.stop_reason, call.name, call.input) == ("tool_use", "get_weather", {"city": "Lisbon"})
    assert answered.stop_reason == "end_turn"
    assert "The tool get_weather returned 1 line: In Lisbon it is 21 degrees." in answered.content[-1].text
    assert answered.model == MODEL
    assert answered.usage.input_tokens > 0
    assert answered.usage.output_tokens > 0
    assert_two_requests(gateway, stream=stream)
    if stream:
        reasons = [check_anthropic_stream(answer.body).reason for answer in gateway.answers]
        assert reasons == ["tool_use", "end_turn"]


async def ask_openai(client: openai.AsyncOpenAI, messages: list[Any], *, stream: bool) -> Any:
    function = {"name": "get_weather", "description": DESCRIPTION, "parameters": SCHEMA}
    wanted: dict[str, Any] = {
        "model": MODEL,
        "messages": messages,
        "tools": [{"type": "function", "function": function}],
    }
    if not stream:
        return await client.chat.completions.create(**wanted)
    async with client.chat.completions.stream(**wanted, stream_options={"include_usage": True}) as events:
        return await events.get_final_completion()


@each_upstream_format
@streaming_or_not
async def test_the_openai_sdk_completes_a_tool_round_trip(stream: bool, upstream_format: str):
    async with gateway_with_key(upstream_format) as gateway, openai_client(gateway) as client:
        messages: list[Any] = [{"role": "user", "content": QUESTION}]
        asked = await ask_openai(client, messages, stream=stream)
        [call] = asked.choices[0].message.tool_calls
        arguments = json.loads(call.function.arguments)
        called = asked.choices[0].message.model_dump(exclude_none=True, exclude={"parsed"})
        messages += [called, {"role": "tool", "tool_call_id": call.id, "content": weather(**arguments)}]
        answered = await ask_openai(client, messages, stream=stream)

    assert (asked.choices[0].finish_reason, call.function.name, arguments) == (
        "tool_calls",
        "get_weather",
        {"city": "Lisbon"},
    )
    assert answered.choices[0].finish_reason == "stop"
    assert "The tool get_weather returned 1 line: In Lisbon it is 21 degrees." in answered.choices[0].message.content
    assert answered.model == MODEL
    assert answered.usage.total_tokens == answered.usage.prompt_tokens + answered.usage.completion_tokens > 0
    assert_two_requests(gateway, stream=stream)
    if stream:
        relayed = upstream_format == "openai"
        seen = [check_openai_stream(a.body, include_usage=True, relayed=relayed) for a in gateway.answers]
        assert [each.reason for each in seen] == ["tool_calls", "stop"]


def assert_two_requests(gateway: RunningGateway, *, stream: bool) -> None:
    """Nothing was asked twice or in another mode."""
    bodies = [json.loads(request.body) for request in gateway.upstream_requests]
    assert [body.get("stream", False) for body in bodies] == [stream, stream]
    assert [answer.status for answer in gateway.answers] == [200, 200]
    assert [answer.is_event_stream for answer in gateway.answers] == [stream, stream]


class Person(pydantic.BaseModel):
    """What both SDKs are asked to bring."""

    name: str
    age: int


@each_upstream_format
async def test_each_sdks_own_way_to_ask_for_a_shape_brings_it(upstream_format: str):
    """The simulator takes a schema as Z.AI does, with 200 and without keeping to it; it keeps to what it is told."""
    messages: list[Any] = [{"role": "user", "content": "A person, please"}]
    async with gateway_with_key(upstream_format) as gateway:
        async with openai_client(gateway) as client:
            answer = await client.chat.completions.parse(model=MODEL, messages=messages, response_format=Person)
        async with openai_client(gateway) as client:
            response = await client.responses.parse(model=MODEL, input=messages, text_format=Person)
        async with anthropic_client(gateway) as asking:
            message = await asking.messages.parse(model=MODEL, max_tokens=1000, messages=messages, output_format=Person)

    assert isinstance(answer.choices[0].message.parsed, Person)
    assert isinstance(response.output_parsed, Person)
    assert isinstance(message.parsed_output, Person)


@each_upstream_format
async def test_a_tool_that_must_be_called_is_called(upstream_format: str):
    """Z.AI takes no such choice; LangChain makes one to get a shape."""
    messages: list[Any] = [{"role": "user", "content": QUESTION}]
    function = {"name": "get_weather", "description": DESCRIPTION, "parameters": SCHEMA}
    tools: list[Any] = [{"type": "function", "function": function}]
    choice: Any = {"type": "function", "function": {"name": "get_weather"}}
    async with gateway_with_key(upstream_format) as gateway:
        async with openai_client(gateway) as client:
            for forced in ("required", choice):
                answer = await client.chat.completions.create(
                    model=MODEL, messages=messages, tools=tools, tool_choice=forced
                )
                [call] = answer.choices[0].message.tool_calls or []
                assert call.type == "function"
                assert call.function.name == "get_weather"
            unused = await client.chat.completions.create(
                model=MODEL, messages=messages, tools=tools, tool_choice="none"
            )
            assert unused.choices[0].message.tool_calls is None
        async with anthropic_client(gateway) as asking:
            offered: list[Any] = [{"name": "get_weather", "description": DESCRIPTION, "input_schema": SCHEMA}]
            for kind in ({"type": "any"}, {"type": "tool", "name": "get_weather"}):
                message = await asking.messages.create(
                    model=MODEL, max_tokens=1000, messages=messages, tools=offered, tool_choice=cast("Any", kind)
                )
                assert message.stop_reason == "tool_use"


@each_upstream_format
async def test_the_openai_sdks_developer_is_heard(upstream_format: str):
    messages: list[Any] = [{"role": "developer", "content": "Be brief."}, {"role": "user", "content": "Hello"}]
    async with gateway_with_key(upstream_format) as gateway, openai_client(gateway) as client:
        answer = await client.chat.completions.create(model=MODEL, messages=messages, max_completion_tokens=5)

    assert answer.choices[0].finish_reason == "length"
    assert "Be brief." in gateway.upstream_requests[0].body.decode()


@each_upstream_format
async def test_interleaved_thinking_may_exceed_max_tokens_as_at_anthropic(upstream_format: str):
    """Qwen Code asks for 32000 tokens of thinking in an answer of 8000."""
    thinking: Any = {"type": "enabled", "budget_tokens": 32_000}
    async with gateway_with_key(upstream_format) as gateway, anthropic_client(gateway) as client:
        answer = await client.beta.messages.create(
            model=MODEL,
            max_tokens=8000,
            messages=[{"role": "user", "content": "Hello"}],
            thinking=thinking,
            betas=["interleaved-thinking-2025-05-14"],
        )

    assert [block.type for block in answer.content] == ["thinking", "text"]


async def test_both_sdks_list_the_models_and_count_tokens():
    async with gateway_with_key("openai") as gateway:
        async with anthropic_client(gateway) as client:
            anthropic_ids = [model.id async for model in client.models.list()]
            count = await client.messages.count_tokens(model=MODEL, messages=[{"role": "user", "content": QUESTION}])
            retrieved = await client.models.retrieve(MODEL)
        async with openai_client(gateway) as other:
            openai_ids = [model.id async for model in other.models.list()]

    assert MODEL in anthropic_ids
    assert openai_ids == anthropic_ids
    assert retrieved.id == MODEL
    assert 5 < count.input_tokens < 50
    assert gateway.upstream_requests == []


@pytest.mark.parametrize("upstream_format", ["anthropic", "openai"])
async def test_a_wrong_key_is_each_sdks_own_authentication_error(upstream_format: str):
    async with gateway_with_key(upstream_format) as gateway:
        async with anthropic_client(gateway).with_options(api_key="wrong") as client:
            with pytest.raises(anthropic.AuthenticationError):
                await ask_anthropic(client, [{"role": "user", "content": QUESTION}], stream=True)
        async with openai_client(gateway).with_options(api_key="wrong") as other:
            with pytest.raises(openai.AuthenticationError):
                await ask_openai(other, [{"role": "user", "content": QUESTION}], stream=True)

    assert gateway.upstream_requests == []
