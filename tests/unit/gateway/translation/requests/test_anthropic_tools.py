"""Anthropic tools and tool choice as OpenAI's."""

from typing import Any

import msgspec
import pytest

from services.gateway.dialect import Dialect
from services.gateway.translation.context import TranslatedRequest
from services.gateway.translation.requests.anthropic_to_openai import anthropic_to_openai
from services.gateway.translation.requests.anthropic_tools import RecentTools
from services.gateway.translation.requests.forced_tools import CALL_A_TOOL
from services.gateway.translation.requests.limits import RequestLimits
from tests.support.anthropic_requests import (
    GLM,
    PLAIN,
    Translated,
    assistant,
    body_of,
    call,
    refuse,
    result,
    tool,
    translate,
    user,
)

AUTO = {"type": "auto"}


def functions(done: Translated) -> list[Any]:
    return [entry["function"] for entry in done.body["tools"]]


def raw_schema(schema: bytes, dialect: Dialect = PLAIN) -> bytes:
    """Return the bytes of a schema's translation."""
    done = translate(dialect, tools=[{"name": "f", "input_schema": msgspec.Raw(schema)}])
    return msgspec.json.encode(functions(done)[0]["parameters"])


def test_a_tool_is_a_function() -> None:
    done = translate(tools=[tool(description="does it")])

    assert done.body["tools"] == [
        {
            "type": "function",
            "function": {"name": "f", "description": "does it", "parameters": tool()["input_schema"]},
        }
    ]
    assert "tool_choice" not in done.body
    assert done.dropped == ()


def test_no_tools_are_no_field() -> None:
    assert "tools" not in translate(tools=[]).body
    assert "tool_choice" not in translate(tools=[], tool_choice=AUTO).body


def test_b34_a_schema_is_passed_on_whole() -> None:
    schema = (
        b'{"$schema": "http://json-schema.org/draft-07/schema#","$defs":{"a":{"type":"string"}},"type":"object",'
        b'"properties":{"x":{"$ref":"#/$defs/a"},"y":{"anyOf":[{"type":"null"},{"minimum":1.0}]}},'
        b'"additionalProperties":false}'
    )

    done = translate(tools=[{"name": "f", "input_schema": msgspec.Raw(schema)}])

    assert functions(done)[0]["parameters"] == msgspec.json.decode(schema)


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        (b"{}", b'{"type":"object","properties":{}}'),
        (b"{ }", b'{"type":"object","properties":{}}'),
        (b'{"properties":{"a":{}}}', b'{"type":"object","properties":{"a":{}}}'),
        (b'{"properties":{},"type":"object"}', b'{"properties":{},"type":"object"}'),
        (b'{"anyOf":[{"type":"object"}]}', b'{"anyOf":[{"type":"object"}]}'),
        (b'{"type":"object"}', b'{"type":"object"}'),
    ],
)
def test_a_schema_without_a_type_gets_one_if_it_is_an_object(schema: bytes, expected: bytes) -> None:
    assert raw_schema(schema) == expected


def test_b35_a_type_does_not_leak_into_the_parameters() -> None:
    done = translate(tools=[tool(type="custom")])

    assert functions(done) == [{"name": "f", "parameters": tool()["input_schema"]}]


def test_b22_a_deferred_tool_is_a_plain_function() -> None:
    placeholder = tool("DeferredToolPlaceholder", defer_loading=True)
    done = translate(GLM, tools=[placeholder])

    assert functions(done) == [{"name": "DeferredToolPlaceholder", "parameters": tool()["input_schema"]}]
    assert done.dropped == ("tools.defer_loading",)


def test_hints_on_tools_are_named_and_their_defaults_are_not() -> None:
    hints = {"allowed_callers": ["code_execution_20250825"], "input_examples": [{"a": "b"}], "cache_control": {}}
    nothing = {"allowed_callers": ["direct"], "input_examples": [], "defer_loading": False, "cache_control": None}

    assert translate(tools=[tool(**hints)]).dropped == (
        "cache_control",
        "tools.allowed_callers",
        "tools.input_examples",
    )
    assert translate(tools=[tool(**nothing)]).dropped == ()


def test_strict_is_passed_on_where_it_is_understood() -> None:
    assert functions(translate(tools=[tool(strict=True)]))[0]["strict"] is True
    assert functions(translate(tools=[tool(strict=False)]))[0]["strict"] is False


def test_strict_is_named_where_it_is_not() -> None:
    lost = translate(GLM, tools=[tool(strict=True)])

    assert "strict" not in functions(lost)[0]
    assert lost.dropped == ("tools.strict",)
    assert translate(GLM, tools=[tool(strict=False)]).dropped == ()


def test_b32_a_server_tool_is_refused_by_its_type() -> None:
    error = refuse(tools=[tool(), {"type": "web_search_20250305", "name": "web_search"}])

    assert error.param == "tools.1.type"
    assert "'web_search_20250305'" in error.message


