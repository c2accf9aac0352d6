"""Whole Chat Completions requests as Messages requests."""

import json
from contextlib import suppress
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.dialect import GLM_ANTHROPIC, Dialect
from services.gateway.mutations import Mutation, mutate
from services.gateway.translation.context import ResponseContext
from services.gateway.translation.refusal import TranslationError
from services.gateway.translation.requests.limits import RequestLimits
from services.gateway.translation.requests.openai_to_anthropic import openai_to_anthropic
from services.gateway.wire.formats import WireFormat
from services.gateway.wire.openai import ChatRequest
from services.gateway.wire.outline import outline_of
from tests.support.golden import Golden, cases
from tests.support.openai_requests import (
    CLAUDE,
    GLM,
    PLAIN,
    assistant,
    body_of,
    call,
    function,
    refuse,
    refuse_bytes,
    system,
    tool,
    translate,
    translate_bytes,
    user,
)

PAIR = "openai_anthropic"


@pytest.mark.parametrize("case", cases(PAIR))
def test_golden_requests(case: str, golden: Golden) -> None:
    body = golden.read(f"{PAIR}/{case}", "client.json")
    out = openai_to_anthropic(
        body, GLM_ANTHROPIC, upstream_model="glm-5.2", default_max_tokens=32_000, limits=RequestLimits()
    )

    golden.check_json(f"{PAIR}/{case}", "upstream.json", out.body)
    golden.check_json(f"{PAIR}/{case}", "dropped.json", msgspec.json.encode(out.dropped))


def test_the_smallest_request() -> None:
    assert translate().body == {
        "model": "glm-5.2",
        "max_tokens": 32_000,
        "messages": [{"role": "user", "content": [{"type": "text", "text": "hi"}]}],
    }


def test_the_context_remembers_what_the_answers_side_needs() -> None:
    out = translate(model="gpt-x", stream=True, stream_options={"include_usage": True, "include_obfuscation": True})

    assert out.body["stream"] is True
    assert out.context == ResponseContext(requested_model="gpt-x", stream=True, include_usage=True)
    assert out.dropped == ("stream_options.include_obfuscation",)


@pytest.mark.parametrize("fields", [{}, {"stream": False}])
def test_stream_options_without_a_stream_are_ignored(fields: dict[str, Any]) -> None:
    out = translate(stream_options={"include_usage": True, "include_obfuscation": False}, **fields)

    assert "stream" not in out.body
    assert out.context == ResponseContext(requested_model="gpt")
    assert out.dropped == ()


def test_empty_stream_options_want_no_usage() -> None:
    assert not translate(stream=True, stream_options={}).context.include_usage


def test_the_context_carries_the_dialects_reading_rules() -> None:
    context = translate(Dialect(inline_think_tags=True, verify_signatures=True)).context

    assert context.inline_think_tags
    assert context.verify_signatures


def test_a_drop_is_named_once() -> None:
    out = translate(messages=[user("a", name="x"), user("b", name="y")], seed=1, temperature=2)

    assert out.dropped == ("seed", "messages.name", "temperature=1")


# What is not a request


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"nonsense",
        b'{"model":"m","messages":[{"role":"user","content":"a"}],}',
        b'\xef\xbb\xbf{"model":"m","messages":[{"role":"user","content":"a"}]}',
        b'{"model":"m","messages":[{"role":"user","content":"\\ud800"}]}',
        b'{"model":"m","messages":[{"role":"user","content":"a"}]} x',
        b'{"model":"m","messages":[{"role":"user","content":"a"}],"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    ],
)
def test_bodies_that_are_no_json_are_refused(body: bytes) -> None:
    assert refuse_bytes(body).param is None


@pytest.mark.parametrize(
    "body",
    [
        b'{"model":"m","messages":[{"role":"user","content":"\xff"}]}',
        b'{"model":"m","messages":[{"role":"user","content":"a"}],"x":"\xff"}',
        b'{"model":"m","messages":[{"role":"user","content":"a"}],"tools":[{"type":"function","function":{"name":"f","parameters":{"a":"\xc3"}}}]}',
    ],
)
def test_bodies_that_are_no_utf8_are_refused_even_where_they_are_not_read(body: bytes) -> None:
    assert "utf-8" in refuse_bytes(body).message.lower()


@pytest.mark.parametrize("body", [b"[]", b"3", b'"x"', b"null"])
def test_bodies_that_are_no_object_are_refused(body: bytes) -> None:
    assert refuse_bytes(body).status == 400


def test_two_equal_keys_are_refused() -> None:
    body = b'{"model":"a","messages":[{"role":"user","content":"a"}],"model":"b"}'

    assert refuse_bytes(body).param == "model"


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"model": None}, "model"),
        ({"model": ""}, "model"),
        ({"messages": None}, "messages"),
        ({"messages": [{"content": "a"}]}, "messages.0.role"),
        ({"messages": [{"role": "wizard", "content": "a"}]}, "messages.0"),
        ({"messages": [{"role": "user"}]}, "messages.0.content"),
        ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, "messages.0.content.0.text"),
    ],
)
def test_missing_and_unknown_things_are_refused_by_their_path(fields: dict[str, Any], param: str) -> None:
    assert refuse(**fields).param == param


def test_too_many_messages_are_refused() -> None:
    assert refuse(limits=RequestLimits(messages=1), messages=[user("a"), user("b")]).param == "messages"


