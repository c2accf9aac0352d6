"""Reading requests of both dialects."""

import json
import time

import pytest

from services.simulator.conversation import BadRequestError, Conversation, ToolResult, model_of, read
from services.simulator.wire import Wire

_USER = {"role": "user", "content": "hi"}
_OPENAI_CALL = {
    "role": "assistant",
    "content": "",
    "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "ls", "arguments": "{}"}}],
}
_ANTHROPIC_CALL = {"role": "assistant", "content": [{"type": "tool_use", "id": "c1", "name": "ls", "input": {}}]}


def _openai(**fields: object) -> Conversation:
    return read(Wire.OPENAI, json.dumps({"model": "m", "messages": [_USER]} | fields).encode())


def _anthropic(**fields: object) -> Conversation:
    return read(Wire.ANTHROPIC, json.dumps({"model": "m", "max_tokens": 9, "messages": [_USER]} | fields).encode())


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "1210"),
        (b"[]", "1210"),
        (b'{"model": "m", "messages": [', "1210"),
        (b"\xff", "1210"),
        (b'{"messages": [{"role": "user", "content": "hi"}]}', "1214"),
        (b'{"model": 7, "messages": [{"role": "user", "content": "hi"}]}', "1214"),
        (b'{"model": "m"}', "1214"),
        (b'{"model": "m", "messages": []}', "1214"),
        (b'{"model": "m", "messages": ["hi"]}', "1214"),
        (b'{"model": "m", "messages": [{"role": "developer", "content": "hi"}]}', "1214"),
        (b'{"model": "m", "messages": [{"role": {"a": 1}, "content": "hi"}]}', "1214"),
    ],
)
def test_a_malformed_body_is_refused_with_the_upstreams_code(body: bytes, code: str) -> None:
    with pytest.raises(BadRequestError) as refused:
        read(Wire.OPENAI, body)

    assert code == refused.value.code


def test_a_deeply_nested_body_is_refused_and_not_a_crash() -> None:
    with pytest.raises(BadRequestError):
        read(Wire.OPENAI, b"[" * 100_000)

    assert model_of(b"[" * 100_000) is None


def test_anthropic_requests_need_max_tokens() -> None:
    with pytest.raises(BadRequestError, match="max_tokens"):
        _anthropic(max_tokens=None)

    assert _openai().max_tokens is None


def test_anthropics_format_takes_no_system_message() -> None:
    """Z.AI's endpoint checks roles before anything else, and answers as its framework does."""
    system = {"role": "system", "content": "S"}
    with pytest.raises(BadRequestError, match="'user' or 'assistant'") as refused:
        _anthropic(messages=[_USER, system])

    assert ("422", "hi") == (refused.value.code, _openai(messages=[_USER, system]).prompt)


@pytest.mark.parametrize(
    "asked",
    [{"thinking": {"type": "disabled"}}, {"reasoning_effort": "medium"}, {"output_config": {"effort": "xhigh"}}],
)
def test_a_model_that_always_thinks_takes_few_efforts(asked: dict[str, object]) -> None:
    for ask in (_openai, _anthropic):
        with pytest.raises(BadRequestError, match="low, high or max") as refused:
            ask(model="glm-5.3-flash", **asked)

        assert "1210" == refused.value.code
        assert ask(model="glm-5.2", **asked)
        assert ask(
            model="glm-5.3", thinking={"type": "enabled"}, reasoning_effort="low", output_config={"effort": "max"}
        )


def test_openais_format_takes_pictures_for_models_that_see_and_no_empty_text() -> None:
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    text = {"type": "text", "text": "hi"}
    for model in ("glm-5.2", "glm-4.5-air", "glm-5-turbo", "glm-5.3"):
        with pytest.raises(BadRequestError, match="text") as refused:
            _openai(model=model, messages=[{"role": "user", "content": [text, picture]}])
        assert "1210" == refused.value.code
    for model in ("glm-5.3-flash", "glm-4.6v", "glm-5v-turbo"):
        assert _openai(model=model, messages=[{"role": "user", "content": [text, picture]}]).prompt == "hi"
    with pytest.raises(BadRequestError, match="empty") as refused:
        _openai(messages=[{"role": "user", "content": [text, {"type": "text", "text": ""}]}])
    assert "1214" == refused.value.code
    assert _anthropic(model="glm-5.2", messages=[{"role": "user", "content": [text, {"type": "image"}]}]).prompt == "hi"


def test_anthropics_format_breaks_at_an_input_that_is_no_object() -> None:
    call = {"role": "assistant", "content": [{"type": "tool_use", "id": "c1", "name": "ls", "input": ["x"]}]}
    with pytest.raises(BadRequestError, match="no attribute") as refused:
        _anthropic(messages=[_USER, call])

    assert "500" == refused.value.code


