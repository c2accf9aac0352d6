"""Anthropic messages as OpenAI messages."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.dialect import Dialect, MidSystem
from services.gateway.translation.requests.anthropic_to_openai import anthropic_to_openai
from services.gateway.translation.requests.limits import RequestLimits
from services.gateway.translation.requests.marks import unmark_error
from tests.support.anthropic_requests import (
    GLM,
    IMAGE,
    IMAGE_PART,
    PDF,
    PDF_PART,
    PLAIN,
    assistant,
    body_of,
    call,
    refuse,
    result,
    system,
    translate,
    user,
)

REMINDING = Dialect(mid_system=MidSystem.REMINDER)
HOISTING = Dialect(mid_system=MidSystem.HOIST)


def messages_of(*messages: Any, dialect: Dialect = PLAIN) -> list[Any]:
    return translate(dialect, messages=messages).messages


def called(id_: str, name: str = "f", arguments: str = "{}") -> dict[str, Any]:
    return {"id": id_, "type": "function", "function": {"name": name, "arguments": arguments}}


def answer(id_: str, content: Any) -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": id_, "content": content}


# Plain turns


def test_strings_stay_strings() -> None:
    turns = [
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": "hello"},
        {"role": "user", "content": "bye"},
    ]

    assert messages_of(*turns) == turns


def test_one_text_is_a_string_and_several_are_parts() -> None:
    two = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]

    assert messages_of(user("a")) == [{"role": "user", "content": "a"}]
    assert messages_of(user("a", "", "b")) == [{"role": "user", "content": two}]


def test_several_texts_are_joined_where_the_upstream_knows_text_only() -> None:
    assert messages_of(user("a", "b"), dialect=Dialect(images=False)) == [{"role": "user", "content": "a\n\nb"}]


def test_texts_and_images_keep_their_order() -> None:
    assert messages_of(user("a", IMAGE)) == [{"role": "user", "content": [{"type": "text", "text": "a"}, IMAGE_PART]}]


@pytest.mark.parametrize("content", ["", [], [{"type": "text", "text": ""}]])
def test_an_empty_user_message_is_refused(content: Any) -> None:
    error = refuse(messages=[user("a"), {"role": "user", "content": content}])

    assert error.message == "messages.1: all messages must have non-empty content"
    assert error.param == "messages.1"


def test_an_assistant_message_without_anything_is_left_out() -> None:
    assert messages_of(user("a"), assistant(""), user("b")) == [
        {"role": "user", "content": "a"},
        {"role": "user", "content": "b"},
    ]


def test_an_assistants_texts_are_put_together() -> None:
    assert messages_of(user("a"), assistant("b", "c"), user("d"))[1] == {"role": "assistant", "content": "bc"}


def test_an_unknown_role_is_refused() -> None:
    error = refuse(messages=[user("a"), {"role": "tool", "content": "x"}])

    assert error.param == "messages.1.role"
    assert error.message == "messages.1.role: Input should be 'user', 'assistant' or 'system'"


@pytest.mark.parametrize(
    ("message", "tag"), [(user(call("a")), "tool_use"), (user({"type": "thinking", "thinking": "x"}), "thinking")]
)
def test_an_assistants_block_in_a_user_message_is_refused(message: Any, tag: str) -> None:
    error = refuse(messages=[message])

    assert error.param == "messages.0.content.0"
    assert error.message == f"messages.0.content.0: `{tag}` blocks can only be in assistant messages"


@pytest.mark.parametrize("block", [IMAGE, PDF, result("a")])
def test_a_users_block_in_an_assistant_message_is_refused(block: Any) -> None:
    error = refuse(messages=[user("a"), assistant("x", block), user("b")])

    assert error.param == "messages.1.content.1"
    assert "can only be in user messages" in error.message


# Tool calls and results


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


def test_b26_reasoning_goes_back_with_the_calls() -> None:
    thinking = {"type": "thinking", "thinking": "hm", "signature": ""}
    more = {"type": "thinking", "thinking": ", yes", "signature": "s"}
    turns = messages_of(user("a"), assistant(thinking, more, call("A")), user(result("A", "1")), dialect=GLM)

    assert turns[1] == {
        "role": "assistant",
        "content": None,
        "reasoning_content": "hm, yes",
        "tool_calls": [called("A")],
    }


def test_reasoning_alone_makes_a_message() -> None:
    thinking = {"type": "thinking", "thinking": "hm"}

    assert messages_of(user("a"), assistant(thinking), user("b"), dialect=GLM)[1] == {
        "role": "assistant",
        "content": "",
        "reasoning_content": "hm",
    }


def test_reasoning_is_dropped_and_named_where_the_upstream_takes_none_back() -> None:
    done = translate(messages=[user("a"), assistant({"type": "thinking", "thinking": "hm"}), user("b")])

    assert [turn["content"] for turn in done.messages] == ["a", "b"]
    assert done.dropped == ("messages.thinking",)


def test_b28_opaque_reasoning_is_ignored() -> None:
    done = translate(GLM, messages=[user("a"), assistant({"type": "redacted_thinking", "data": "x"}, "b"), user("c")])

    assert done.messages[1] == {"role": "assistant", "content": "b"}
    assert done.dropped == ("messages.redacted_thinking",)


@pytest.mark.parametrize("name", ["server_tool_use", "mcp_tool_use"])
def test_calls_of_tools_on_the_other_side_are_dropped_and_named(name: str) -> None:
    block = {"type": name, "id": "s", "name": "web_search", "input": {}}
    done = translate(messages=[user("a"), assistant(block, "b"), user("c")])

    assert done.messages[1] == {"role": "assistant", "content": "b"}
    assert done.dropped == (f"messages.{name}",)


def test_what_a_server_tool_found_is_told_in_words() -> None:
    found = {"type": "web_search_tool_result", "content": [{"type": "web_search_result", "title": "T", "url": "U"}]}
    empty = {"type": "code_execution_tool_result"}
    done = translate(messages=[user("a"), assistant(found, "b", empty), user("c")])

    assert done.messages[1] == {"role": "assistant", "content": "\n[web_search_tool_result]\nT: U\nb"}
    assert done.dropped == ("messages.code_execution_tool_result",)


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


def test_assistant_messages_in_a_row_are_joined_when_one_has_calls() -> None:
    thinking = {"type": "thinking", "thinking": "hm"}
    turns = messages_of(
        user("a"),
        assistant(thinking, "b"),
        assistant(thinking, call("A")),
        assistant("c", call("B")),
        user(result("B", "2"), result("A", "1")),
        dialect=GLM,
    )

    assert turns[1:] == [
        {
            "role": "assistant",
            "content": "bc",
            "reasoning_content": "hmhm",
            "tool_calls": [called("A"), called("B")],
        },
        answer("A", "1"),
        answer("B", "2"),
    ]


def test_joined_messages_may_have_no_text() -> None:
    turns = messages_of(user("a"), assistant(call("A")), assistant(call("B")), user(result("A"), result("B")))

    assert turns[1] == {"role": "assistant", "content": None, "tool_calls": [called("A"), called("B")]}


def test_assistant_messages_in_a_row_without_calls_stay_apart() -> None:
    assert [turn["content"] for turn in messages_of(user("a"), assistant("b"), assistant("c"), user("d"))] == [
        "a",
        "b",
        "c",
        "d",
    ]


# System messages inside messages


def test_b2_a_system_message_in_mid_conversation_is_kept_in_place() -> None:
    assert messages_of(user("a"), system("agents"), user("b")) == [
        {"role": "user", "content": "a"},
        {"role": "system", "content": "agents"},
        {"role": "user", "content": "b"},
    ]


def test_b2_or_wrapped_where_the_upstream_wants_none_there() -> None:
    assert messages_of(user("a"), system("agents"), dialect=REMINDING)[1] == {
        "role": "user",
        "content": "<system-reminder>\nagents\n</system-reminder>",
    }


def test_b2_or_hoisted_where_it_is_configured() -> None:
    done = translate(HOISTING, system="first", messages=[user("a"), system("agents")])

    assert done.messages == [{"role": "system", "content": "first\n\nagents"}, {"role": "user", "content": "a"}]


def test_leading_system_messages_join_the_system_prompt() -> None:
    done = translate(system="A", messages=[system("B"), system("C"), user("x"), system("D")])

    assert done.messages == [
        {"role": "system", "content": "A\n\nB\n\nC"},
        {"role": "user", "content": "x"},
        {"role": "system", "content": "D"},
    ]


def test_a_system_message_never_comes_between_calls_and_results() -> None:
    turns = messages_of(user("a"), assistant(call("A")), system("s"), user(result("A", "1"), "b"))

    assert [turn["role"] for turn in turns] == ["user", "assistant", "tool", "system", "user"]


def test_a_system_message_of_blocks_is_joined_and_an_empty_one_left_out() -> None:
    blocks = {"role": "system", "content": [{"type": "text", "text": "A"}, {"type": "text", "text": "B"}]}

    assert messages_of(user("a"), blocks, system(""))[1:] == [{"role": "system", "content": "A\n\nB"}]


def test_a_system_message_holds_text_only() -> None:
    error = refuse(messages=[user("a"), {"role": "system", "content": [IMAGE]}])

    assert error.param == "messages.1.content.0"


# Cache marks, and the whole


def test_cache_marks_are_dropped_and_named_once() -> None:
    mark = {"cache_control": {"type": "ephemeral", "ttl": "1h"}}
    done = translate(
        messages=[
            user({"type": "text", "text": "a"} | mark, IMAGE | mark),
            assistant({"type": "text", "text": "b"} | mark, call("A") | mark),
            {"role": "user", "content": [result("A", "1") | mark]},
        ]
    )

    assert done.dropped == ("cache_control",)
    assert "cache_control" not in msgspec.json.encode(done.body).decode()


@pytest.mark.parametrize(
    "messages",
    [
        [user({"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}})],
        [user("a"), assistant({"type": "text", "text": "b", "cache_control": {}}), user("c")],
        [user("a"), assistant(call("A") | {"cache_control": {}}), user(result("A"))],
        [user("a"), assistant(call("A")), user(result("A") | {"cache_control": {}})],
        [user("a"), {"role": "system", "content": [{"type": "text", "text": "b", "cache_control": {}}]}],
    ],
)
def test_a_cache_mark_anywhere_is_named(messages: Any) -> None:
    assert translate(messages=messages).dropped == ("cache_control",)


def test_only_system_messages_are_no_conversation() -> None:
    error = refuse(messages=[system("a")])

    assert error.param == "messages"
    assert error.message == "messages: at least one user message is required"


_TURNS = st.sampled_from(
    [
        [user("a")],
        [user("a", IMAGE)],
        [system("agents")],
        [assistant("b"), user("c")],
        [assistant("x", call("A", "long.name", y=1)), system("s"), user("t", result("A", "1", IMAGE))],
        [assistant(call("A"), call("B")), user(result("B", is_error=True)), user(result("A"), "z")],
        [assistant({"type": "thinking", "thinking": "hm"}, call("C", "g" * 80)), user(result("C", "1"))],
    ]
)


@given(st.lists(_TURNS, min_size=1, max_size=6), st.lists(_TURNS, max_size=3), st.sampled_from([PLAIN, GLM, REMINDING]))
def test_b154_a_longer_history_begins_with_the_bytes_of_a_shorter_one(
    turns: list[list[Any]], more: list[list[Any]], dialect: Dialect
) -> None:
    def messages(groups: list[list[Any]]) -> bytes:
        history = [{"role": "user", "content": "start"}, *(message for group in groups for message in group)]
        body = body_of(system="S", messages=history)
        translated = anthropic_to_openai(body, dialect, upstream_model="m", limits=RequestLimits()).body
        return bytes(msgspec.json.decode(translated, type=dict[str, msgspec.Raw])["messages"])

    assert messages(turns + more).startswith(messages(turns)[:-1])


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
