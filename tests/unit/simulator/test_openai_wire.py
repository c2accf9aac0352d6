"""The OpenAI spelling of an answer."""

import json
from typing import Any

import pytest

from services.simulator import openai_wire
from services.simulator.answer import Answer, Reasoning, Text, Tokens, ToolCall
from services.simulator.script import Script, parse

_CALLS = (ToolCall("c0", "f", '{"city":"Berlin","days":3}'), ToolCall("c1", "g", '{"city":"Rome","days":14}'))
_ANSWER = Answer(
    id="abc",
    model="m",
    created=7,
    parts=(Reasoning(("so",)), Text(("a", " b")), *_CALLS),
    finish="tool_calls",
    tokens=Tokens(input=100, cached=64, output=9, reasoning=1),
)


def _chunks(script: str = "", answer: Answer = _ANSWER) -> list[Any]:
    payloads = [payload for _, payload in openai_wire.stream(answer, parse(script))]
    return [json.loads(payload) for payload in payloads if payload != openai_wire.DONE]


def _deltas(script: str = "") -> list[Any]:
    return [chunk["choices"][0]["delta"] for chunk in _chunks(script) if chunk["choices"]]


def _entries(script: str) -> list[Any]:
    return [entry for delta in _deltas(script) for entry in delta.get("tool_calls", ())]


def _arguments(script: str) -> dict[int, str]:
    whole: dict[int, str] = {}
    for entry in _entries(script):
        whole[entry["index"]] = whole.get(entry["index"], "") + entry.get("function", {}).get("arguments", "")
    return whole


def test_a_stream_holds_the_whole_answer_and_ends_with_done() -> None:
    deltas = _deltas()

    assert openai_wire.stream(_ANSWER, Script())[-1] == (None, b"[DONE]")
    assert "".join(delta.get("content", "") for delta in deltas) == "a b"
    assert "".join(delta.get("reasoning_content", "") for delta in deltas) == "so"
    assert _chunks()[-1]["choices"][0]["finish_reason"] == "tool_calls"
    assert {chunk["object"] for chunk in _chunks()} == {"chat.completion.chunk"}


@pytest.mark.parametrize("form", ["fragments", "whole", "interleaved", "late-name", "late-id"])
def test_every_form_of_tool_calls_carries_the_same_arguments(form: str) -> None:
    assert _arguments(f"tool-form={form}") == {0: _CALLS[0].arguments, 1: _CALLS[1].arguments}
    entries = _entries(f"tool-form={form}")
    assert [entry["id"] for entry in entries if "id" in entry] == ["c0", "c1"]
    assert [entry["function"]["name"] for entry in entries if "name" in entry.get("function", {})] == ["f", "g"]


def test_a_whole_call_is_one_delta() -> None:
    assert len(_entries("tool-form=whole")) == 2


def test_interleaved_calls_take_turns() -> None:
    assert [entry["index"] for entry in _entries("tool-form=interleaved")][:4] == [0, 1, 0, 1]


def test_a_late_name_comes_after_the_first_arguments() -> None:
    entries = [entry for entry in _entries("tool-form=late-name") if entry["index"] == 0]
    named = next(at for at, entry in enumerate(entries) if "name" in entry["function"])

    assert entries[named - 1]["function"]["arguments"] != ""


def test_a_late_id_comes_after_the_first_arguments() -> None:
    entries = [entry for entry in _entries("tool-form=late-id") if entry["index"] == 0]

    assert "id" not in entries[0]
    assert any("id" in entry for entry in entries[2:])


def test_resent_arguments_come_twice() -> None:
    assert _arguments("tool-form=resend")[0] == _CALLS[0].arguments * 2


@pytest.mark.parametrize(("form", "expected"), [("empty", ""), ("broken", _CALLS[0].arguments[:-2])])
def test_missing_and_broken_arguments(form: str, expected: str) -> None:
    assert expected == _arguments(f"tool-form={form}")[0]
    batch = json.loads(openai_wire.batch(_ANSWER, parse(f"tool-form={form}")))
    assert expected == batch["choices"][0]["message"]["tool_calls"][0]["function"]["arguments"]


def test_deltas_may_lack_their_index() -> None:
    assert all("index" not in entry for entry in _entries("tool-form=no-index"))


@pytest.mark.parametrize(
    ("usage", "places"),
    [("default", [-1]), ("finish", [-1]), ("chunk", [-1]), ("null", [-1]), ("none", []), ("estimate", [-1])],
)
def test_usage_comes_where_the_script_wants_it(usage: str, places: list[int]) -> None:
    chunks = _chunks(f"usage={usage}")

    assert [chunks[place] for place in places] == [chunk for chunk in chunks if chunk.get("usage")]
    assert (usage == "chunk") == (chunks[-1]["choices"] == [])
    assert (usage == "null") == (chunks[0].get("usage", 0) is None)


def test_usage_may_come_on_every_chunk() -> None:
    assert all(chunk["usage"]["prompt_tokens"] == 100 for chunk in _chunks("usage=every"))


def test_usage_adds_up() -> None:
    assert _chunks()[-1]["usage"] == {
        "prompt_tokens": 100,
        "completion_tokens": 9,
        "total_tokens": 109,
        "prompt_tokens_details": {"cached_tokens": 64},
        "completion_tokens_details": {"reasoning_tokens": 1},
    }


def test_quirks_change_the_json() -> None:
    assert openai_wire.stream(_ANSWER, parse("quirks=no-done"))[-1][1] != b"[DONE]"
    assert all("object" not in chunk for chunk in _chunks("quirks=no-object"))
    assert all(delta["role"] == "assistant" for delta in _deltas("quirks=role-everywhere"))
    assert "role" not in _deltas("quirks=no-role")[0]
    assert {entry["index"] for entry in _entries("quirks=index-from-1")} == {1, 2}
    assert all("id" in entry and "name" in entry["function"] for entry in _entries("quirks=repeat-id"))


def test_a_batch_answer_holds_everything() -> None:
    body = json.loads(openai_wire.batch(_ANSWER, Script()))
    message = body["choices"][0]["message"]

    assert (body["object"], body["model"], body["created"]) == ("chat.completion", "m", 7)
    assert (message["content"], message["reasoning_content"]) == ("a b", "so")
    assert [call["function"]["arguments"] for call in message["tool_calls"]] == [call.arguments for call in _CALLS]
    assert body["choices"][0]["finish_reason"] == "tool_calls"
    assert body["usage"]["total_tokens"] == 109


def test_a_batch_answer_may_lack_usage_and_object() -> None:
    body = json.loads(openai_wire.batch(_ANSWER, parse("usage=none;quirks=no-object")))

    assert body.keys().isdisjoint({"usage", "object"})