# Totality

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)
RICH: dict[str, Any] = {
    "model": "m",
    "messages": [
        system([{"type": "text", "text": "S", "cache_control": {"type": "ephemeral"}}]),
        user(
            [{"type": "text", "text": "a"}, {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}]
        ),
        assistant("b", call("x:1", "f.g", '{"a":1}'), call("y"), reasoning_content="hm"),
        tool("x:1", [{"type": "text", "text": "out"}]),
        tool("y"),
        system("mid"),
        {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": "{}"}},
        {"role": "function", "name": "f", "content": "r"},
        user([{"type": "file", "file": {"file_data": "data:text/plain,abc", "filename": "n"}}]),
    ],
    "tools": [function("f.g", parameters={"type": "object"}, strict=True), function("h")],
    "functions": [{"name": "old"}],
    "tool_choice": {"type": "function", "function": {"name": "h"}},
    "function_call": {"name": "old"},
    "parallel_tool_calls": False,
    "response_format": {"type": "json_schema", "json_schema": {"schema": {"type": "object"}}},
    "stop": ["a"],
    "temperature": 0.5,
    "top_p": 0.9,
    "top_k": 3,
    "n": 1,
    "stream": True,
    "stream_options": {"include_usage": True},
    "reasoning_effort": "high",
    "reasoning": {"effort": "low"},
    "thinking": {"type": "enabled", "budget_tokens": 2000},
    "metadata": {"user_id": "u"},
    "user": "u",
    "max_tokens": 5000,
    "cache_control": {"type": "ephemeral"},
    "modalities": ["text"],
}


def test_the_rich_request_is_a_good_one() -> None:
    assert translate(**RICH).messages


def places(value: Any) -> list[tuple[Any, Any]]:
    """Return every (container, key) in a JSON value."""
    keys = list(value) if isinstance(value, dict) else list(range(len(value))) if isinstance(value, list) else []
    return [place for key in keys for place in [(value, key), *places(value[key])]]


@given(st.data(), st.sampled_from([GLM, CLAUDE, PLAIN]))
def test_any_mutated_request_is_translated_or_refused(data: st.DataObject, dialect: Dialect) -> None:
    body = json.loads(json.dumps(RICH))
    for _ in range(data.draw(st.integers(1, 3))):
        everywhere = places(body)
        container, key = everywhere[data.draw(st.integers(0, len(everywhere) - 1))]
        if data.draw(st.booleans()):
            container[key] = data.draw(JSON)
        else:
            del container[key]
    try:
        out = translate_bytes(json.dumps(body).encode(), dialect)
    except TranslationError:
        return

    assert out.messages[0]["content"]
    assert all(first["role"] != second["role"] for first, second in zip(out.messages, out.messages[1:], strict=False))


@given(st.binary(max_size=60) | JSON.map(lambda value: json.dumps(value).encode()))
def test_any_bytes_are_translated_or_refused(body: bytes) -> None:
    with pytest.raises(TranslationError):
        translate_bytes(body)


@given(st.integers(0, 400), st.binary(max_size=4))
def test_any_damaged_bytes_are_translated_or_refused(at: int, patch: bytes) -> None:
    body = body_of(**RICH)
    at = at * len(body) // 400
    with suppress(TranslationError):
        translate_bytes(body[:at] + patch + body[at + len(patch) :])


MARK = {"cache_control": {"type": "ephemeral"}}


@st.composite
def marked_bodies(draw: st.DrawFn) -> bytes:
    """Requests with cache breakpoints anywhere, and with every kind of end."""

    def maybe() -> dict[str, Any]:
        return MARK if draw(st.integers(0, 2)) == 0 else {}

    def parts(text: str) -> list[dict[str, Any]]:
        return [{"type": "text", "text": text, **maybe()}, {"type": "text", "text": f"{text}2", **maybe()}]

    asked = assistant("b", call("x"), reasoning_content=draw(st.sampled_from(["", "hm"])))
    messages = [system(parts("S")), user(parts("a")) | maybe(), asked, tool("x", parts("r")) | maybe()]
    ends = [
        [],
        [user("go on") | maybe()],
        [system("mid")],
        [assistant(None, reasoning_content="so")],
        [assistant("done", reasoning_content="so")],
    ]
    messages += draw(st.sampled_from(ends))
    members = {"metadata": {"user_id": "theirs"}} if draw(st.booleans()) else {}
    tools = [function("f") | maybe(), function("g")]
    return body_of(model="m", messages=messages, tools=tools, max_tokens=9, **members, **maybe())


@given(marked_bodies(), st.sampled_from([GLM, CLAUDE, PLAIN]), st.sampled_from([None, "login"]))
def test_a_body_that_is_finished_here_is_what_the_mutations_make_of_it(
    body: bytes, dialect: Dialect, user_id: str | None
) -> None:
    asked: dict[str, Any] = {"upstream_model": "m", "default_max_tokens": 9, "limits": RequestLimits()}
    try:
        plain = openai_to_anthropic(body, dialect, **asked)
    except TranslationError:
        return
    finished = openai_to_anthropic(body, dialect, **asked, outline=outline_of(body), finish=True, user_id=user_id)

    expected = mutate(plain.body, WireFormat.ANTHROPIC, Mutation(cache_breakpoint=True, user_id=user_id))
    assert json.loads(expected) == json.loads(finished.body)
    assert (plain.context, plain.dropped, True) == (finished.context, finished.dropped, finished.finished)
    assert list(json.loads(finished.body))[-1] == "messages"


def test_every_field_that_is_read_has_a_test_body() -> None:
    """The totality tests mutate RICH: what it lacks, they do not reach."""
    missing = set(ChatRequest.__struct_fields__) - RICH.keys()

    assert missing == {
        "max_completion_tokens",
        "logprobs",
        "top_logprobs",
        "audio",
        "web_search_options",
        "safety_identifier",
    }
