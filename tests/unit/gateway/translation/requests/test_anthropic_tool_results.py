"""Tool calls and their results in Anthropic messages as OpenAI messages."""

from typing import Any

import msgspec
import pytest

from services.gateway.dialect import Dialect
from services.gateway.translation.requests.anthropic_to_openai import anthropic_to_openai
from services.gateway.translation.requests.limits import RequestLimits
from services.gateway.translation.requests.marks import unmark_error
from tests.support.anthropic_requests import (
    IMAGE,
    IMAGE_PART,
    PDF,
    PDF_PART,
    PLAIN,
    REMINDING,
    answer,
    assistant,
    body_of,
    call,
    called,
    messages_of,
    refuse,
    result,
    system,
    translate,
    user,
)


def test_b14_text_between_tool_results_comes_after_them() -> None:
    turns = messages_of(
        user("a"), assistant(call("A"), call("B")), user(result("A", "1"), "and also", result("B", "2"))
    )

    assert turns[2:] == [answer("A", "1"), answer("B", "2"), {"role": "user", "content": "and also"}]


def test_results_are_in_the_order_of_the_calls() -> None:
    turns = messages_of(user("a"), assistant(call("A"), call("B")), user(result("B", "2"), result("A", "1")))

    assert turns[2:] == [answer("A", "1"), answer("B", "2")]


def test_results_spread_over_user_messages_stay_together() -> None:
    turns = messages_of(
        user("a"), assistant(call("A"), call("B")), user(result("A", "1"), "x"), user("y"), user(result("B", "2"), "z")
    )

    assert turns[2:] == [
        answer("A", "1"),
        answer("B", "2"),
        {"role": "user", "content": "x"},
        {"role": "user", "content": "y"},
        {"role": "user", "content": "z"},
    ]


def test_b16_an_image_in_a_result_comes_after_the_last_result() -> None:
    turns = messages_of(user("a"), assistant(call("A"), call("B")), user(result("A", "see", IMAGE), result("B", "2")))

    assert turns[2:] == [
        answer("A", "see\n[1 image attached below]"),
        answer("B", "2"),
        {"role": "user", "content": [{"type": "text", "text": "[attached to the result of A]"}, IMAGE_PART]},
    ]


def test_b17_a_result_of_an_image_only_says_so_in_words() -> None:
    turns = messages_of(user("a"), assistant(call("A")), user(result("A", IMAGE), "look"))

    assert turns[2:] == [
        answer("A", "[1 image attached below]"),
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "[attached to the result of A]"},
                IMAGE_PART,
                {"type": "text", "text": "look"},
            ],
        },
    ]


def test_attachments_do_not_join_a_reminder() -> None:
    turns = messages_of(user("a"), assistant(call("A")), system("s"), user(result("A", IMAGE)), dialect=REMINDING)

    assert turns[3]["content"][1] == IMAGE_PART
    assert turns[4] == {"role": "user", "content": "<system-reminder>\ns\n</system-reminder>"}


def test_images_and_files_in_a_result_are_counted() -> None:
    turns = messages_of(
        user("a"), assistant(call("A")), user(result("A", IMAGE, IMAGE, PDF)), dialect=Dialect(files=True)
    )

    assert turns[2]["content"] == "[2 images and 1 file attached below]"
    assert turns[3]["content"][1:] == [IMAGE_PART, IMAGE_PART, PDF_PART]


@pytest.mark.parametrize(
    ("content", "expected"), [(("see", IMAGE), [{"type": "text", "text": "see"}, IMAGE_PART]), ((IMAGE,), [IMAGE_PART])]
)
def test_an_image_stays_in_the_result_where_the_upstream_takes_it(content: Any, expected: Any) -> None:
    turns = messages_of(
        user("a"), assistant(call("A")), user(result("A", *content)), dialect=Dialect(tool_result_images=True)
    )

    assert turns[2:] == [answer("A", expected)]


def test_texts_of_a_result_are_lines() -> None:
    assert messages_of(user("a"), assistant(call("A")), user(result("A", "1", "2")))[2] == answer("A", "1\n2")


@pytest.mark.parametrize("content", [("boom",), ("bo", "om")])
def test_b19_a_failed_result_is_marked_and_a_good_one_is_not(content: Any) -> None:
    bad = messages_of(user("a"), assistant(call("A")), user(result("A", *content, is_error=True)))
    good = messages_of(user("a"), assistant(call("A")), user(result("A", "fine", is_error=False)))

    assert unmark_error(bad[2]["content"]) == ("\n".join(content), True)
    assert good[2] == answer("A", "fine")


def test_a_failed_result_without_content_is_marked() -> None:
    turns = messages_of(user("a"), assistant(call("A")), user(result("A", is_error=True)))

    assert unmark_error(turns[2]["content"]) == ("", True)


def test_b20_a_result_without_content_is_empty() -> None:
    assert messages_of(user("a"), assistant(call("A")), user(result("A")))[2] == answer("A", "")


@pytest.mark.parametrize("content", [(), ("",), ("", "")])
def test_an_empty_result_is_put_in_words_where_the_upstream_needs_them(content: Any) -> None:
    turns = messages_of(
        user("a"), assistant(call("A")), user(result("A", *content)), dialect=Dialect(empty_tool_result="(no output)")
    )

    assert turns[2] == answer("A", "(no output)")


def test_b23_text_and_calls_of_one_message_are_both_kept() -> None:
    turns = messages_of(user("a"), assistant("ok", call("A", x=1), "then"), user(result("A", "1")))

    assert turns[1] == {"role": "assistant", "content": "okthen", "tool_calls": [called("A", arguments='{"x":1}')]}


