"""Anthropic messages as OpenAI messages: turns, reasoning, system messages among them, cache marks, and the whole."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.dialect import Dialect, MidSystem
from services.gateway.translation.requests.anthropic_to_openai import anthropic_to_openai
from services.gateway.translation.requests.limits import RequestLimits
from tests.support.anthropic_requests import (
    GLM,
    IMAGE,
    IMAGE_PART,
    PDF,
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

HOISTING = Dialect(mid_system=MidSystem.HOIST)


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


# Reasoning, and the tools of the other side


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


# Assistant messages in a row


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
