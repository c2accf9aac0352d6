"""The Anthropic spelling of an answer."""

import json
from typing import Any

import pytest

from services.simulator import anthropic_wire
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


def _events(script: str = "", answer: Answer = _ANSWER) -> list[Any]:
    events = anthropic_wire.stream(answer, parse(script))
    assert all(name == json.loads(payload)["type"] for name, payload in events)
    return [json.loads(payload) for _, payload in events]


def _inputs(script: str) -> dict[int, str]:
    whole: dict[int, str] = {}
    for event in _events(script):
        if event["type"] == "content_block_delta" and "partial_json" in event["delta"]:
            whole[event["index"]] = whole.get(event["index"], "") + event["delta"]["partial_json"]
    return whole


def test_a_stream_opens_and_closes_every_block_in_order() -> None:
    events = _events()
    shape = [(event["type"], event.get("index")) for event in events if event["type"] != "content_block_delta"]

    blocks = [(f"content_block_{edge}", index) for index in range(4) for edge in ("start", "stop")]
    assert shape == [("message_start", None), *blocks, ("message_delta", None), ("message_stop", None)]


def test_a_stream_holds_the_whole_answer() -> None:
    deltas = [event["delta"] for event in _events() if event["type"] == "content_block_delta"]

    assert "".join(delta.get("text", "") for delta in deltas) == "a b"
    assert "".join(delta.get("thinking", "") for delta in deltas) == "so"
    assert _inputs("") == {2: _CALLS[0].arguments, 3: _CALLS[1].arguments}


@pytest.mark.parametrize("form", ["fragments", "whole", "interleaved", "late-name"])
def test_every_form_of_tool_calls_carries_the_same_input(form: str) -> None:
    assert _inputs(f"tool-form={form}") == {2: _CALLS[0].arguments, 3: _CALLS[1].arguments}


def test_interleaved_calls_are_open_at_once() -> None:
    edges = [(e["type"][14:], e["index"]) for e in _events("tool-form=interleaved") if e.get("index", 0) >= 2]

    assert edges[:4] == [("start", 2), ("start", 3), ("delta", 2), ("delta", 3)]


def test_the_input_may_come_with_the_start_of_the_block() -> None:
    starts = [e["content_block"] for e in _events("tool-form=on-start") if e["type"] == "content_block_start"]

    assert starts[2]["input"] == {"city": "Berlin", "days": 3}
    assert _inputs("tool-form=on-start") == {}


def test_missing_and_broken_input() -> None:
    assert _inputs("tool-form=empty") == {}
    assert _inputs("tool-form=broken")[2] == _CALLS[0].arguments[:-2]


_FULL = {"input_tokens": 36, "cache_read_input_tokens": 64, "cache_creation_input_tokens": 0, "output_tokens": 9}


@pytest.mark.parametrize(
    ("usage", "start", "end"),
    [
        ("default", _FULL | {"output_tokens": 0}, _FULL),
        ("estimate", {"input_tokens": 200, "output_tokens": 0}, _FULL),
        ("finish", "absent", _FULL),
        ("null", None, None),
        ("none", "absent", "absent"),
    ],
)
def test_usage_comes_where_the_script_wants_it(usage: str, start: object, end: object) -> None:
    events = _events(f"usage={usage}")

    assert start == events[0]["message"].get("usage", "absent")
    assert end == events[-2].get("usage", "absent")


@pytest.mark.parametrize(
    ("finish", "stop"),
    [
        ("stop", "end_turn"),
        ("length", "max_tokens"),
        ("tool_calls", "tool_use"),
        ("sensitive", "sensitive"),
        (None, None),
    ],
)
def test_the_stop_reason_is_in_the_dialect(finish: str | None, stop: str | None) -> None:
    answer = Answer(id="a", model="m", created=1, parts=(), finish=finish, tokens=_ANSWER.tokens)

    assert _events(answer=answer)[-2]["delta"]["stop_reason"] == stop
    assert json.loads(anthropic_wire.batch(answer, Script()))["stop_reason"] == stop


def test_quirks_change_the_events() -> None:
    assert _events("quirks=no-done")[-1]["type"] == "message_delta"
    assert min(event["index"] for event in _events("quirks=index-from-1") if "index" in event) == 1
    assert any(event["type"] == "ping" for event in _events("quirks=pings"))
    assert "signature" not in _events("quirks=no-signature")[1]["content_block"]
    assert _events()[1]["content_block"]["signature"] == ""


def test_a_batch_answer_holds_everything() -> None:
    body = json.loads(anthropic_wire.batch(_ANSWER, Script()))

    assert body["usage"] == _FULL
    assert body["content"] == [
        {"type": "thinking", "thinking": "so", "signature": ""},
        {"type": "text", "text": "a b"},
        {"type": "tool_use", "id": "c0", "name": "f", "input": {"city": "Berlin", "days": 3}},
        {"type": "tool_use", "id": "c1", "name": "g", "input": {"city": "Rome", "days": 14}},
    ]


def test_a_batch_answer_may_lack_usage_signature_and_input() -> None:
    body = json.loads(anthropic_wire.batch(_ANSWER, parse("usage=none;quirks=no-signature;tool-form=empty")))

    assert "usage" not in body
    assert "signature" not in body["content"][0]
    assert body["content"][2]["input"] == {}