def test_calls_without_text_have_null_content() -> None:
    turns = messages_of(user("a"), assistant(call("A")), user(result("A", "1")))

    assert turns[1] == {"role": "assistant", "content": None, "tool_calls": [called("A")]}


def test_b25_input_that_the_client_could_not_parse_is_passed_on() -> None:
    unparsed = {"__unparsedToolInput": {"raw": "{..", "len": 19}}
    turns = messages_of(user("a"), assistant(call("A", **unparsed)), user(result("A", "1")))

    assert turns[1]["tool_calls"][0]["function"]["arguments"] == '{"__unparsedToolInput":{"raw":"{..","len":19}}'


def test_arguments_are_the_clients_own_bytes() -> None:
    raw = b'{"b": 1.50,  "a":"\\u00e4\xc3\xa4"}'
    history = (
        b'[{"role":"user","content":"a"},{"role":"assistant","content":[{"type":"tool_use","id":"A","name":"f","input":'
        + raw
        + b'}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"A"}]}]'
    )
    turns = translate(messages=msgspec.Raw(history)).messages

    assert turns[1]["tool_calls"][0]["function"]["arguments"] == raw.decode()


def test_arguments_of_an_indented_body_are_on_one_line() -> None:
    indented = msgspec.Raw(b'{\n  "a": "b c",\n  "d": [1, 2]\n}')
    turns = messages_of(user("a"), assistant({**call("A"), "input": indented}), user(result("A")))

    assert turns[1]["tool_calls"][0]["function"]["arguments"] == '{"a":"b c","d":[1,2]}'


@pytest.mark.parametrize("value", [None, [], "x", 1])
def test_input_that_is_no_object_is_refused(value: Any) -> None:
    error = refuse(messages=[user("a"), assistant({**call("A"), "input": value}), user(result("A"))])

    assert error.message == "messages.1.content.0.input: Input should be a valid dictionary"
    assert error.param == "messages.1.content.0.input"


def test_input_that_is_nested_too_deeply_is_refused() -> None:
    deep = msgspec.Raw(b'{"a":' * 65 + b"1" + b"}" * 65)
    error = refuse(messages=[user("a"), assistant({**call("A"), "input": deep}), user(result("A"))])

    assert error.param == "messages.1.content.0.input"


def test_b44_a_result_for_an_unknown_call_is_refused() -> None:
    error = refuse(messages=[user("a"), assistant(call("A")), user("x", result("B", "1"))])

    assert error.param == "messages.2.content.1.tool_use_id"
    assert error.message == "messages.2.content.1.tool_use_id: 'B' is not a call of the previous message"


def test_a_result_without_any_call_is_refused() -> None:
    assert refuse(messages=[user(result("A", "1"))]).param == "messages.0.content.0.tool_use_id"


def test_a_second_result_for_a_call_is_refused() -> None:
    error = refuse(messages=[user("a"), assistant(call("A"), call("B")), user(result("A", "1"), result("A", "1"))])

    assert error.message == "messages.2.content.1.tool_use_id: 'A' has been answered before"


def test_an_id_used_twice_in_one_message_is_refused() -> None:
    error = refuse(messages=[user("a"), assistant(call("A"), call("A")), user(result("A"))])

    assert error.param == "messages.1.content.1.id"
    assert error.message == "messages.1.content.1.id: `tool_use` ids must be unique, 'A' is not"


def test_an_id_may_come_again_in_a_later_turn() -> None:
    turns = messages_of(
        user("a"), assistant(call("A")), user(result("A", "1")), assistant(call("A")), user(result("A", "2"))
    )

    assert [turn["content"] for turn in turns if turn["role"] == "tool"] == ["1", "2"]


@pytest.mark.parametrize(
    "rest",
    [
        [user(result("A", "1"))],
        [user("never mind")],
        [user(result("A", "1")), assistant("b"), user("c")],
        [user("x"), assistant("b"), user("c")],
        [system("x"), assistant("b"), user("c")],
    ],
)
def test_a_call_without_a_result_is_refused(rest: Any) -> None:
    error = refuse(messages=[user("a"), assistant(call("A"), call("B")), *rest])

    assert error.param == "messages.1"
    assert "has no `tool_result` in the message after it" in error.message


@pytest.mark.parametrize("spelled", [r"caf\u00e9 \/ \ud83d\ude00", "plain", r"\"", " ", r"\n"])
def test_the_text_of_a_result_keeps_its_bytes(spelled: str) -> None:
    body = body_of(messages=[user("go"), assistant(call("a")), user(result("a") | {"content": "*"})])
    done = anthropic_to_openai(
        body.replace(b'"*"', f'"{spelled}"'.encode()), PLAIN, upstream_model="m", limits=RequestLimits()
    )

    assert f'"content":"{spelled}"'.encode() in done.body
    failed = body.replace(b'"content":"*"', f'"is_error":true,"content":"{spelled}"'.encode())
    out = msgspec.json.decode(anthropic_to_openai(failed, PLAIN, upstream_model="m", limits=RequestLimits()).body)
    assert unmark_error(out["messages"][2]["content"]) == (msgspec.json.decode(f'"{spelled}"'.encode()), True)


@pytest.mark.parametrize(
    ("content", "param"),
    [
        (5, "messages.2.content.0.content"),
        ({"type": "text"}, "messages.2.content.0.content"),
        ([{"type": "text"}], "messages.2.content.0.content.0.text"),
        ([{"type": "text", "text": "a"}, {"type": "zork"}], "messages.2.content.0.content.1"),
    ],
)
def test_a_result_of_a_wrong_shape_is_refused_by_its_path(content: Any, param: str) -> None:
    wrong = result("a") | {"content": content}

    assert refuse(messages=[user("go"), assistant(call("a")), user(wrong)]).param == param