@pytest.mark.parametrize("wire", list(Wire))
def test_a_tool_result_without_its_call_is_refused(wire: Wire) -> None:
    result = {"role": "tool", "tool_call_id": "c2", "content": "x"}
    if wire is Wire.ANTHROPIC:
        result = {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c2"}]}  # type: ignore[dict-item]  # JSON
    call = _OPENAI_CALL if wire is Wire.OPENAI else _ANTHROPIC_CALL
    body = json.dumps({"model": "m", "max_tokens": 9, "messages": [_USER, call, result]}).encode()

    with pytest.raises(BadRequestError, match="c2"):
        read(wire, body)


def test_tool_results_are_read_alike_from_both_dialects() -> None:
    openai = _openai(messages=[_USER, _OPENAI_CALL, {"role": "tool", "tool_call_id": "c1", "content": "a\nb"}])
    block = {"type": "tool_result", "tool_use_id": "c1", "content": [{"type": "text", "text": "a\nb"}]}
    anthropic = _anthropic(messages=[_USER, _ANTHROPIC_CALL, {"role": "user", "content": [block]}])

    assert openai.results == anthropic.results == (ToolResult("c1", "ls", "a\nb", failed=False),)


def test_results_of_an_earlier_turn_do_not_count() -> None:
    result = {"role": "tool", "tool_call_id": "c1", "content": "a"}
    messages = [_USER, _OPENAI_CALL, result, {"role": "assistant", "content": "done"}, _USER]

    assert _openai(messages=messages).results == ()


def test_a_failed_tool_is_seen() -> None:
    block = {"type": "tool_result", "tool_use_id": "c1", "content": "no", "is_error": True}
    conversation = _anthropic(messages=[_USER, _ANTHROPIC_CALL, {"role": "user", "content": [block]}])

    assert conversation.results == (ToolResult("c1", "ls", "no", failed=True),)


def test_the_prompt_is_what_the_user_said_without_the_agents_reminders() -> None:
    content = [
        {"type": "text", "text": "<system-reminder>\nbe good\n</system-reminder>"},
        {"type": "text", "text": "list files <system-reminder>x</system-reminder>"},
        {"type": "text", "text": "<system-reminder>late</system-reminder>"},
    ]
    said = [{"role": "user", "content": content}]

    assert _anthropic(messages=said).prompt == "list files"
    assert _openai(messages=[*said, {"role": "system", "content": "s"}]).prompt == "list files"
    assert _openai(messages=[{"role": "system", "content": "s"}]).prompt == ""


def test_tools_are_read_alike_from_both_dialects() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "string"}}}
    function = {"name": "f", "description": "d", "parameters": schema}
    openai = _openai(tools=[{"type": "function", "function": function}, {"type": "web_search"}])
    anthropic = _anthropic(tools=[{"name": "f", "description": "d", "input_schema": schema}, 7])

    assert openai.tools == anthropic.tools
    assert openai.tools[0].schema == schema


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        (None, "auto"),
        ({"type": "auto"}, "auto"),
        ({"type": "none"}, "none"),
        ({"type": "any"}, "any"),
        ({"type": "tool", "name": "f"}, "=f"),
    ],
)
def test_tool_choice_is_read(choice: object, expected: str) -> None:
    assert expected == _anthropic(tool_choice=choice).tool_choice


@pytest.mark.parametrize("choice", ["none", "required", {"type": "function", "function": {"name": "f"}}])
def test_openais_format_takes_no_choice_but_auto(choice: object) -> None:
    assert "auto" == _openai(tool_choice="auto").tool_choice
    with pytest.raises(BadRequestError, match="Tool choice must be auto"):
        _openai(tool_choice=choice)


_SHAPE = {"type": "object"}
_TOLD = {"role": "system", "content": 'Valid under this JSON Schema:\n{"type":"object"}\nAnd so on.'}


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, None),
        ({"response_format": {"type": "json_object"}}, {}),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"schema": {"type": "object"}}}},
            None,  # taken, and not kept to
        ),
        ({"messages": [_TOLD, {"role": "user", "content": "hi"}]}, {"type": "object"}),
        ({"messages": [_TOLD, {"role": "user", "content": "hi"}], "response_format": {"type": "json_object"}}, _SHAPE),
        ({"messages": [{"role": "user", "content": "A JSON Schema:\n{}"}]}, None),
        ({"messages": [{"role": "system", "content": "JSON Schema:\n{not one"}, _TOLD]}, _SHAPE),
        ({"response_format": {"type": "text"}}, None),
    ],
)
def test_a_wish_for_json_is_seen(fields: dict[str, object], expected: object) -> None:
    assert expected == _openai(**fields).json_schema


@pytest.mark.parametrize("told", ["JSON Schema:\n" + '{"a":' * 100_000, "JSON Schema " * 40_000])
def test_words_that_are_like_those_of_a_schema_are_neither_a_crash_nor_take_long(told: str) -> None:
    begun = time.process_time()
    read = _openai(messages=[{"role": "system", "content": told}, _USER])

    assert read.json_schema is None
    assert time.process_time() - begun < 2.0  # a search that begins anew at each mention took half a minute


def test_thinking_is_on_unless_disabled() -> None:
    assert _openai().thinking
    assert not _openai(thinking={"type": "disabled"}).thinking


def test_the_seed_is_a_function_of_the_body() -> None:
    assert _openai().seed == _openai().seed
    assert _openai().seed != _openai(model="n").seed


def test_the_model_alone_can_be_read_from_any_body() -> None:
    assert model_of(b'{"messages": 7, "model": "sim:x"}') == "sim:x"
    assert model_of(b"{") is None
    assert model_of(b"{}") is None
