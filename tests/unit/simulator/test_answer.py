"""Answers made from scripts and by the demo."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.simulator.answer import Answer, Reasoning, Text, ToolCall, compose, pieces
from services.simulator.conversation import read
from services.simulator.script import parse
from services.simulator.wire import Wire

_TOOL = {"type": "function", "function": {"name": "lookup", "parameters": {}}}
_CALL = {"id": "c", "type": "function", "function": {"name": "lookup", "arguments": "{}"}}
_AFTER_TOOL = [
    {"role": "user", "content": "hi"},
    {"role": "assistant", "tool_calls": [_CALL]},
    {"role": "tool", "tool_call_id": "c", "content": "found"},
]


def _answer(script: str = "", **fields: object) -> Answer:
    request = {"model": "m", "messages": [{"role": "user", "content": "hi"}]} | fields
    return compose(read(Wire.OPENAI, json.dumps(request).encode()), parse(script), created=7)


def _text(answer: Answer) -> str:
    return "".join(piece for part in answer.parts if isinstance(part, Text) for piece in part.pieces)


def _kinds(answer: Answer) -> list[str]:
    return [type(part).__name__ for part in answer.parts]


@given(st.text())
def test_pieces_joined_are_the_text(text: str) -> None:
    assert text == "".join(pieces(text))


def test_the_same_request_gives_the_same_answer() -> None:
    assert _answer() == _answer()
    assert _answer().id != _answer(model="n").id


def test_the_demo_reasons_unless_told_not_to() -> None:
    assert _kinds(_answer()) == ["Reasoning", "Text"]
    assert _kinds(_answer(thinking={"type": "disabled"})) == ["Text"]


def test_events_are_numbered_words() -> None:
    assert _text(_answer("events=3")) == "(simulated) w1 w2"
    assert _text(_answer("events=0")) == ""
    assert _kinds(_answer("events=0")) == []


def test_text_is_said_as_it_stands() -> None:
    assert _text(_answer("text=one%20%20two%0A")) == "one  two\n"


@pytest.mark.parametrize(
    ("script", "kinds"),
    [
        ("reasoning=first", ["Reasoning", "Text"]),
        ("reasoning=only", ["Reasoning"]),
        ("reasoning=interleaved;events=4", ["Reasoning", "Text", "Reasoning", "Text"]),
        ("tools=2", ["Text", "ToolCall", "ToolCall"]),
        ("tools=1;events=0", ["ToolCall"]),
    ],
)
def test_parts_come_as_scripted(script: str, kinds: list[str]) -> None:
    assert kinds == _kinds(_answer(script))


def test_scripted_calls_use_the_declared_tools_or_one_of_our_own() -> None:
    declared = [part for part in _answer("tools=2", tools=[_TOOL]).parts if isinstance(part, ToolCall)]
    own = [part for part in _answer("tools=1").parts if isinstance(part, ToolCall)]

    assert [call.name for call in declared] == ["lookup", "lookup"]
    assert declared[0].id != declared[1].id
    assert (own[0].name, json.loads(own[0].arguments)) == ("get_weather", {"city": "Paris"})


def test_a_scripted_call_is_not_repeated_once_results_are_there() -> None:
    answer = _answer("tools=2", messages=_AFTER_TOOL)

    assert _kinds(answer) == ["Text"]
    assert "found" in _text(answer)


def test_the_demo_calls_a_tool_that_fits() -> None:
    answer = _answer(messages=[{"role": "user", "content": "use the lookup tool"}], tools=[_TOOL])

    assert _kinds(answer) == ["Reasoning", "Text", "ToolCall"]
    assert answer.finish == "tool_calls"


@pytest.mark.parametrize(
    ("script", "finish"),
    [("", "stop"), ("tools=1", "tool_calls"), ("finish=sensitive", "sensitive"), ("finish=null", None)],
)
def test_the_finish_reason_fits_or_is_the_scripts(script: str, finish: str | None) -> None:
    assert finish == _answer(script).finish


def test_max_tokens_cuts_the_demo_but_not_a_script() -> None:
    cut = _answer(max_tokens=3)
    later = _answer(max_tokens=3, thinking={"type": "disabled"})

    assert cut.finish == later.finish == "length"
    assert _kinds(cut) == ["Reasoning"]
    assert _text(later) == "(simulated answer) This"
    assert _answer("events=10", max_tokens=3).finish == "stop"


def test_an_answer_within_max_tokens_is_whole() -> None:
    messages = [{"role": "user", "content": "use the lookup tool"}]

    assert _kinds(_answer(max_tokens=999, messages=messages, tools=[_TOOL])) == ["Reasoning", "Text", "ToolCall"]


def test_json_is_answered_where_json_is_wanted() -> None:
    schema = {"type": "object", "properties": {"title": {"type": "string"}}, "required": ["title"]}
    told = {"role": "system", "content": f"One valid under this JSON Schema:\n{json.dumps(schema)}"}
    shaped = _answer(messages=[told, {"role": "user", "content": "hi"}])

    assert json.loads(_text(shaped)) == {"title": "hi"}
    assert json.loads(_text(_answer(response_format={"type": "json_object"}))) == {"simulated": True}


def test_token_counts_are_plausible() -> None:
    first = _answer()
    later = _answer(messages=[{"role": "user", "content": "x" * 2000}, *_AFTER_TOOL])
    thought = next(part for part in first.parts if isinstance(part, Reasoning))

    assert first.tokens.cached == 0
    assert first.tokens.reasoning == len(thought.pieces) < first.tokens.output
    assert 0 < later.tokens.cached < later.tokens.input
    assert later.tokens.cached % 64 == 0
