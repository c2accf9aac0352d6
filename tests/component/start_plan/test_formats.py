"""The start plan end to end, in both dialects, whole and streamed, on both upstream formats."""

import itertools
import json
from pathlib import Path
from typing import Any

import pytest

from services.gateway.wire.formats import WireFormat
from tests.support.captcha import JWT
from tests.support.dialects import ANTHROPIC, OPENAI, PATH, client_of, small
from tests.support.start_plan import START_PATH, running_start_plan, said

_FORMATS = {"openai": OPENAI, "anthropic": ANTHROPIC, "native": None, "auto": OPENAI}
_CASES = list(itertools.product(_FORMATS, (OPENAI, ANTHROPIC), (False, True)))


def system_texts(upstream: WireFormat, body: dict[str, Any]) -> list[str]:
    """Return the system texts of an upstream body, in their order."""
    if upstream is ANTHROPIC:
        return [block["text"] for block in body["system"]]
    lead = list(itertools.takewhile(lambda message: message["role"] == "system", body["messages"]))
    return [message["content"] for message in lead]


@pytest.mark.parametrize(("setting", "client", "stream"), _CASES)
async def test_a_call_is_answered_in_its_dialect(
    tmp_path: Path, setting: str, client: WireFormat, *, stream: bool
) -> None:
    upstream = _FORMATS[setting] or client
    async with running_start_plan(tmp_path, upstream_format=setting) as plan, client_of(plan.gateway) as http:
        answer = await http.post(PATH[client], json=small(client, "sim:text=Hello%20there", stream=stream))

    assert 200 == answer.status_code, answer.text
    assert "Hello there" == said(client, answer.content, upstream, stream=stream)
    [request] = plan.upstream
    assert START_PATH[upstream] == request.path
    assert b"Bearer " + JWT.encode() == request.header(b"authorization")
    assert (b"2023-06-01" if upstream is ANTHROPIC else None) == request.header(b"anthropic-version")
    assert [None, None, None] == [request.header(name) for name in (b"x-api-key", b"x-query-id", b"x-session-id")]
    assert b"ZCode/3.2.2" == request.header(b"user-agent")
    assert [None] == plan.tokens
    [block] = system_texts(upstream, json.loads(request.body))
    assert block


def _with_system(client: WireFormat) -> dict[str, Any]:
    asked = small(client)
    if client is ANTHROPIC:
        return asked | {"system": "The client's own."}
    return asked | {"messages": [{"role": "system", "content": "The client's own."}, *asked["messages"]]}


@pytest.mark.parametrize("upstream", ["openai", "anthropic"])
@pytest.mark.parametrize("client", [OPENAI, ANTHROPIC])
@pytest.mark.parametrize("from_file", [False, True])
async def test_the_operators_blocks_let_a_request_pass_the_inspection(
    tmp_path: Path, client: WireFormat, upstream: str, *, from_file: bool
) -> None:
    texts = ["You are the provider's own client.", "And this is its second block."]
    async with _inspected(tmp_path, upstream, texts, from_file=from_file) as plan, client_of(plan.gateway) as http:
        answer = await http.post(PATH[client], json=_with_system(client))

    assert 200 == answer.status_code, answer.text
    found = system_texts(_FORMATS[upstream] or client, json.loads(plan.upstream[0].body))
    assert [*texts, "The client's own."] == found


def _inspected(tmp_path: Path, upstream: str, texts: list[str], *, from_file: bool) -> Any:
    blocks: dict[str, Any] = {"system_blocks": tuple(texts)}
    if from_file:
        file = tmp_path / "client.json"
        file.write_text(json.dumps([{"type": "text", "text": text} for text in texts]))
        blocks = {"system_blocks_file": str(file)}
    return running_start_plan(tmp_path, upstream_format=upstream, system_text=texts[0], start_plan=blocks)
