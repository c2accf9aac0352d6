"""OpenAI messages as Anthropic messages."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.dialect import Dialect, MidSystem
from tests.support.openai_requests import (
    CLAUDE,
    GLM,
    answered,
    assistant,
    body_of,
    call,
    function,
    refuse,
    system,
    text,
    tool,
    translate,
    translate_bytes,
    use,
    user,
)

HOISTING = Dialect(mid_system=MidSystem.HOIST)
BRIEF = "<system-reminder>\nnow be brief\n</system-reminder>"


def messages_of(*messages: Any, dialect: Dialect = GLM) -> list[Any]:
    return [(message["role"], message["content"]) for message in translate(dialect, messages=messages).messages]


# System messages


def test_leading_system_and_developer_messages_become_system_blocks_in_order() -> None:
    out = translate(messages=[system("A"), {"role": "developer", "content": [text("B"), text("C")]}, user("hi")])

    assert out.body["system"] == [text("A"), text("B\n\nC")]


def test_empty_system_messages_leave_no_block() -> None:
    assert "system" not in translate(messages=[system(""), system([text("")]), user("hi")]).body


def test_b95_a_later_system_message_stays_in_place() -> None:
    out = translate(messages=[system("S"), user("a"), system("now be brief"), user("b")])

    assert out.body["system"] == [text("S")]
    assert out.messages == [{"role": "user", "content": [text("a"), text(BRIEF), text("b")]}]


def test_b95_a_later_system_message_keeps_its_role_where_the_upstream_takes_it() -> None:
    out = messages_of(user("a"), system("now be brief"), user("b"), dialect=CLAUDE)

    assert out == [("user", [text("a")]), ("system", [text("now be brief")]), ("user", [text("b")])]


def test_b95_a_later_system_message_is_hoisted_only_where_that_is_configured() -> None:
    out = translate(HOISTING, messages=[system("S"), user("a"), system("now be brief"), user("b")])

    assert out.body["system"] == [text("S"), text("now be brief")]


@pytest.mark.parametrize("where", [1, 2, 3])
def test_b95_a_system_message_never_parts_a_call_from_its_results(where: int) -> None:
    history = [assistant(None, call("a"), call("b")), tool("a"), tool("b"), user("go on")]
    history.insert(where, system("now be brief"))

    assert messages_of(user("hi"), *history) == [
        ("user", [text("hi")]),
        ("assistant", [use("a"), use("b")]),
        ("user", [answered("a"), answered("b"), text(BRIEF), text("go on")]),
    ]


def test_b95_a_system_message_between_results_keeps_its_role_after_them() -> None:
    out = messages_of(user("hi"), assistant(None, call("a")), system("now be brief"), tool("a"), dialect=CLAUDE)

    assert out[2:] == [("user", [answered("a")]), ("system", [text("now be brief")])]


# Turns


def test_neighbours_of_one_role_share_a_message() -> None:
    assert messages_of(user("a"), user("b"), assistant("c"), assistant("d"), user("e")) == [
        ("user", [text("a"), text("b")]),
        ("assistant", [text("c"), text("d")]),
        ("user", [text("e")]),
    ]


def test_b100_an_assistant_message_that_says_nothing_is_skipped_and_its_neighbours_merge() -> None:
    out = messages_of(user("a"), assistant(None), assistant(""), assistant([text("")]), user("b"))

    assert out == [("user", [text("a"), text("b")])]


def test_a_conversation_without_a_message_is_refused() -> None:
    assert refuse(messages=[]).param == "messages"
    assert refuse(messages=[system("S")]).message == "messages: at least one message is required"
    assert refuse(messages=[assistant(None)]).param == "messages"


def test_names_of_speakers_are_lost_and_reported() -> None:
    out = translate(messages=[system("S", name="x"), user("a", name="Ann"), assistant("b", name="Bob"), user("c")])

    assert out.dropped == ("messages.name",)


# Tool calls and results


def test_text_and_calls_of_one_assistant_message_are_both_kept() -> None:
    out = messages_of(user("hi"), assistant("ok", call("a", "f", '{"x":1}')), tool("a"))

    assert out[1] == ("assistant", [text("ok"), use("a", x=1)])


def test_b97_a_run_of_tool_messages_is_one_user_message_in_call_order() -> None:
    history = [assistant(None, call("a"), call("b"), call("c")), tool("c", "3"), tool("a", "1"), tool("b", "2")]

    assert messages_of(user("hi"), *history)[2:] == [
        ("user", [answered("a", "1"), answered("b", "2"), answered("c", "3")])
    ]


def test_b98_what_the_user_says_after_results_joins_them_behind() -> None:
    out = messages_of(user("hi"), assistant(None, call("a")), tool("a"), user("thanks"))

    assert out[2:] == [("user", [answered("a"), text("thanks")])]


def test_b119_a_result_without_a_call_is_refused() -> None:
    refusal = refuse(messages=[user("hi"), tool("ghost")])

    assert refusal.param == "messages.1.tool_call_id"
    assert "'ghost'" in refusal.message


def test_a_second_result_for_one_call_is_refused() -> None:
    refusal = refuse(messages=[user("hi"), assistant(None, call("a")), tool("a"), tool("a")])

    assert refusal.param == "messages.3.tool_call_id"


def test_a_result_for_a_call_of_an_earlier_turn_is_refused() -> None:
    history = [user("hi"), assistant(None, call("a")), tool("a"), assistant(None, call("b")), tool("a")]

    assert refuse(messages=history).param == "messages.4.tool_call_id"


@pytest.mark.parametrize("after", [[], [user("go on")], [assistant("go on")]])
def test_a_call_without_a_result_is_refused(after: list[Any]) -> None:
    refusal = refuse(messages=[user("hi"), assistant(None, call("a"), call("b")), tool("a"), *after])

    assert refusal.param == "messages.1.tool_calls.1"
    assert "'b'" in refusal.message


def test_b62_an_illegal_id_is_respelt_on_the_call_and_on_its_result() -> None:
    out = translate(messages=[user("hi"), assistant(None, call("functions.Bash:0")), tool("functions.Bash:0")])

    (used,), (result,) = out.messages[1]["content"], out.messages[2]["content"]
    assert used["id"].startswith("functions_Bash_0_")
    assert result["tool_use_id"] == used["id"]


def test_b62_ids_that_would_be_spelt_alike_stay_apart() -> None:
    history = [
        user("hi"),
        assistant(None, call("f:0"), call("f.0"), call("f_0")),
        tool("f_0"),
        tool("f:0"),
        tool("f.0"),
    ]
    out = translate(messages=history)

    used = [block["id"] for block in out.messages[1]["content"]]
    assert len(set(used)) == 3
    assert used[2] == "f_0"
    assert [block["tool_use_id"] for block in out.messages[2]["content"]] == used


def test_an_id_used_in_two_turns_gets_another_the_second_time() -> None:
    turn = [assistant(None, call("call_0")), tool("call_0")]
    out = translate(messages=[user("hi"), *turn, *turn])

    first, second = (out.messages[k]["content"][0]["id"] for k in (1, 3))
    assert first == "call_0"
    assert second != first
    assert out.messages[4]["content"][0]["tool_use_id"] == second


def test_calls_of_one_message_with_equal_ids_take_their_results_in_order() -> None:
    out = translate(messages=[user("hi"), assistant(None, call("x"), call("x")), tool("x", "1"), tool("x", "2")])

    first, second = (block["id"] for block in out.messages[1]["content"])
    assert out.messages[2]["content"] == [answered(first, "1"), answered(second, "2")]


@pytest.mark.parametrize("missing", [None, ""])
def test_calls_without_an_id_get_one_and_results_find_them_by_position(missing: str | None) -> None:
    turn = [assistant(None, call(missing), call(missing)), tool(missing, "1"), tool(missing, "2")]
    out = translate(messages=[user("hi"), *turn, *turn])

    ids = [block["id"] for k in (1, 3) for block in out.messages[k]["content"]]
    results = [block["tool_use_id"] for k in (2, 4) for block in out.messages[k]["content"]]
    assert len(set(ids)) == 4
    assert results == ids


def test_other_kinds_of_calls_are_refused() -> None:
    custom = {"id": "a", "type": "custom", "custom": {"name": "f", "input": "x"}}

    assert refuse(messages=[user("hi"), assistant(None, custom)]).param == "messages.1.tool_calls.0.type"


def test_a_call_without_function_or_name_is_refused() -> None:
    bare = {"id": "a", "type": "function"}

    assert refuse(messages=[user("hi"), assistant(None, bare)]).param == "messages.1.tool_calls.0.function"
    assert refuse(messages=[user("hi"), assistant(None, call("a", ""))]).param == (
        "messages.1.tool_calls.0.function.name"
    )


def test_a_call_may_leave_out_its_type() -> None:
    untyped = {"id": "a", "function": {"name": "f", "arguments": "{}"}}

    assert messages_of(user("hi"), assistant(None, untyped), tool("a"))[1] == ("assistant", [use("a")])


def test_b122_legacy_function_calls_become_tool_use_with_an_id_of_our_own() -> None:
    history = [
        user("hi"),
        {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": '{"x":1}'}},
        {"role": "function", "name": "f", "content": "one"},
        {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": ""}},
        {"role": "function", "name": "f", "content": None},
    ]
    out = translate(messages=history)

    ids = [out.messages[k]["content"][0]["id"] for k in (1, 3)]
    assert len(set(ids)) == 2
    assert out.messages[2]["content"] == [answered(ids[0], "one")]
    assert out.messages[4]["content"] == [{"type": "tool_result", "tool_use_id": ids[1]}]


def test_b119_a_legacy_result_without_a_call_is_refused() -> None:
    assert refuse(messages=[user("hi"), {"role": "function", "name": "f", "content": ""}]).param == "messages.1.name"


def test_images_of_results_follow_all_results_where_a_result_may_not_hold_them() -> None:
    picture = {"type": "image_url", "image_url": {"url": "https://host/a.png"}}
    history = [
        user("hi"),
        assistant(None, call("a"), call("b")),
        tool("a", [text("see"), picture]),
        tool("b", [text("none")]),
    ]
    out = translate(Dialect(), messages=history).messages[2]["content"]

    assert out == [
        answered("a", [text("see"), text("[1 attached below]")]),
        answered("b", [text("none")]),
        text("[attached to the result of a]"),
        {"type": "image", "source": {"type": "url", "url": "https://host/a.png"}},
    ]


def test_cache_control_of_an_assistant_message_marks_its_last_block() -> None:
    mark = {"type": "ephemeral"}
    out = messages_of(user("hi"), assistant("ok", call("a"), cache_control=mark), tool("a"), user("x"))

    assert out[1] == ("assistant", [text("ok"), use("a") | {"cache_control": mark}])


def test_cache_control_is_never_put_on_thinking() -> None:
    signed = [{"type": "thinking", "thinking": "hm", "signature": "sig"}]
    out = messages_of(
        user("hi"), assistant(None, thinking_blocks=signed, cache_control={"type": "ephemeral"}), user("x")
    )

    assert out[1] == ("assistant", signed)


# The prefix property


TEXTS = st.text(st.sampled_from("ab \n"), min_size=1, max_size=3)
IDS = st.sampled_from(["a", "b", "call:0", "", "a 2"])


@st.composite
def turns(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Return messages after which the history is whole."""
    kind = draw(st.sampled_from(["user", "assistant", "system", "tools", "function"]))
    if kind == "tools":
        ids = draw(st.lists(IDS, min_size=1, max_size=3))
        calls = [call(id_, draw(st.sampled_from(["f", "g.h"]))) for id_ in ids]
        results = [tool(id_, draw(TEXTS)) for id_ in draw(st.permutations(ids))]
        results.insert(draw(st.integers(0, len(results))), system(draw(TEXTS)))
        return [assistant(draw(st.none() | TEXTS), *calls, reasoning_content=draw(st.none() | TEXTS)), *results]
    if kind == "function":
        return [
            {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": "{}"}},
            {"role": "function", "name": "f", "content": draw(TEXTS)},
        ]
    return [{"role": kind, "content": draw(TEXTS)}]


@given(st.lists(turns(), min_size=1, max_size=6), st.sampled_from([GLM, CLAUDE]))
def test_b154_a_longer_history_begins_with_the_bytes_of_the_shorter(
    history: list[list[dict[str, Any]]], dialect: Dialect
) -> None:
    # A trailing user message keeps the shorter one from ending in a prefill, whose white space is stripped.
    shorter: list[Any] = [user("hi"), *(message for turn in history[:-1] for message in turn), user("then")]
    longer = [*shorter, *history[-1], user("end")]
    tools = [function("f"), function("g.h")]
    before, after = (
        translate_bytes(body_of(messages=messages, tools=tools), dialect).raw for messages in (shorter, longer)
    )

    head = before.removesuffix(b"]}]}")
    assert len(head) == len(before) - 4
    assert after.startswith(head)


def test_b154_ids_do_not_depend_on_what_comes_later() -> None:
    turn = [user("hi"), assistant(None, call("f:0"), call("")), tool("f:0"), tool("")]
    longer = [*turn, assistant(None, call("f.0"), call("")), tool("f.0"), tool("")]

    before, after = (msgspec.json.encode(translate(messages=messages).messages[:2]) for messages in (turn, longer))
    assert before == after
