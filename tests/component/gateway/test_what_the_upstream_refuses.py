"""What agents send and Z.AI refuses gets an answer, whatever formats both sides speak. The simulator refuses it as well."""

from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest

from services.gateway.wire.formats import WireFormat
from tests.support.dialects import ANTHROPIC, OPENAI, PATH, RESPONSES, client_of
from tests.support.gateway import running_gateway

_TEXT = {"type": "text", "text": "hi"}
_PNG = "iVBORw0KGgo="
_IMAGES = {
    ANTHROPIC: {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": _PNG}},
    OPENAI: {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{_PNG}"}},
}


@pytest.fixture(scope="module", params=["native", "openai", "anthropic"])
async def client(request: pytest.FixtureRequest) -> AsyncIterator[httpx2.AsyncClient]:
    async with running_gateway(upstream_format=request.param) as running, client_of(running) as made:
        yield made


async def _answered(client: httpx2.AsyncClient, dialect: WireFormat, **asked: Any) -> httpx2.Response:
    needed = {"max_tokens": 500} if dialect is ANTHROPIC else {}
    answer = await client.post(PATH[dialect], json={"model": "glm-5.3", **needed, **asked})
    assert 200 == answer.status_code, answer.text
    return answer


async def test_a_screenshot_that_codex_sends_again(client: httpx2.AsyncClient) -> None:
    """In a message of the user and in what a tool brought."""
    shot = {"type": "input_image", "image_url": f"data:image/png;base64,{_PNG}"}
    items = [
        {"role": "user", "content": [{"type": "input_text", "text": "hi"}, shot]},
        {"type": "function_call", "call_id": "c", "name": "view", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c", "output": [shot]},
        {"role": "user", "content": "Go on."},
    ]

    await _answered(client, RESPONSES, input=items)


@pytest.mark.parametrize("dialect", [ANTHROPIC, OPENAI])
async def test_a_system_message_in_mid_conversation(client: httpx2.AsyncClient, dialect: WireFormat) -> None:
    said = [{"role": "user", "content": "hi"}, {"role": "system", "content": "Be brief."}]

    await _answered(client, dialect, messages=said)


async def test_a_call_with_an_array_in_the_history() -> None:
    call = {"type": "tool_use", "id": "c", "name": "ls", "input": [{"command": "ls"}]}
    result = {"type": "tool_result", "tool_use_id": "c", "content": "x"}
    said = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": [call]}]

    async with running_gateway(upstream_format="native") as running, client_of(running) as client:
        await _answered(client, ANTHROPIC, messages=[*said, {"role": "user", "content": [result]}])


@pytest.mark.parametrize("dialect", [ANTHROPIC, OPENAI])
async def test_thinking_that_is_turned_off_and_an_effort_in_between(
    client: httpx2.AsyncClient, dialect: WireFormat
) -> None:
    said = [{"role": "user", "content": "hi"}]
    effort = {"output_config": {"effort": "medium"}} if dialect is ANTHROPIC else {"reasoning_effort": "medium"}

    off = await _answered(client, dialect, messages=said, thinking={"type": "disabled"})
    medium = await _answered(client, dialect, messages=said, **effort)
    assert "thinking" in off.headers["x-zcode-dropped-params"]
    assert "=high" in medium.headers["x-zcode-dropped-params"]


@pytest.mark.parametrize("dialect", [ANTHROPIC, OPENAI])
async def test_a_screenshot_in_a_conversation_with_a_model_that_sees_none(
    client: httpx2.AsyncClient, dialect: WireFormat
) -> None:
    shot = {"role": "user", "content": [_TEXT, _IMAGES[dialect]]}
    later = [shot, {"role": "assistant", "content": "I see."}, {"role": "user", "content": "Go on."}]

    await _answered(client, dialect, messages=[shot])
    await _answered(client, dialect, messages=later)


@pytest.mark.parametrize("dialect", [ANTHROPIC, OPENAI])
async def test_an_empty_text_among_others(client: httpx2.AsyncClient, dialect: WireFormat) -> None:
    await _answered(client, dialect, messages=[{"role": "user", "content": [{"type": "text", "text": ""}, _TEXT]}])
