"""Which tools an OpenAI client wants called, said to an Anthropic upstream."""

from typing import Any

import msgspec
import pytest

from services.gateway.dialect import Dialect, ToolChoice
from services.gateway.translation.requests.forced_tools import CALL_A_TOOL
from services.gateway.translation.requests.openai_tool_choice import CALL_NO_TOOL
from tests.support.openai_requests import (
    CLAUDE,
    GLM,
    PLAIN,
    assistant,
    call,
    function,
    refuse,
    text,
    tool,
    translate,
    user,
)

TWO = [function("f"), function("g.h")]
NAMED = {"type": "function", "function": {"name": "g.h"}}
PAST = [user("hi"), assistant(None, call("a", "f")), tool("a")]
STUB = {"name": "f", "input_schema": {"type": "object", "properties": {}}}
FUSSY = msgspec.structs.replace(GLM, tool_calls_without_tools=False)
SERIAL = Dialect(parallel_tool_calls=False)


def allowed(mode: str, *names: str) -> dict[str, Any]:
    tools = [{"type": "function", "function": {"name": name}} for name in names]
    return {"type": "allowed_tools", "allowed_tools": {"mode": mode, "tools": tools}}


def names_of(body: dict[str, Any]) -> list[str]:
    return [definition["name"][:3] for definition in body.get("tools", [])]


@pytest.mark.parametrize(("said", "meant"), [("auto", "auto"), ("required", "any"), ("none", "none")])
def test_every_word_has_its_counterpart(said: str, meant: str) -> None:
    body = translate(CLAUDE, tools=TWO, tool_choice=said).body

    assert body["tool_choice"] == {"type": meant}
    assert names_of(body) == ["f", "g_h"]


def test_a_named_tool_is_named_as_the_upstream_knows_it() -> None:
    body = translate(CLAUDE, tools=TWO, tool_choice=NAMED).body

    assert body["tool_choice"] == {"type": "tool", "name": body["tools"][1]["name"]}
    assert names_of(body) == ["f", "g_h"]


def test_no_choice_says_nothing() -> None:
    assert "tool_choice" not in translate(CLAUDE, tools=TWO).body
    assert "tool_choice" not in translate(GLM, tools=TWO).body


@pytest.mark.parametrize("dialect", [CLAUDE, GLM])
def test_allowed_tools_are_the_only_ones_offered(dialect: Dialect) -> None:
    body = translate(dialect, tools=TWO, tool_choice=allowed("auto", "g.h")).body

    assert names_of(body) == ["g_h"]
    assert body["tool_choice"] == {"type": "auto"}


def test_allowed_tools_may_be_required() -> None:
    assert translate(CLAUDE, tools=TWO, tool_choice=allowed("required", "f")).body["tool_choice"] == {"type": "any"}


@pytest.mark.parametrize(
    ("choice", "param"),
    [
        ("any", "tool_choice"),
        ({"type": "function", "function": {"name": "x"}}, "tool_choice.function.name"),
        ({"type": "function"}, "tool_choice.type"),
        ({"type": "custom", "custom": {"name": "f"}}, "tool_choice.type"),
        ({"type": "allowed_tools"}, "tool_choice.type"),
        (allowed("sometimes", "f"), "tool_choice.allowed_tools.mode"),
        (allowed("auto", "f", "x"), "tool_choice.allowed_tools.tools.1"),
        (allowed("auto"), "tool_choice.allowed_tools.tools"),
        (
            {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [{"type": "mcp"}]}},
            "tool_choice.allowed_tools.tools.0",
        ),
    ],
)
def test_choices_that_cannot_be_met_are_refused(choice: Any, param: str) -> None:
    assert refuse(CLAUDE, tools=TWO, tool_choice=choice).param == param


def test_a_named_tool_without_any_tools_is_refused() -> None:
    assert refuse(tool_choice=NAMED).param == "tool_choice.function.name"


# Upstreams that know auto only


def test_none_takes_the_tools_away_where_only_auto_is_known() -> None:
    out = translate(tools=TWO, tool_choice="none", messages=PAST)

    assert "tools" not in out.body
    assert "tool_choice" not in out.body
    assert out.dropped == ("tool_choice",)


