"""An OpenAI client's tool definitions for an Anthropic upstream."""

from typing import Any

import msgspec
import pytest

from services.gateway.dialect import Dialect
from services.gateway.translation.refusal import TranslationError
from services.gateway.translation.requests.limits import RequestLimits
from services.gateway.translation.requests.openai_tools import Offered, RecentTools
from services.gateway.translation.requests.recent import Recent
from services.gateway.wire.openai import ChatRequest
from tests.support.openai_requests import CLAUDE, GLM, PLAIN, body_of, function, refuse, translate, translate_bytes

EMPTY = {"type": "object", "properties": {}}


def tools_of(*tools: Any, dialect: Dialect = GLM) -> Any:
    return translate(dialect, tools=tools).body["tools"]


def schema_of(schema: Any, dialect: Dialect = GLM) -> Any:
    return tools_of(function(parameters=schema), dialect=dialect)[0]["input_schema"]


def test_a_definition_keeps_name_description_and_schema() -> None:
    assert tools_of(function("f", description="does", parameters=EMPTY)) == [
        {"name": "f", "description": "does", "input_schema": EMPTY}
    ]


def test_an_empty_description_is_left_out() -> None:
    assert tools_of(function("f", description="")) == [{"name": "f", "input_schema": EMPTY}]


def test_b103_a_tool_without_parameters_takes_an_empty_object() -> None:
    assert tools_of(function("f")) == [{"name": "f", "input_schema": EMPTY}]


@pytest.mark.parametrize("nothing", [None, {}])
def test_b103_empty_parameters_are_an_empty_object(nothing: Any) -> None:
    assert schema_of(nothing) == EMPTY


def test_b34_a_schema_is_passed_on_byte_for_byte() -> None:
    schema = (
        '{"$schema": "http://json-schema.org/draft-07/schema#", "type":"object",\n "properties":{"b":{"$ref":"#/$defs/x"},'
        '"a":{"anyOf":[{"type":"null"},{"const":1.0}]}}, "$defs":{"x":{"enum":["\\u00e9", 1e2]}},'
        '"additionalProperties":false,"required":[]}'
    )
    body = f'{{"model":"m","messages":[{{"role":"user","content":"hi"}}],"tools":[{{"type":"function","function":{{"name":"f","parameters":{schema}}}}}]}}'

    assert f'"input_schema":{schema}'.encode() in translate_bytes(body.encode()).raw


def test_a_schema_with_properties_and_no_type_gets_one() -> None:
    assert schema_of({"properties": {"a": {}}}) == {"type": "object", "properties": {"a": {}}}


def test_a_schema_by_reference_is_left_alone() -> None:
    assert schema_of({"$ref": "#/x"}) == {"$ref": "#/x"}


@pytest.mark.parametrize("word", ["anyOf", "oneOf", "allOf"])
def test_combined_schemas_are_refused_where_the_upstream_refuses_them(word: str) -> None:
    schema = {"type": "object", word: [{}]}

    assert schema_of(schema) == schema
    assert refuse(CLAUDE, tools=[function(parameters=schema)]).param == "tools.0.function.parameters"


@pytest.mark.parametrize("schema", [[], "x", 3, True])
def test_a_schema_that_is_no_object_is_refused(schema: Any) -> None:
    assert refuse(tools=[function(parameters=schema)]).param == "tools.0.function.parameters"


def test_a_schema_nested_too_deeply_is_refused() -> None:
    deep: Any = {}
    for _ in range(80):
        deep = {"properties": deep}

    assert refuse(tools=[function(), function("g", parameters=deep)]).param == "tools.1.function.parameters"


def test_strict_is_passed_on_where_it_is_known() -> None:
    assert tools_of(function(strict=True), function("g", strict=False), dialect=PLAIN) == [
        {"name": "f", "input_schema": EMPTY, "strict": True},
        {"name": "g", "input_schema": EMPTY, "strict": False},
    ]


def test_strict_is_dropped_and_reported_where_it_is_not_known() -> None:
    out = translate(tools=[function(strict=True), function("g", strict=True)])

    assert [sorted(tool) for tool in out.body["tools"]] == [["input_schema", "name"]] * 2
    assert out.dropped == ("tools.strict",)
    assert translate(tools=[function(strict=False)]).dropped == ()


def test_cache_control_of_a_tool_is_kept_wherever_it_stands() -> None:
    mark = {"type": "ephemeral", "ttl": "1h"}

    out = tools_of(function("f") | {"cache_control": mark}, function("g", cache_control=mark))
    assert [tool["cache_control"] for tool in out] == [mark, mark]


def test_no_tools_at_all_leave_no_key() -> None:
    body = translate(tools=[], tool_choice="auto").body

    assert "tools" not in body
    assert "tool_choice" not in body


def test_long_and_illegal_names_are_respelt_and_told_to_the_answers_side() -> None:
    out = translate(tools=[function("mcp.server/tool"), function("ok")])

    (renamed, kept) = (tool["name"] for tool in out.body["tools"])
    assert kept == "ok"
    assert out.context.tool_names == {renamed: "mcp.server/tool"}


