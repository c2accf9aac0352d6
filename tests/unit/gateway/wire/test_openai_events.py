import json
from typing import Any

import pytest

from services.gateway.wire.mend import BROKEN
from services.gateway.wire.openai_events import Chunk, Function, Message, ToolCall, decode


def delta_of(delta: Any, **choice: Any) -> Message | None:
    body = {"choices": [{"index": 0, "delta": delta, **choice}]}
    chunk = decode(json.dumps(body).encode())
    assert chunk.choices is not None
    return chunk.choices[0].delta


def test_a_chunk_of_the_reference_is_read() -> None:
    call = {"index": 1, "id": "c", "type": "function", "function": {"name": "f", "arguments": "{"}}
    delta = delta_of({"role": "assistant", "content": None, "reasoning_content": "r", "tool_calls": [call]})

    assert delta == Message(reasoning_content="r", tool_calls=[ToolCall(1, "c", Function("f", "{"))])


@pytest.mark.parametrize(
    ("delta", "read"),
    [
        ({"content": [{"type": "text", "text": "a"}, "b", {"type": "image"}, 4]}, Message(content="ab")),
        ({"content": 5}, Message()),
        ({"content": "x", "reasoning": {"a": 1}}, Message(content="x")),
        (
            {"tool_calls": [{"index": "2", "id": 7, "function": {"name": "f", "arguments": {"a": 1}}}, None]},
            Message(tool_calls=[ToolCall(2, "7", Function("f", '{"a":1}'))]),
        ),
        (
            {
                "tool_calls": [
                    {"index": {}, "id": True, "function": "f"},
                    {"index": "x", "function": {"arguments": "{"}},
                ]
            },
            Message(tool_calls=[ToolCall(), ToolCall(function=Function(arguments="{"))]),
        ),
        ({"content": 1, "function_call": {"name": "f"}}, Message(function_call=Function("f"))),
        ({"content": 1, "tool_calls": {}}, Message()),
        ([], None),
    ],
)
def test_known_misspellings_are_read(delta: Any, read: Message | None) -> None:
    assert delta_of(delta) == read


def test_the_rest_of_a_misspelt_chunk_is_kept() -> None:
    body = {"id": 5, "model": "m", "usage": {"a": 1}, "error": None, "code": 3}
    choice = {
        "index": None,
        "finish_reason": "stop",
        "stop_reason": "x",
        "matched_stop": "y",
        "message": {"content": "c"},
    }
    chunk = decode(json.dumps(body | {"choices": [choice, 3]}).encode())

    assert (chunk.id, chunk.model, chunk.usage, chunk.code) == ("5", "m", {"a": 1}, 3)
    assert chunk.choices is not None
    [read] = chunk.choices
    assert (read.index, read.finish_reason, read.stop_reason, read.matched_stop) == (0, "stop", "x", "y")
    assert read.message == Message(content="c")
    assert decode(b'{"choices":{},"id":"x"}') == Chunk(id="x")


def test_half_a_surrogate_pair_does_not_lose_the_chunk() -> None:
    assert delta_of({"content": "\ud83d"}) == Message(content="�")


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"3", b"<html>", b"[" * 100_000, b'{"a":' * 100_000])
def test_what_is_no_chunk_is_broken(body: bytes) -> None:
    with pytest.raises(BROKEN):
        decode(body)