def test_none_keeps_the_tools_where_the_history_needs_them() -> None:
    out = translate(FUSSY, tools=TWO, tool_choice="none", messages=PAST)

    assert names_of(out.body) == ["f", "g_h"]
    assert out.body["system"] == [text(CALL_NO_TOOL)]
    assert out.dropped == ("tool_choice",)


def test_required_is_a_line_of_instruction_where_only_auto_is_known() -> None:
    out = translate(tools=TWO, tool_choice="required")

    assert out.body["tool_choice"] == {"type": "auto"}
    assert out.body["system"] == [text(CALL_A_TOOL)]
    assert out.dropped == ("tool_choice=auto",)


def test_a_named_tool_is_the_only_one_where_only_auto_is_known() -> None:
    out = translate(tools=TWO, tool_choice=NAMED)

    assert names_of(out.body) == ["g_h"]
    assert out.body["tool_choice"] == {"type": "auto"}
    assert out.dropped == ("tool_choice=auto",)


def test_auto_is_no_change() -> None:
    out = translate(tools=TWO, tool_choice="auto")

    assert out.body["tool_choice"] == {"type": "auto"}
    assert out.dropped == ()


# No tools


def test_a_history_of_calls_without_tools_gets_stubs_that_may_not_be_called() -> None:
    body = translate(CLAUDE, messages=PAST).body

    assert body["tools"] == [STUB]
    assert body["tool_choice"] == {"type": "none"}


def test_stubs_come_with_a_line_where_only_auto_is_known() -> None:
    body = translate(FUSSY, messages=PAST).body

    assert body["tools"] == [STUB]
    assert body["system"] == [text(CALL_NO_TOOL)]
    assert "tool_choice" not in body


def test_no_stubs_where_nobody_needs_them() -> None:
    assert "tools" not in translate(GLM, messages=PAST).body


def test_required_without_tools_is_reported() -> None:
    assert translate(CLAUDE, tool_choice="required").dropped == ("tool_choice",)


# One call at a time


def test_b104_no_parallel_calls_without_a_choice_is_auto_with_the_flag() -> None:
    out = translate(CLAUDE, tools=TWO, parallel_tool_calls=False)

    assert out.body["tool_choice"] == {"type": "auto", "disable_parallel_tool_use": True}
    assert out.dropped == ()


@pytest.mark.parametrize("choice", ["auto", "required", NAMED])
def test_b104_the_flag_stands_beside_every_choice_that_calls(choice: Any) -> None:
    body = translate(CLAUDE, tools=TWO, tool_choice=choice, parallel_tool_calls=False).body

    assert body["tool_choice"]["disable_parallel_tool_use"] is True


def test_b104_the_flag_is_pointless_beside_none() -> None:
    body = translate(CLAUDE, tools=TWO, tool_choice="none", parallel_tool_calls=False).body

    assert body["tool_choice"] == {"type": "none"}


@pytest.mark.parametrize("fields", [{}, {"tools": TWO, "tool_choice": "none"}])
def test_b104_the_flag_is_dropped_where_there_are_no_tools(fields: dict[str, Any]) -> None:
    assert "parallel_tool_calls" in translate(GLM, parallel_tool_calls=False, **fields).dropped


def test_b104_the_flag_is_dropped_where_it_is_unknown() -> None:
    out = translate(SERIAL, tools=TWO, parallel_tool_calls=False)

    assert "tool_choice" not in out.body
    assert out.dropped == ("parallel_tool_calls",)


def test_parallel_calls_are_the_default() -> None:
    assert translate(CLAUDE, tools=TWO, parallel_tool_calls=True).dropped == ()


# function_call


@pytest.mark.parametrize(
    ("said", "meant"),
    [("none", {"type": "none"}), ("auto", {"type": "auto"}), ({"name": "f"}, {"type": "tool", "name": "f"})],
)
def test_b122_function_call_is_the_old_tool_choice(said: Any, meant: Any) -> None:
    assert translate(PLAIN, functions=[{"name": "f"}], function_call=said).body["tool_choice"] == meant


@pytest.mark.parametrize(("said", "param"), [("x", "function_call"), ({"name": "x"}, "function_call.name")])
def test_b122_an_impossible_function_call_is_refused(said: Any, param: str) -> None:
    assert refuse(PLAIN, functions=[{"name": "f"}], function_call=said).param == param


def test_the_dialects_under_test_are_of_both_kinds() -> None:
    assert {CLAUDE.tool_choice, GLM.tool_choice} == set(ToolChoice)
