from typing import Any

import pytest

from services.gateway.translation.context import ShownTool
from services.gateway.translation.refusal import TranslationError
from services.gateway.translation.requests.limits import RequestLimits
from tests.support.responses_requests import USER, Json, function, request, sent, to_anthropic, to_openai

CUSTOM: Json = {"type": "custom", "name": "patch", "description": "Edits."}
SPACE: Json = {"type": "namespace", "name": "n", "description": "d", "tools": [function(), {**CUSTOM, "name": "p"}]}


def names(body: Json) -> list[str]:
    return [tool["function"]["name"] if "function" in tool else tool["name"] for tool in body.get("tools", [])]


@pytest.mark.parametrize("translate", [to_anthropic, to_openai])
def test_tools_become_one_flat_list_in_order(translate: Any) -> None:
    out = translate(request(tools=[function(), CUSTOM, SPACE, function("g")]))

    assert names(sent(out)) == ["f", "patch", "n__f", "n__p", "g"]
    assert out.context.responses.shown == {
        "patch": ShownTool("patch", None, custom=True),
        "n__f": ShownTool("f", "n"),
        "n__p": ShownTool("p", "n", custom=True),
    }


@pytest.mark.parametrize("translate", [to_anthropic, to_openai])
def test_tools_that_the_input_adds_are_offered_too(translate: Any) -> None:
    added = {"type": "additional_tools", "role": "developer", "tools": [function("g"), SPACE]}
    out = translate(request(added, USER, {**added, "tools": None}, tools=[function()]))

    assert names(sent(out)) == ["f", "g", "n__f", "n__p"]
    with pytest.raises(TranslationError) as refused:
        translate(request(added, USER, tools=[function("g")]))
    assert refused.value.param == "input.0.tools.0.name"


@pytest.mark.parametrize(
    ("extra", "description"),
    [
        ({}, "Edits."),
        ({"format": {"type": "text"}}, "Edits."),
        (
            {"format": {"type": "grammar", "syntax": "lark", "definition": "start: /x/"}},
            "Edits.\n\nThe input must be valid under this lark grammar:\nstart: /x/",
        ),
        (
            {"description": None, "format": {"definition": "start: /x/"}},
            "The input must be valid under this grammar grammar:\nstart: /x/",
        ),
        ({"description": None}, None),
    ],
)
def test_a_custom_tool_is_a_function_with_one_string(extra: Json, description: str | None) -> None:
    [tool] = sent(to_anthropic(request(tools=[{**CUSTOM, **extra}])))["tools"]

    assert tool.get("description") == description
    assert tool["input_schema"]["required"] == ["input"]
    assert tool["input_schema"]["properties"]["input"]["type"] == "string"


@pytest.mark.parametrize("kind", ["web_search", "web_search_preview_2025_03_11", "image_generation", "tool_search"])
def test_what_the_model_can_do_without_is_left_out_and_named(kind: str) -> None:
    out = to_openai(request(tools=[{"type": kind}, function()]))

    assert names(sent(out)) == ["f"]
    [named] = out.dropped
    assert kind.startswith(named.removeprefix("tools."))


@pytest.mark.parametrize("translate", [to_anthropic, to_openai])
@pytest.mark.parametrize(
    ("tools", "param", "says"),
    [
        ([{"type": "code_interpreter"}], "tools.0.type", "offer a function that does the same"),
        ([function(), {"type": "local_shell"}], "tools.1.type", "not supported"),
        ([{"type": "mcp", "server_label": "x"}], "tools.0.type", "not supported"),
        ([{**SPACE, "tools": [SPACE]}], "tools.0.tools.0.type", "not supported"),
        ([{**SPACE, "name": None}], "tools.0.type", "not supported"),
        ([function("")], "tools.0.name", "Field required"),
        ([{**SPACE, "tools": [function(None)]}], "tools.0.tools.0.name", "Field required"),
        ([function(), function()], "tools.1.name", "two tools have the name 'f'"),
        ([function("n__f"), SPACE], "tools.1.tools.0.name", "two tools have the name 'n__f'"),
        ([function(parameters=[1])], "tools.0.parameters", "JSON Schema object"),
        ([function(parameters={"a": {"a": {"a": {"a": 1}}}})], "tools.0.parameters", "nested deeper than 3"),
        ([function(str(number)) for number in range(4)], "tools", "at most 3 tools"),
    ],
)
def test_tools_that_cannot_be_offered_are_refused(translate: Any, tools: list[Json], param: str, says: str) -> None:
    with pytest.raises(TranslationError) as refused:
        translate(request(tools=tools), limits=RequestLimits(tools=3, json_depth=3))

    assert refused.value.param == param
    assert says in refused.value.message