@pytest.mark.parametrize("name", [None, ""])
def test_a_tool_without_a_name_is_refused(name: Any) -> None:
    assert refuse(tools=[tool(name=name)]).message == "tools.0.name: Field required"


def test_two_tools_of_one_name_are_refused() -> None:
    error = refuse(tools=[tool("a"), tool("b"), tool("a")])

    assert error.message == "tools.2.name: Tool names must be unique, 'a' is not"
    assert error.param == "tools.2.name"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({}, "tools.0.input_schema: Field required"),
        ({"input_schema": None}, "tools.0.input_schema: Input should be a valid dictionary"),
        ({"input_schema": [], "description": None}, "tools.0.input_schema: Input should be a valid dictionary"),
        ({"input_schema": {}, "description": 1}, "tools.0.description: Input should be a valid string"),
    ],
)
def test_a_malformed_tool_is_refused(fields: Any, message: str) -> None:
    error = refuse(tools=[{"name": "f"} | fields])

    assert error.message == message
    assert error.param == message.partition(":")[0]


def test_a_schema_that_is_nested_too_deeply_is_refused() -> None:
    deep = msgspec.Raw(b'{"items":' * 65 + b"1" + b"}" * 65)

    assert refuse(tools=[tool(input_schema=deep)]).param == "tools.0.input_schema"


def test_too_many_tools_are_refused() -> None:
    many = [tool(f"t{index}") for index in range(129)]

    assert refuse(GLM, tools=many).message == "tools: at most 128 tools are accepted, 129 were sent"
    assert len(translate(tools=many).body["tools"]) == 129
    assert refuse(limits=RequestLimits(tools=3), tools=many).param == "tools"


def test_a_long_name_is_mapped_everywhere_and_remembered() -> None:
    long = "mcp__server__" + "x" * 80
    done = translate(
        tools=[tool(long)],
        tool_choice={"type": "tool", "name": long},
        messages=[user("a"), assistant(call("A", long)), user(result("A", "1"))],
    )

    (sent,) = [function["name"] for function in functions(done)]
    assert len(sent) == 64
    assert done.body["tool_choice"] == {"type": "function", "function": {"name": sent}}
    assert done.messages[1]["tool_calls"][0]["function"]["name"] == sent
    assert done.context.tool_names == {sent: long}


@pytest.mark.parametrize(("choice", "sent"), [("auto", "auto"), ("any", "required"), ("none", "none")])
def test_b10_a_choice_has_its_own_word(choice: str, sent: str) -> None:
    done = translate(tools=[tool()], tool_choice={"type": choice})

    assert done.body["tool_choice"] == sent
    assert done.dropped == ()


def test_b10_any_is_auto_and_an_instruction_for_glm() -> None:
    done = translate(GLM, system="S", tools=[tool()], tool_choice={"type": "any"})

    assert done.body["tool_choice"] == "auto"
    assert done.messages[0] == {"role": "system", "content": f"S\n\n{CALL_A_TOOL}"}
    assert done.dropped == ("tool_choice=auto",)


def test_auto_is_auto_for_glm_and_nothing_is_reported() -> None:
    done = translate(GLM, tools=[tool()], tool_choice=AUTO)

    assert done.body["tool_choice"] == "auto"
    assert done.dropped == ()


def test_b11_a_named_tool_is_the_only_one_left_for_glm() -> None:
    done = translate(GLM, tools=[tool("f"), tool("g")], tool_choice={"type": "tool", "name": "g"})

    assert [function["name"] for function in functions(done)] == ["g"]
    assert done.body["tool_choice"] == "auto"
    assert done.dropped == ("tool_choice=auto",)


def test_none_takes_the_tools_away_for_glm() -> None:
    done = translate(GLM, tools=[tool()], tool_choice={"type": "none"}, stream=True)

    assert "tools" not in done.body
    assert "tool_choice" not in done.body
    assert "tool_stream" not in done.body
    assert done.dropped == ()


@pytest.mark.parametrize(
    ("choice", "tools", "param"),
    [
        ({"type": "required"}, [tool()], "tool_choice.type"),
        ({"type": "tool"}, [tool()], "tool_choice.name"),
        ({"type": "tool", "name": "g"}, [tool()], "tool_choice.name"),
        ({"type": "tool", "name": "g"}, [], "tool_choice.name"),
        ({"type": "any"}, [], "tool_choice"),
    ],
)
@pytest.mark.parametrize("dialect", [PLAIN, GLM])
def test_a_choice_that_cannot_be_kept_is_refused(dialect: Dialect, choice: Any, tools: Any, param: str) -> None:
    assert refuse(dialect, tools=tools, tool_choice=choice).param == param


