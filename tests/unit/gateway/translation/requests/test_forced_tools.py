"""A choice that an upstream does not take is made as near as `auto` allows, in a body of the upstream's own format."""

import json
from typing import Any

import pytest

from services.gateway.dialect import GLM_ANTHROPIC, GLM_OPENAI, Dialect
from services.gateway.translation.requests.adapted import Adapted
from services.gateway.translation.requests.forced_tools import CALL_A_TOOL, chat_unforced, messages_unforced
from services.gateway.wire.formats import WireFormat
from services.gateway.wire.mend import BROKEN
from services.gateway.wire.outline import outline_of

OPENAI, ANTHROPIC = WireFormat.OPENAI, WireFormat.ANTHROPIC
USER = {"role": "user", "content": "hi"}
TOOLS: dict[WireFormat, list[dict[str, Any]]] = {
    OPENAI: [{"type": "function", "function": {"name": name, "parameters": {}}} for name in "abc"],
    ANTHROPIC: [{"name": name, "input_schema": {}} for name in "abc"],
}
AUTO: dict[WireFormat, Any] = {OPENAI: "auto", ANTHROPIC: {"type": "auto"}}
LOST = ("tool_choice=auto",)


def _unforced(upstream: WireFormat, body: dict[str, Any], dialect: Dialect | None = None) -> Adapted | None:
    """Return what becomes of a body; None as well where it has another shape, which the caller leaves alone."""
    outline = outline_of(json.dumps(body).encode(), blocks=upstream is ANTHROPIC)
    assert outline is not None
    try:
        if upstream is OPENAI:
            return chat_unforced(outline, dialect or GLM_OPENAI)
        return messages_unforced(outline, dialect or GLM_ANTHROPIC)
    except BROKEN:
        return None


def _changed(upstream: WireFormat, choice: Any) -> tuple[dict[str, Any], tuple[str, ...]]:
    body = {"messages": [USER], "tools": TOOLS[upstream], "tool_choice": choice, "temperature": 0.5}
    found = _unforced(upstream, body)
    assert found is not None
    changed: dict[str, Any] = json.loads(found.outline.body)
    assert changed.pop("temperature") == 0.5
    return changed, found.dropped


@pytest.mark.parametrize(
    ("upstream", "choice", "kept"),
    [
        (OPENAI, {"type": "function", "function": {"name": "b"}}, slice(1, 2)),
        (
            OPENAI,
            {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": TOOLS[OPENAI][:2]}},
            slice(0, 2),
        ),
        (ANTHROPIC, {"type": "tool", "name": "c"}, slice(2, 3)),
    ],
)
def test_tools_that_are_named_are_the_only_ones_offered(upstream: WireFormat, choice: Any, kept: slice) -> None:
    changed, dropped = _changed(upstream, choice)

    assert changed == {"messages": [USER], "tools": TOOLS[upstream][kept], "tool_choice": AUTO[upstream]}
    assert dropped == LOST


def test_that_any_must_be_called_is_said_in_words() -> None:
    changed, dropped = _changed(OPENAI, "required")
    assert changed["messages"] == [{"role": "system", "content": CALL_A_TOOL}, USER]
    assert (changed["tools"], changed["tool_choice"], dropped) == (TOOLS[OPENAI], "auto", LOST)

    changed, dropped = _changed(ANTHROPIC, {"type": "any"})
    assert changed["system"] == CALL_A_TOOL
    assert (changed["tools"], changed["tool_choice"], dropped) == (TOOLS[ANTHROPIC], {"type": "auto"}, LOST)


def test_one_of_some_tools_is_both() -> None:
    choice = {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": TOOLS[OPENAI][:1]}}
    changed, dropped = _changed(OPENAI, choice)

    assert changed["messages"][0]["content"] == CALL_A_TOOL
    assert (changed["tools"], changed["tool_choice"], dropped) == (TOOLS[OPENAI][:1], "auto", LOST)


@pytest.mark.parametrize("choice", [{"type": "any"}, {"type": "tool", "name": "c"}])
@pytest.mark.parametrize("alone", [True, False])
def test_that_one_tool_is_called_at_a_time_is_kept(choice: dict[str, Any], alone: bool) -> None:
    changed, _ = _changed(ANTHROPIC, choice | {"disable_parallel_tool_use": alone})

    assert changed["tool_choice"] == {"type": "auto", "disable_parallel_tool_use": alone}


@pytest.mark.parametrize("tools", [{}, {"tools": []}, {"tools": None}])
def test_no_tool_is_asked_for_where_there_is_none(tools: dict[str, Any]) -> None:
    found = _unforced(OPENAI, {"messages": [USER], "tool_choice": "required", **tools})

    assert found is not None
    assert (json.loads(found.outline.body), found.dropped) == ({"messages": [USER]}, ("tool_choice",))
    assert _unforced(ANTHROPIC, {"messages": [USER], "tool_choice": {"type": "any"}, **tools}) is None


@pytest.mark.parametrize(
    ("upstream", "choice"),
    [
        (OPENAI, "none"),
        (OPENAI, {"type": "allowed_tools", "allowed_tools": {"mode": "none", "tools": TOOLS[OPENAI][:1]}}),
        (ANTHROPIC, {"type": "none"}),
    ],
)
def test_where_none_may_be_called_none_is_offered(upstream: WireFormat, choice: Any) -> None:
    assert _changed(upstream, choice) == ({"messages": [USER]}, ("tool_choice",))


@pytest.mark.parametrize(
    ("upstream", "choice"),
    [
        (OPENAI, "auto"),
        (OPENAI, None),
        (OPENAI, "sometimes"),
        (OPENAI, 7),
        (OPENAI, {"type": "function", "function": {"name": "absent"}}),
        (OPENAI, {"type": "function"}),
        (OPENAI, {"type": "allowed_tools"}),
        (OPENAI, {"type": "allowed_tools", "allowed_tools": {}}),
        (OPENAI, {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": []}}),
        (OPENAI, {"type": "allowed_tools", "allowed_tools": {"mode": "sometimes", "tools": TOOLS[OPENAI][:1]}}),
        (OPENAI, {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [{"type": "absent"}]}}),
        (ANTHROPIC, {"type": "auto"}),
        (ANTHROPIC, {"type": "auto", "disable_parallel_tool_use": True}),
        (ANTHROPIC, {"type": "tool"}),
        (ANTHROPIC, {"type": "tool", "name": "absent"}),
        (ANTHROPIC, "any"),
    ],
)
def test_what_is_auto_or_cannot_be_read_is_left_alone(upstream: WireFormat, choice: Any) -> None:
    body = {"messages": [USER], "tools": TOOLS[upstream], "tool_choice": choice}

    assert _unforced(upstream, body) is None


@pytest.mark.parametrize(("upstream", "choice"), [(OPENAI, "required"), (ANTHROPIC, {"type": "any"})])
def test_an_upstream_that_takes_every_choice_is_given_it(upstream: WireFormat, choice: Any) -> None:
    assert _unforced(upstream, {"messages": [USER], "tools": [], "tool_choice": choice}, Dialect()) is None