def test_equal_names_are_refused() -> None:
    assert refuse(tools=[function("f"), function("f")]).param == "tools.1.function.name"
    assert refuse(tools=[function("f")], functions=[{"name": "f"}]).param == "functions.0.name"


def test_empty_names_are_refused() -> None:
    assert refuse(tools=[function("")]).param == "tools.0.function.name"


def test_other_kinds_of_tools_are_refused() -> None:
    refusal = refuse(tools=[function(), {"type": "custom", "custom": {"name": "x"}}])

    assert refusal.param == "tools.1.type"
    assert "custom" in refusal.message


def test_a_tool_without_its_function_is_refused() -> None:
    assert refuse(tools=[{"type": "function"}]).param == "tools.0.function"


def test_too_many_tools_are_refused_by_the_lower_of_both_limits() -> None:
    many = [function(f"f{k}") for k in range(129)]

    assert refuse(tools=many).message == "tools: at most 128 tools are supported, 129 were sent"
    assert refuse(limits=RequestLimits(tools=3), tools=many[:4]).param == "tools"
    assert len(translate_bytes(body_of(tools=many), PLAIN).body["tools"]) == 129


def test_b122_legacy_functions_are_tools_and_the_answer_knows() -> None:
    out = translate(functions=[{"name": "f", "parameters": EMPTY}])

    assert out.body["tools"] == [{"name": "f", "input_schema": EMPTY}]
    assert out.context.legacy_functions
    assert not translate(tools=[function()]).context.legacy_functions


LIMITS = RequestLimits()


def offered_by(recent: RecentTools, tools: list[Any], dialect: Dialect = GLM, **fields: Any) -> Offered:
    request = msgspec.json.decode(body_of(tools=tools, **fields), type=ChatRequest)
    return recent.offered(request, dialect, LIMITS)


def test_equal_tools_are_looked_at_once() -> None:
    recent = RecentTools()
    first = offered_by(recent, [function("f"), function("g.h")])
    others = offered_by(recent, [function("f")])
    again = offered_by(recent, [function("f"), function("g.h")])

    assert again.ready is first.ready is not None
    assert [tool["name"] for tool in first.ready.definitions] == ["f", first.names.upstream("g.h")]
    assert bytes(first.ready.written) == msgspec.json.encode(first.ready.definitions)
    assert [tool.function.name for tool in others.tools] == ["f"]


def test_what_a_request_calls_its_tools_stays_its_own() -> None:
    recent = RecentTools()
    first = offered_by(recent, [function("f")])
    sent = first.names.upstream("only.here")

    assert offered_by(recent, [function("f")]).names.upstream(sent) == sent
    assert not offered_by(recent, [function("f")]).names.changed


def test_another_upstream_gets_its_own_definitions() -> None:
    recent = RecentTools()
    for dialect, strict in ((GLM, False), (PLAIN, True), (GLM, False)):
        found = offered_by(recent, [function("f", strict=True)], dialect)
        assert found.ready is not None
        assert ("strict" in found.ready.definitions[0], found.ready.dropped) == (
            strict,
            ("tools.strict",) * (not strict),
        )


def test_tools_that_depend_on_more_than_themselves_are_not_made_ahead() -> None:
    recent = RecentTools()

    assert offered_by(recent, [function("f") | {"cache_control": {"type": "ephemeral"}}]).ready is None
    assert [tool.path for tool in offered_by(recent, [function("f")], functions=[{"name": "g"}]).tools] == [
        "tools.0.function",
        "functions.0",
    ]


def test_what_is_remembered_is_bounded() -> None:
    recent = RecentTools(Recent(kept=2, room=400))
    first = offered_by(recent, [function("f")])

    offered_by(recent, [function("g")])
    assert offered_by(recent, [function("f")]).ready is first.ready
    offered_by(recent, [function("h")])
    assert offered_by(recent, [function("f")]).ready is first.ready
    offered_by(recent, [function("i", description="x" * 320)])
    assert offered_by(recent, [function("f")]).ready is not first.ready
    long = [function("f", description="x" * 400)]
    assert offered_by(recent, long).ready is not offered_by(recent, long).ready


def test_a_refusal_is_the_same_each_time() -> None:
    recent = RecentTools()
    for _ in range(2):
        with pytest.raises(TranslationError, match="two tools have the name"):
            offered_by(recent, [function("f"), function("f")])


@pytest.mark.parametrize("choice", ["none", "auto", "required", {"type": "function", "function": {"name": "g"}}])
@pytest.mark.parametrize("dialect", [GLM, PLAIN])
def test_the_first_request_and_the_next_are_the_same_bytes(choice: Any, dialect: Dialect) -> None:
    tools = [function("f", strict=True), function("g", strict=True)]
    body = body_of(tools=tools, tool_choice=choice)
    narrow = body_of(tools=tools, tool_choice={"type": "function", "function": {"name": "f"}})
    # Under other limits nothing is remembered of them.
    alone = [translate_bytes(each, dialect, RequestLimits(messages=at)) for at, each in ((101, narrow), (102, body))]

    assert alone * 2 == [translate_bytes(each, dialect, LIMITS) for each in (narrow, body) * 2]
