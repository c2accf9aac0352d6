"""The content of one OpenAI message as Anthropic blocks."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.dialect import Dialect
from services.gateway.translation.requests.marks import mark_error
from tests.support.openai_requests import (
    CLAUDE,
    GLM,
    PLAIN,
    answered,
    assistant,
    call,
    refuse,
    text,
    tool,
    translate,
    translate_bytes,
    user,
)

MARK = {"type": "ephemeral", "ttl": "1h"}
PICTURE = {"type": "image_url", "image_url": {"url": "https://host/a.png"}}
IMAGE = {"type": "image", "source": {"type": "url", "url": "https://host/a.png"}}
FORGETFUL = msgspec.structs.replace(GLM, reasoning_field=None)


def content_of(message: Any, dialect: Dialect = GLM) -> Any:
    """Return the blocks of an assistant message, or of a user message."""
    if message["role"] == "user":
        return translate(dialect, messages=[message]).messages[0]["content"]
    return translate(dialect, messages=[user("hi"), message, user("x")]).messages[1]["content"]


def result_of(content: Any, dialect: Dialect = GLM, **fields: Any) -> Any:
    """Return the tool_result block."""
    history = [user("hi"), assistant(None, call("a")), tool("a", content, **fields)]
    return translate(dialect, messages=history).messages[2]["content"][0]


# Arguments


def arguments_of(text_: Any) -> Any:
    history = [user("hi"), assistant(None, call("a", "f", text_)), tool("a")]
    return translate(messages=history).messages[1]["content"][0]["input"]


@pytest.mark.parametrize("nothing", ["", "  \n", None, "{}"])
def test_b101_no_arguments_are_an_empty_object(nothing: str | None) -> None:
    assert arguments_of(nothing) == {}


def test_b101_absent_arguments_are_an_empty_object() -> None:
    history = [user("hi"), assistant(None, {"id": "a", "type": "function", "function": {"name": "f"}}), tool("a")]

    assert translate(messages=history).messages[1]["content"][0]["input"] == {}


@pytest.mark.parametrize(("given_", "value"), [("[1]", [1]), ('"x"', "x"), ("3", 3), ("null", None), (" true ", True)])
def test_arguments_that_are_no_object_are_wrapped(given_: str, value: Any) -> None:
    assert arguments_of(given_) == {"value": value}


def test_arguments_that_are_not_a_string_are_taken_as_they_are() -> None:
    assert arguments_of({"x": 1}) == {"x": 1}
    assert arguments_of([1]) == {"value": [1]}


@pytest.mark.parametrize("broken", ['{"a": 1', '{"a":1}garbage', "plain words", '{"a": "\n"}'])
def test_arguments_that_were_cut_off_are_kept_as_text(broken: str) -> None:
    assert arguments_of(broken) == {"__raw_arguments": broken.strip()}


def test_arguments_keep_their_bytes() -> None:
    given_ = '{"b": 1.50, "a":  [1e3, "\\u00e9"],  "b2":{ }}'
    history = [user("hi"), assistant(None, call("a", "f", given_)), tool("a")]

    assert f'"input":{given_}}}'.encode() in translate(messages=history).raw


def test_arguments_nested_too_deeply_are_refused() -> None:
    deep = '{"a":' + "[" * 100 + "]" * 100 + "}"
    refusal = refuse(messages=[user("hi"), assistant(None, call("a", "f", deep)), tool("a")])

    assert refusal.param == "messages.1.tool_calls.0.function.arguments"


@given(st.text())
def test_any_arguments_become_an_object(text_: str) -> None:
    assert isinstance(arguments_of(text_), dict)


# User content


def test_empty_parts_are_left_out() -> None:
    assert content_of(user([text(""), text("a"), text("")])) == [text("a")]


@pytest.mark.parametrize("nothing", ["", [], [text("")]])
def test_a_user_message_that_says_nothing_is_refused(nothing: Any) -> None:
    assert refuse(messages=[user(nothing)]).param == "messages.0.content"


def test_an_image_may_be_a_bare_address() -> None:
    assert content_of(user([{"type": "image_url", "image_url": "https://host/a.png"}])) == [IMAGE]


def test_a_wanted_detail_is_lost_and_reported() -> None:
    def part(detail: str | None) -> dict[str, Any]:
        return {"type": "image_url", "image_url": {"url": "https://host/a.png", "detail": detail}}

    assert translate(messages=[user([part("auto"), part(None)])]).dropped == ()
    assert translate(messages=[user([part("high")])]).dropped == ("image_url.detail",)


@pytest.mark.parametrize("kind", ["input_audio", "video_url", "thinking"])
def test_parts_of_unknown_types_are_refused_by_their_path(kind: str) -> None:
    refusal = refuse(messages=[user("hi"), user([text("a"), {"type": kind, kind: {}}])])

    assert refusal.param == "messages.1.content.1"
    assert kind in refusal.message


def test_cache_control_of_a_part_stays_with_its_block_and_keeps_its_ttl() -> None:
    assert content_of(user([text("a", cache_control=MARK), PICTURE | {"cache_control": MARK}])) == [
        text("a", cache_control=MARK),
        IMAGE | {"cache_control": MARK},
    ]


def test_cache_control_of_a_message_marks_its_last_block() -> None:
    assert content_of(user([text("a"), text("b")], cache_control=MARK)) == [text("a"), text("b", cache_control=MARK)]


def test_cache_control_of_an_empty_text_is_not_sent() -> None:
    assert content_of(user([text("a"), text("", cache_control=MARK)])) == [text("a")]


@pytest.mark.parametrize(
    "message",
    [
        {"content": "S", "cache_control": MARK},
        {"content": [text("S", cache_control=MARK)]},
        {"content": [text("S")], "cache_control": MARK},
    ],
)
def test_cache_control_of_a_system_message_marks_its_block(message: dict[str, Any]) -> None:
    out = translate(messages=[{"role": "system", **message}, user("hi")])

    assert out.body["system"] == [text("S", cache_control=MARK)]


# Assistant content


def test_parts_and_refusals_are_text() -> None:
    parts = [text("a"), {"type": "refusal", "refusal": "no"}, text("b", cache_control=MARK)]

    assert content_of(assistant(parts)) == [text("a"), text("no"), text("b", cache_control=MARK)]


def test_a_refusal_is_text() -> None:
    assert content_of(assistant(None, refusal="I will not")) == [text("I will not")]


def test_spoken_answers_are_refused() -> None:
    assert refuse(messages=[user("hi"), assistant(None, audio={"id": "x"})]).param == "messages.1.audio"


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
def test_b115_replayed_reasoning_is_a_thinking_block_first_of_all(field: str) -> None:
    out = content_of(assistant("ok", **{field: " hm\n"}))

    assert out == [{"type": "thinking", "thinking": " hm\n", "signature": ""}, text("ok")]


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
@pytest.mark.parametrize("dialect", [CLAUDE, FORGETFUL])
def test_b115_unsigned_reasoning_is_left_out_and_never_text(field: str, dialect: Dialect) -> None:
    out = translate(dialect, messages=[user("hi"), assistant("ok", **{field: "hm"}), user("x")])

    assert out.messages[1]["content"] == [text("ok")]
    assert out.dropped == (field,)


@pytest.mark.parametrize("empty", ["", "\n", None])
def test_b115_empty_reasoning_leaves_no_block_and_no_report(empty: str | None) -> None:
    out = translate(messages=[user("hi"), assistant("ok", reasoning_content=empty), user("x")])

    assert out.messages[1]["content"] == [text("ok")]
    assert out.dropped == ()


def test_reasoning_that_is_no_text_is_reported() -> None:
    assert translate(messages=[user("hi"), assistant("ok", reasoning={"a": 1}), user("x")]).dropped == ("reasoning",)


SIGNED = {"type": "thinking", "thinking": "hm", "signature": "c2ln"}
UNSIGNED = {"type": "thinking", "thinking": "hm", "signature": ""}
REDACTED = {"type": "redacted_thinking", "data": "xyz"}


@pytest.mark.parametrize(
    ("dialect", "taken"),
    [(GLM, [SIGNED, UNSIGNED, REDACTED]), (CLAUDE, [SIGNED, REDACTED]), (FORGETFUL, [])],
)
def test_b115_thinking_blocks_are_replayed_as_far_as_the_upstream_takes_them(
    dialect: Dialect, taken: list[Any]
) -> None:
    message = assistant("ok", reasoning_content="hm", thinking_blocks=[SIGNED, UNSIGNED, REDACTED])
    out = translate(dialect, messages=[user("hi"), message, user("x")])

    assert out.messages[1]["content"] == [*taken, text("ok")]
    assert out.dropped == (() if len(taken) == 3 else ("thinking_blocks",))


def test_empty_unsigned_thinking_is_not_replayed() -> None:
    empty = {"type": "thinking", "thinking": ""}

    assert content_of(assistant("ok", thinking_blocks=[empty])) == [text("ok")]


# Results


def test_a_result_that_is_a_string_stays_one() -> None:
    assert result_of("out") == answered("a", "out")


def test_a_result_of_parts_keeps_texts_and_images() -> None:
    assert result_of([text("see"), PICTURE, text("")]) == answered("a", [text("see"), IMAGE])


@pytest.mark.parametrize("nothing", ["", None, [], [text("")]])
def test_an_empty_result_has_no_content(nothing: Any) -> None:
    assert result_of(nothing) == {"type": "tool_result", "tool_use_id": "a"}


def test_an_empty_result_is_filled_where_the_upstream_wants_it() -> None:
    needy = msgspec.structs.replace(GLM, empty_tool_result="(no output)")

    assert result_of("", needy) == answered("a", "(no output)")


def test_a_marked_error_is_an_error_again() -> None:
    assert result_of(mark_error("boom")) == answered("a", "boom", is_error=True)
    assert result_of([text(mark_error("boom")), PICTURE]) == answered("a", [text("boom"), IMAGE], is_error=True)
    assert result_of([text(mark_error(""))]) == {"type": "tool_result", "tool_use_id": "a", "is_error": True}


@pytest.mark.parametrize(
    ("spelled", "failed"),
    [
        (r"\u005btool error]\nboom", True),
        (r"[\u0074ool error]\nboom", True),
        (r"[tool error]\u000aboom", True),
        (r"[tool error]", False),
        (r"\n[tool error]\nboom", False),
        (r"[", False),
        (r"[[tool error]\n", False),
        (r"\/é\u00e9\ud83d\ude00", False),
    ],
)
def test_a_result_is_told_by_what_it_says_and_not_by_how_it_is_spelled(spelled: str, failed: bool) -> None:
    said = msgspec.json.decode(f'"{spelled}"'.encode())
    body = msgspec.json.encode({"messages": [user("hi"), assistant(None, call("a")), tool("a", "*")], "model": "m"})
    out = translate_bytes(body.replace(b'"*"', f'"{spelled}"'.encode()))

    [block] = out.messages[2]["content"]
    assert block == (answered("a", "boom", is_error=True) if failed else answered("a", said))
    assert failed or f'"{spelled}"'.encode() in out.raw or spelled.startswith("[tool")


@pytest.mark.parametrize(
    ("content", "param"),
    [
        (5, "messages.2.content"),
        ({"type": "text"}, "messages.2.content"),
        ([{"type": "text"}], "messages.2.content.0.text"),
        ([text("a"), {"type": "audio"}], "messages.2.content.1"),
    ],
)
def test_a_result_of_a_wrong_shape_is_refused_by_its_path(content: Any, param: str) -> None:
    assert refuse(messages=[user("hi"), assistant(None, call("a")), tool("a", content)]).param == param


def test_b121_a_result_that_speaks_of_errors_is_none() -> None:
    assert result_of('{"error":null,"data":1}') == answered("a", '{"error":null,"data":1}')


def test_cache_control_of_a_result_marks_its_block() -> None:
    assert result_of("out", cache_control=MARK) == answered("a", "out", cache_control=MARK)


def test_results_without_attachments_stay_as_they_are() -> None:
    assert result_of([text("a"), text("b")], PLAIN) == answered("a", [text("a"), text("b")])


def test_escapes_in_texts_survive() -> None:
    body = b'{"model":"m","messages":[{"role":"user","content":"a\\u2028\\"\\\\\\n\\ud83d\\ude00"}]}'

    assert translate_bytes(body).messages[0]["content"] == [text('a\u2028"\\\n\U0001f600')]
