"""What survives a request's way to the other dialect and back: text, tool calls with id and arguments, results."""

import json
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.dialect import GLM_ANTHROPIC, GLM_OPENAI
from services.gateway.translation.requests.anthropic_to_openai import anthropic_to_openai
from services.gateway.translation.requests.limits import RequestLimits
from services.gateway.translation.requests.openai_to_anthropic import openai_to_anthropic

LIMITS = RequestLimits()
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)
NAMES = st.sampled_from(["bash", "read_file", "mcp__x__y"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=5,
)
INPUTS = st.dictionaries(st.text(max_size=6), VALUES, max_size=3)
SPEC = {"name": "bash", "input_schema": {"type": "object", "properties": {"command": {"type": "string"}}}}


def to_openai(body: bytes) -> bytes:
    return anthropic_to_openai(body, GLM_OPENAI, upstream_model="m", limits=LIMITS).body


def to_anthropic(body: bytes) -> bytes:
    return openai_to_anthropic(body, GLM_ANTHROPIC, upstream_model="m", default_max_tokens=1000, limits=LIMITS).body


@st.composite
def conversations(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Return Anthropic messages; the ids are unique, the results come in any order, with text behind them."""
    messages: list[dict[str, Any]] = [{"role": "user", "content": [text(draw(TEXTS))]}]
    serial = 0
    for _ in range(draw(st.integers(0, 4))):
        blocks = [text(said) for said in draw(st.lists(TEXTS, max_size=2))]
        thought = draw(st.none() | TEXTS.filter(str.strip))
        if thought:
            blocks.insert(0, {"type": "thinking", "thinking": thought, "signature": ""})
        ids = [f"toolu_{serial + k}" for k in range(draw(st.integers(0, 3)))]
        serial += len(ids)
        blocks += [{"type": "tool_use", "id": id_, "name": draw(NAMES), "input": draw(INPUTS)} for id_ in ids]
        if blocks:
            messages.append({"role": "assistant", "content": blocks})
        answers = [
            {"type": "tool_result", "tool_use_id": id_, "content": draw(TEXTS), "is_error": draw(st.booleans())}
            for id_ in draw(st.permutations(ids))
        ]
        messages.append({"role": "user", "content": [*answers, text(draw(TEXTS))]})
    return messages


def text(value: str) -> dict[str, Any]:
    return {"type": "text", "text": value}


def said(messages: list[dict[str, Any]]) -> list[Any]:
    """Return what Anthropic messages say: per turn, reasoning, text, calls and results in the order of their ids."""
    turns: list[tuple[str, list[Any]]] = []
    for message in messages:
        if not turns or turns[-1][0] != message["role"]:
            turns.append((message["role"], []))
        turns[-1][1].extend(message["content"])
    return [
        (
            role,
            "".join(block["thinking"] for block in blocks if block["type"] == "thinking"),
            "".join(block["text"] for block in blocks if block["type"] == "text"),
            [(block["id"], block["name"], block["input"]) for block in blocks if block["type"] == "tool_use"],
            sorted(
                (block["tool_use_id"], block.get("content", ""), block.get("is_error", False))
                for block in blocks
                if block["type"] == "tool_result"
            ),
        )
        for role, blocks in turns
    ]


@given(conversations())
def test_anthropic_to_openai_and_back_says_the_same(messages: list[dict[str, Any]]) -> None:
    there = to_openai(json.dumps({"model": "m", "max_tokens": 10, "messages": messages, "tools": [SPEC]}).encode())
    back = json.loads(to_anthropic(there))

    assert said(back["messages"]) == said(messages)
    assert back["tools"] == [SPEC]
    assert back["max_tokens"] == 10


@given(conversations())
def test_openai_to_anthropic_and_back_is_the_same_request(messages: list[dict[str, Any]]) -> None:
    """From the second way there on, nothing changes any more, down to the bytes of the arguments."""
    body = json.dumps({"model": "m", "max_tokens": 10, "messages": messages, "tools": [SPEC]}).encode()
    first = to_openai(body)
    again = to_openai(to_anthropic(first))

    before, after = (msgspec.json.decode(one) for one in (first, again))
    assert calls_of(after) == calls_of(before)
    assert results_of(after) == results_of(before)
    assert to_openai(to_anthropic(again)) == again


def calls_of(body: dict[str, Any]) -> list[Any]:
    return [call for message in body["messages"] for call in message.get("tool_calls", ())]


def results_of(body: dict[str, Any]) -> list[Any]:
    return [message for message in body["messages"] if message["role"] == "tool"]