def test_b13_no_parallel_calls_where_the_upstream_knows_the_word() -> None:
    choice = {"type": "auto", "disable_parallel_tool_use": True}
    done = translate(tools=[tool()], tool_choice=choice)

    assert done.body["parallel_tool_calls"] is False
    assert done.body["tool_choice"] == "auto"
    assert done.dropped == ()


def test_b13_and_named_where_it_does_not() -> None:
    choice = {"type": "auto", "disable_parallel_tool_use": True}

    assert translate(GLM, tools=[tool()], tool_choice=choice).dropped == ("tool_choice.disable_parallel_tool_use",)
    assert translate(tool_choice=choice).dropped == ("tool_choice.disable_parallel_tool_use",)
    assert (
        translate(GLM, tools=[tool()], tool_choice={"type": "auto", "disable_parallel_tool_use": False}).dropped == ()
    )


def test_b43_tool_stream_is_asked_for_where_it_exists_and_tools_are_streamed() -> None:
    assert translate(GLM, stream=True, tools=[tool()]).body["tool_stream"] is True
    assert "tool_stream" not in translate(GLM, stream=True).body
    assert "tool_stream" not in translate(GLM, tools=[tool()]).body
    assert "tool_stream" not in translate(stream=True, tools=[tool()]).body


def test_a_history_of_calls_gets_stub_tools_where_the_upstream_wants_definitions() -> None:
    history = [user("a"), assistant(call("A", "g"), call("B", "g"), call("C", "h")), user(*map(result, "ABC"))]
    plain = Dialect(tool_calls_without_tools=False)
    auto_only = msgspec.structs.replace(GLM, tool_calls_without_tools=False)

    done = translate(plain, messages=history)

    assert functions(done) == [
        {"name": name, "parameters": {"type": "object", "properties": {}}} for name in ("g", "h")
    ]
    assert done.body["tool_choice"] == "none"
    assert "tool_choice" not in translate(auto_only, messages=history).body
    assert len(translate(auto_only, messages=history).body["tools"]) == 2
    assert "tools" not in translate(plain).body
    assert len(translate(plain, messages=history, tools=[tool("g")]).body["tools"]) == 1
    assert "tools" not in translate(GLM, messages=history).body


LIMITS = RequestLimits()


@pytest.mark.parametrize("dialect", [GLM, PLAIN])
@pytest.mark.parametrize(
    "choice", [None, {"type": "auto"}, {"type": "any"}, {"type": "none"}, {"type": "tool", "name": "g"}]
)
def test_the_first_request_and_the_next_are_the_same_bytes(dialect: Dialect, choice: Any) -> None:
    tools = [tool("f", strict=True, cache_control={"type": "ephemeral"}), tool("g", defer_loading=True), tool("m.n")]
    narrow, wide = (body_of(tools=tools, tool_choice=wanted) for wanted in ({"type": "tool", "name": "f"}, choice))

    def done(body: bytes, limits: RequestLimits) -> TranslatedRequest:
        return anthropic_to_openai(body, dialect, upstream_model="m", limits=limits)

    # Under other limits nothing is remembered of them.
    alone = [done(body, RequestLimits(messages=count)) for count, body in ((101, narrow), (102, wide))]
    together = [done(body, RequestLimits(messages=103)) for body in (narrow, wide, narrow, wide)]

    assert together == alone * 2


def test_equal_tools_are_looked_at_once_by_each_upstream() -> None:
    recent = RecentTools()
    given = msgspec.Raw(msgspec.json.encode([tool("f")]))
    first = recent.offered(given, PLAIN, LIMITS)

    assert recent.offered(msgspec.Raw(bytes(given)), PLAIN, LIMITS) is first
    assert recent.offered(given, GLM, LIMITS) is not first
    assert recent.offered(msgspec.Raw(b"[]"), PLAIN, LIMITS).tools == []
    assert recent.offered(msgspec.Raw(b""), PLAIN, LIMITS).tools == []
    assert recent.offered(msgspec.Raw(b"null"), PLAIN, LIMITS).tools == []


def test_names_of_the_history_do_not_stay_with_the_tools() -> None:
    history = [user("hi"), assistant(call("a", "x.y")), user(result("a"))]
    fields: dict[str, Any] = {"tools": [tool("f")]}
    body = body_of(messages=history, **fields)
    renamed = anthropic_to_openai(body, PLAIN, upstream_model="m", limits=LIMITS).context.tool_names

    assert list(renamed.values()) == ["x.y"]
    assert not anthropic_to_openai(body_of(**fields), PLAIN, upstream_model="m", limits=LIMITS).context.tool_names


@pytest.mark.parametrize(("tools", "param"), [(5, "tools"), ([5], "tools.0"), ([{"name": 1}], "tools.0.name")])
def test_tools_of_a_wrong_shape_are_refused_by_their_path(tools: Any, param: str) -> None:
    assert refuse(tools=tools).param == param