@pytest.mark.parametrize("parameters", [None, {}])
@pytest.mark.parametrize("translate", [to_anthropic, to_openai])
def test_a_function_without_parameters_takes_an_empty_object(translate: Any, parameters: Json | None) -> None:
    [tool] = sent(translate(request(tools=[function(parameters=parameters)])))["tools"]

    assert (tool.get("input_schema") or tool["function"]["parameters"]) == {"type": "object", "properties": {}}


@pytest.mark.parametrize(
    ("choice", "anthropic", "openai"),
    [
        (None, None, None),
        ("auto", {"type": "auto"}, "auto"),
        ("none", {"type": "none"}, "none"),
        ("required", {"type": "any"}, "required"),
        (
            {"type": "function", "name": "f"},
            {"type": "tool", "name": "f"},
            {"type": "function", "function": {"name": "f"}},
        ),
        (
            {"type": "custom", "name": "p", "namespace": "n"},
            {"type": "tool", "name": "n__p"},
            {"type": "function", "function": {"name": "n__p"}},
        ),
    ],
)
def test_the_choice_is_passed_on(choice: Any, anthropic: Json | None, openai: Any) -> None:
    body = request(tools=[function(), SPACE], tool_choice=choice)

    assert sent(to_anthropic(body)).get("tool_choice") == anthropic
    assert sent(to_openai(body)).get("tool_choice") == openai


@pytest.mark.parametrize("translate", [to_anthropic, to_openai])
def test_only_the_tools_that_are_allowed_remain(translate: Any) -> None:
    allowed = {"type": "allowed_tools", "tools": [{"type": "function", "name": "g"}]}
    body = sent(translate(request(tools=[function(), function("g")], tool_choice=allowed)))
    must = sent(translate(request(tools=[function(), function("g")], tool_choice={**allowed, "mode": "required"})))

    assert names(body) == names(must) == ["g"]
    assert body["tool_choice"] in ({"type": "auto"}, "auto")
    assert must["tool_choice"] in ({"type": "any"}, "required")


@pytest.mark.parametrize("translate", [to_anthropic, to_openai])
@pytest.mark.parametrize(
    ("choice", "param"),
    [
        ("sometimes", "tool_choice"),
        ({"type": "function", "name": "g"}, "tool_choice.name"),
        ({"type": "function"}, "tool_choice.name"),
        ({"type": "web_search"}, "tool_choice.type"),
        ({"type": "allowed_tools"}, "tool_choice.tools"),
        ({"type": "allowed_tools", "tools": [{"type": "function", "name": "g"}]}, "tool_choice.tools.0.name"),
        (
            {"type": "allowed_tools", "mode": "never", "tools": [{"type": "function", "name": "f"}]},
            "tool_choice.mode",
        ),
    ],
)
def test_the_choice_of_what_is_not_there_is_refused(translate: Any, choice: Any, param: str) -> None:
    with pytest.raises(TranslationError) as refused:
        translate(request(tools=[function()], tool_choice=choice))

    assert refused.value.param == param


@pytest.mark.parametrize("translate", [to_anthropic, to_openai])
def test_a_call_that_is_required_needs_a_tool(translate: Any) -> None:
    with pytest.raises(TranslationError, match="needs a tool"):
        translate(request(tools=[{"type": "web_search"}], tool_choice="required"))


def test_one_call_at_a_time() -> None:
    one = request(tools=[function()], parallel_tool_calls=False)

    assert sent(to_anthropic(one))["tool_choice"] == {"type": "auto", "disable_parallel_tool_use": True}
    assert sent(to_openai(one))["parallel_tool_calls"] is False
    for translate in (to_anthropic, to_openai):
        assert translate(one, parallel_tool_calls=False).dropped == ("parallel_tool_calls",)
        assert translate(request(parallel_tool_calls=False)).dropped == ()


def test_a_name_the_upstream_does_not_take_comes_back_as_the_clients() -> None:
    for translate in (to_anthropic, to_openai):
        out = translate(request(tools=[function("look.up")]))
        [name] = names(sent(out))

        assert out.context.tool_names == {name: "look.up"}
