"""
The `openai` SDK's `responses` through the gateway: whole and streamed, with tools, reasoning and shapes, on both
upstream formats, with its retries switched off.
"""

import gzip
import json
from typing import Any

import openai
import pydantic
import pytest

from services.chassis.secret import Secret
from services.simulator.app import Simulator
from services.simulator.script import Script
from tests.support.gateway import RunningGateway, running_gateway
from tests.support.responses_validator import check_response, check_responses_stream
from tests.support.simulated import TEST_SETTINGS

KEY = "client-key.of-this-test"
MODEL = "glm-5.2"
SCHEMA: dict[str, Any] = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
WEATHER: dict[str, Any] = {
    "type": "function",
    "name": "get_weather",
    "description": "Say what the weather is in a city.",
    "parameters": SCHEMA,
    "strict": False,
}

each_upstream_format = pytest.mark.parametrize("upstream_format", ["anthropic", "openai"])
streaming_or_not = pytest.mark.parametrize("stream", [True, False], ids=["stream", "batch"])


def client_of(gateway: RunningGateway) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(base_url=f"{gateway.url}/v1", api_key=KEY, max_retries=0)


async def ask(client: openai.AsyncOpenAI, conversation: Any, *, stream: bool, **more: Any) -> Any:
    wanted: dict[str, Any] = {"model": MODEL, "input": conversation, **more}
    if not stream:
        return await client.responses.create(**wanted)
    async with client.responses.stream(**wanted) as events:
        return await events.get_final_response()


@each_upstream_format
@streaming_or_not
async def test_the_sdk_completes_a_tool_round_trip(upstream_format: str, *, stream: bool) -> None:
    more: dict[str, Any] = {
        "tools": [WEATHER],
        "include": ["reasoning.encrypted_content"],
        "reasoning": {"summary": "auto"},
    }
    async with (
        running_gateway(upstream_format=upstream_format, auth={"proxy_api_key": Secret(KEY)}) as gateway,
        client_of(gateway) as client,
    ):
        conversation: list[Any] = [{"role": "user", "content": "What is the weather in Lisbon?"}]
        asked = await ask(client, conversation, stream=stream, **more)
        [call] = [item for item in asked.output if item.type == "function_call"]
        conversation += [item.to_dict() for item in asked.output]
        for item in conversation:
            item.pop("parsed_arguments", None)
        output = f"In {json.loads(call.arguments)['city']} it is 21 degrees."
        conversation += [{"type": "function_call_output", "call_id": call.call_id, "output": output}]
        answered = await ask(client, conversation, stream=stream, **more)

    assert (call.name, json.loads(call.arguments), asked.status) == ("get_weather", {"city": "Lisbon"}, "completed")
    assert "The tool get_weather returned 1 line: In Lisbon it is 21 degrees." in answered.output_text
    assert answered.model == MODEL
    assert answered.usage.total_tokens == answered.usage.input_tokens + answered.usage.output_tokens > 0
    [thought] = [item for item in asked.output if item.type == "reasoning"]
    first, second = (json.loads(request.body) for request in gateway.upstream_requests)
    assert first.get("stream", False) == second.get("stream", False) == stream
    [said] = [message for message in second["messages"] if message["role"] == "assistant"]
    told = said["reasoning_content"] if upstream_format == "openai" else said["content"][0]["thinking"]
    assert told == thought.summary[0].text
    for answer in gateway.answers:
        if stream:
            check_responses_stream(answer.body)
        else:
            coded = answer.header(b"content-encoding") == b"gzip"
            check_response(gzip.decompress(answer.body) if coded else answer.body)


class City(pydantic.BaseModel):
    city: str


@each_upstream_format
async def test_a_shape_that_was_asked_for_is_parsed(upstream_format: str) -> None:
    simulator = Simulator(TEST_SETTINGS)
    simulator.scripts.push(Script(text='{"city":"Lisbon"}'))
    async with (
        running_gateway(upstream_format=upstream_format, simulator=simulator) as gateway,
        client_of(gateway) as client,
    ):
        answer = await client.responses.parse(model=MODEL, input="Name a city.", text_format=City)

    assert answer.output_parsed == City(city="Lisbon")
    assert "city" in gateway.upstream_requests[0].body.decode()


@each_upstream_format
async def test_a_custom_tool_is_called_with_plain_text(upstream_format: str) -> None:
    tool: Any = {"type": "custom", "name": "note", "description": "Write a note."}
    async with running_gateway(upstream_format=upstream_format) as gateway, client_of(gateway) as client:
        answer = await client.responses.create(
            model=MODEL, input="Use the note tool.", tools=[tool], tool_choice={"type": "custom", "name": "note"}
        )

    [call] = [item for item in answer.output if item.type == "custom_tool_call"]
    assert call.name == "note"
    assert not call.input.startswith("{")


@each_upstream_format
async def test_a_stream_that_breaks_is_the_sdks_own_error(upstream_format: str) -> None:
    simulator = Simulator(TEST_SETTINGS)
    simulator.scripts.push(Script(cut=900))
    async with (
        running_gateway(upstream_format=upstream_format, simulator=simulator) as gateway,
        client_of(gateway) as client,
    ):
        with pytest.raises(openai.APIError, match="The upstream broke off its answer"):
            await ask(client, "Hello", stream=True)

    assert check_responses_stream(gateway.answers[0].body).error is not None


async def test_what_would_need_a_store_is_the_sdks_own_error() -> None:
    async with running_gateway(auth={"proxy_api_key": Secret(KEY)}) as gateway, client_of(gateway) as client:
        with pytest.raises(openai.NotFoundError, match="no response is stored"):
            await client.responses.retrieve("resp_1")
        with pytest.raises(openai.NotFoundError, match="no response is stored"):
            await client.responses.delete("resp_1")
        with pytest.raises(openai.BadRequestError, match="send the earlier items") as refused:
            await client.responses.create(model=MODEL, input="hi", previous_response_id="resp_1")
        with pytest.raises(openai.AuthenticationError):
            await client.with_options(api_key="wrong").responses.create(model=MODEL, input="hi")

    assert refused.value.param == "previous_response_id"
    assert gateway.upstream_requests == []
