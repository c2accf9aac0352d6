"""Tools that a client holds back are offered at once, and what refers to them says so in words; all else is as it was."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.dialect import GLM_ANTHROPIC, Dialect
from services.gateway.translation.requests.deferred_tools import available, undeferred
from services.gateway.wire.mend import BROKEN
from services.gateway.wire.outline import Outline, outline_of

PLAIN = {"name": "Read", "description": "Reads.", "input_schema": {"type": "object"}}
HELD = {"name": "Fetch", "input_schema": {"type": "object"}, "defer_loading": True}
REFERENCE = {"type": "tool_reference", "tool_name": "Fetch"}


def result(*content: Any, **more: Any) -> dict[str, Any]:
    return {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": [*content], **more}]}


def body_of(*messages: Any, tools: Any = (PLAIN, HELD), **more: Any) -> bytes:
    return json.dumps({"model": "m", "messages": messages, "tools": tools, **more}, separators=(",", ":")).encode()


def undefer(body: bytes) -> Outline | None:
    """Return what becomes of a body; None as well where it has another shape, which the caller leaves alone."""
    outline = outline_of(body, blocks=True)
    try:
        found = None if outline is None else undeferred(outline, GLM_ANTHROPIC)
    except BROKEN:
        return None
    assert found is None or found.dropped == ("tools.defer_loading",)
    return None if found is None else found.outline


def plain(body: bytes) -> dict[str, Any]:
    found = undefer(body)
    assert found is not None
    changed: dict[str, Any] = json.loads(found.body)
    return changed


def test_what_is_held_back_is_offered() -> None:
    changed = plain(body_of({"role": "user", "content": "hi"}, temperature=1.0))

    assert changed == json.loads(body_of({"role": "user", "content": "hi"}, temperature=1.0)) | {
        "tools": [PLAIN, {"name": "Fetch", "input_schema": {"type": "object"}}]
    }


def test_a_reference_is_put_into_words_and_keeps_its_mark() -> None:
    mark = {"type": "ephemeral"}
    [message] = plain(body_of(result(REFERENCE | {"cache_control": mark}, is_error=False)))["messages"]

    [block] = message["content"]
    assert block.pop("content") == [{"type": "text", "text": "Tool Fetch is now available.", "cache_control": mark}]
    assert block == {"type": "tool_result", "tool_use_id": "t", "is_error": False}


def test_what_is_no_reference_stays_byte_for_byte() -> None:
    odd = b'{"role":"user","content":[ {"type":"text", "text":"a \\"tool_reference\\" \\u00e4"} ,1.50]}'
    said = b'{"role":"user","content":"\\"tool_reference\\""}'
    body = b'{"messages":[%b,%b],"tools":[{"name":"a","defer_loading":false}]}' % (odd, said)

    assert (found := undefer(body)) is not None
    assert found.body == b'{"messages":[%b,%b],"tools":[{"name":"a"}]}' % (odd, said)


@pytest.mark.parametrize(
    "message",
    [
        result({"type": "text", "text": '"tool_reference"'}, REFERENCE["type"]),
        result({"type": "tool_reference"}),
        result(content=None),
        {"role": "user", "content": [REFERENCE]},
        {"role": "user", "content": [{"type": "text", "content": [REFERENCE]}]},
        {"role": "user", "content": [{"type": "tool_result", "content": 'a "tool_reference"'}, 7, "tool_reference"]},
        {"role": "user", "tool_reference": REFERENCE},
        "tool_reference",
    ],
)
def test_a_reference_where_none_belongs_is_the_upstreams_to_judge(message: Any) -> None:
    assert plain(body_of(message))["messages"] == [message]


@pytest.mark.parametrize(
    "body",
    [
        body_of(result(REFERENCE), tools=[PLAIN]),
        body_of(tools=None),
        b'{"messages":[]}',
        b'{"messages":[{"content":"\\"defer_loading\\""}]}',
        b'{"tools":[1,"defer_loading"]}',
        b'{"tools":"defer_loading"}',
        body_of(result({"type": "tool_reference", "tool_name": 7})),
        b'["defer_loading"]',
        b'{"defer_loading"',
        b"",
    ],
)
def test_nothing_is_done_where_no_tool_is_held_back_or_the_shape_is_another(body: bytes) -> None:
    assert undefer(body) is None


def test_an_upstream_that_knows_deferred_tools_is_given_them() -> None:
    outline = outline_of(body_of(result(REFERENCE)), blocks=True)

    assert outline is not None
    assert undeferred(outline, Dialect()) is None


def test_a_body_without_messages_has_its_tools() -> None:
    assert plain(b'{"tools":[{"name":"a","defer_loading":true}]}') == {"tools": [{"name": "a"}]}


NAMES = st.text(max_size=20)


@given(st.lists(NAMES, max_size=4), st.lists(st.text(max_size=30), max_size=3))
def test_every_reference_is_told_and_every_text_kept(names: list[str], texts: list[str]) -> None:
    content = [{"type": "tool_reference", "tool_name": name} for name in names]
    content += [{"type": "text", "text": text} for text in texts]
    [message] = plain(body_of(result(*content)))["messages"]

    told = [part["text"] for part in message["content"][0]["content"]]
    assert told == [*map(available, names), *texts]
