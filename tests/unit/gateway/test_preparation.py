"""From a client's body to the upstream's: which translation, which mutations, and what is remembered for the answer."""

import json
import tracemalloc
from typing import Any

import msgspec
import pytest

from services.gateway.dialect import GLM_ANTHROPIC, GLM_OPENAI, Dialect
from services.gateway.preparation import Preparation, Want, prepare
from services.gateway.translation.refusal import TranslationError
from services.gateway.translation.requests.limits import RequestLimits
from services.gateway.wire.formats import WireFormat

OPENAI, ANTHROPIC = WireFormat.OPENAI, WireFormat.ANTHROPIC
_MARK = {"type": "ephemeral"}


def _body(fmt: WireFormat, **fields: Any) -> dict[str, Any]:
    needed = {"max_tokens": 2000} if fmt is ANTHROPIC else {}
    return {"model": "glm-5.2[1m]", "messages": [{"role": "user", "content": "hi"}], **needed, **fields}


def _prepared(
    client: WireFormat, upstream: WireFormat, body: Any, dialect: Dialect | None = None, **want: Any
) -> Preparation:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    wanted: dict[str, Any] = {
        "stream": False,
        "include_usage": False,
        "default_max_tokens": 99,
        "model": "glm-5.2[1m]",
    } | want
    return prepare(raw, Want(client=client, upstream=upstream, **wanted), dialect or Dialect(), RequestLimits())


def test_the_same_dialect_keeps_its_bytes_where_nothing_must_change() -> None:
    body = b' {"model":"m",  "messages":[{"role":"user","content":"hi"}], "x":1.0 } '

    assert body == _prepared(OPENAI, OPENAI, body, model="m").body


def test_the_mark_of_the_long_context_goes() -> None:
    for client in (OPENAI, ANTHROPIC):
        for upstream in (OPENAI, ANTHROPIC):
            assert "glm-5.2" == json.loads(_prepared(client, upstream, _body(client)).body)["model"]


@pytest.mark.parametrize("client", [OPENAI, ANTHROPIC])
def test_an_anthropic_upstream_is_given_a_cache_breakpoint(client: WireFormat) -> None:
    [message] = json.loads(_prepared(client, ANTHROPIC, _body(client)).body)["messages"]

    assert [{"type": "text", "text": "hi", "cache_control": _MARK}] == message["content"]


@pytest.mark.parametrize(
    ("client", "stream", "offered", "asked"),
    [
        (OPENAI, True, True, True),
        (ANTHROPIC, True, True, True),
        (OPENAI, True, False, False),
        (ANTHROPIC, True, False, False),
        (OPENAI, False, True, False),
    ],
)
def test_an_openai_stream_is_asked_for_its_usage_where_that_can_be_asked(
    client: WireFormat, stream: bool, offered: bool, asked: bool
) -> None:
    dialect = Dialect(stream_options=offered)
    body = json.loads(_prepared(client, OPENAI, _body(client, stream=stream), dialect, stream=stream).body)

    assert ({"include_usage": True} if asked else None) == body.get("stream_options")


@pytest.mark.parametrize("upstream", [OPENAI, ANTHROPIC])
def test_a_responses_client_is_always_translated(upstream: WireFormat) -> None:
    asked = {"model": "glm-5.2[1m]", "input": "hi", "stream": True, "store": True}
    prepared = _prepared(WireFormat.RESPONSES, upstream, asked, stream=True)
    body = json.loads(prepared.body)

    assert ("glm-5.2", True, "user") == (body["model"], body["stream"], body["messages"][0]["role"])
    assert ("store",) == prepared.dropped
    assert (99 if upstream is ANTHROPIC else None) == body.get("max_tokens")
    assert (upstream is OPENAI) == ("stream_options" in body)
    assert (upstream is ANTHROPIC) == ("cache_control" in str(body["messages"]))
    assert prepared.context.responses is not None
    with pytest.raises(TranslationError, match="previous_response_id"):
        _prepared(WireFormat.RESPONSES, upstream, asked | {"previous_response_id": "resp_1"})


def test_a_translation_names_what_it_dropped_and_fills_in_what_is_needed() -> None:
    prepared = _prepared(OPENAI, ANTHROPIC, _body(OPENAI, logit_bias={"1": 1}))

    assert ("logit_bias",) == prepared.dropped
    assert 99 == json.loads(prepared.body)["max_tokens"]
    assert () == _prepared(OPENAI, OPENAI, _body(OPENAI, logit_bias={"1": 1})).dropped


def test_the_answers_side_remembers_the_requests() -> None:
    prepared = _prepared(OPENAI, OPENAI, _body(OPENAI), stream=True, include_usage=True)

    assert ("glm-5.2[1m]", True, True) == (
        prepared.context.requested_model,
        prepared.context.stream,
        prepared.context.include_usage,
    )


@pytest.mark.parametrize(
    ("client", "upstream", "stream", "estimated"),
    [
        (ANTHROPIC, OPENAI, True, True),
        (ANTHROPIC, OPENAI, False, False),
        (ANTHROPIC, ANTHROPIC, True, False),
        (OPENAI, ANTHROPIC, True, False),
    ],
)
def test_input_is_estimated_for_who_is_shown_it_ahead(
    client: WireFormat, upstream: WireFormat, stream: bool, estimated: bool
) -> None:
    assert estimated == (_prepared(client, upstream, _body(client, stream=stream), stream=stream).input_tokens > 0)


def test_the_logins_user_id_and_the_operators_blocks_go_in() -> None:
    body = json.loads(_prepared(ANTHROPIC, ANTHROPIC, _body(ANTHROPIC), user_id="u", system_blocks=("one",)).body)

    assert ({"user_id": "u"}, [{"type": "text", "text": "one"}]) == (body["metadata"], body["system"])
    told = json.loads(_prepared(OPENAI, OPENAI, _body(OPENAI), system_blocks=("one",)).body)
    assert [{"role": "system", "content": "one"}, {"role": "user", "content": "hi"}] == told["messages"]


@pytest.mark.parametrize("interleaved", [False, True])
def test_interleaved_thinking_may_have_a_budget_above_the_answers(interleaved: bool) -> None:
    body = _body(ANTHROPIC, thinking={"type": "enabled", "budget_tokens": 5000})

    if interleaved:
        assert _prepared(ANTHROPIC, OPENAI, body, interleaved_thinking=True).body
    else:
        with pytest.raises(TranslationError, match="budget_tokens"):
            _prepared(ANTHROPIC, OPENAI, body)


@pytest.mark.parametrize(
    "body",
    [
        b'{"model":"m","messages":5}',
        b'{"model":"m","messages":[5]}',
        b'{"model":"m","messages":[{"role":"user","content":5}]}',
        b'{"model":"m","messages":[{"role":"user","content":["x"]}]}',
        b'{"model":"m","messages":[{"role":"user","content":"\xff"}]}',
    ],
)
def test_what_cannot_be_mutated_is_refused(body: bytes) -> None:
    with pytest.raises(TranslationError) as refusal:
        _prepared(ANTHROPIC, ANTHROPIC, body, model="m")

    assert (400, "messages") == (refusal.value.status, refusal.value.param)


@pytest.mark.parametrize("client", [OPENAI, ANTHROPIC])
def test_a_body_that_is_too_deep_is_refused_in_either_way(client: WireFormat) -> None:
    deep = _body(client) | {"tools": json.loads("[" * 100 + "]" * 100)}

    for upstream in (OPENAI, ANTHROPIC):
        with pytest.raises(TranslationError):
            _prepared(client, upstream, deep)


def _holding_back(*content: Any) -> dict[str, Any]:
    result = {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": [*content]}]}
    return _body(ANTHROPIC, tools=[{"name": "a", "defer_loading": True}]) | {"messages": [result]}


def test_an_anthropic_upstream_that_knows_no_deferred_tools_is_given_plain_ones() -> None:
    body = _holding_back({"type": "tool_reference", "tool_name": "a"})
    prepared = _prepared(ANTHROPIC, ANTHROPIC, body, GLM_ANTHROPIC)

    sent = json.loads(prepared.body)
    assert [{"name": "a"}] == sent["tools"]
    [result] = sent["messages"][0]["content"]
    assert [{"type": "text", "text": "Tool a is now available."}] == result["content"]
    assert _MARK == result["cache_control"]
    assert "glm-5.2" == sent["model"]
    assert ("tools.defer_loading",) == prepared.dropped


def test_one_that_knows_them_is_given_them() -> None:
    body = _holding_back({"type": "tool_reference", "tool_name": "a"})
    prepared = _prepared(ANTHROPIC, ANTHROPIC, body, Dialect())

    assert body["tools"] == json.loads(prepared.body)["tools"]
    assert () == prepared.dropped


def test_an_openai_upstream_is_told_in_words_and_spelling_that_it_knows() -> None:
    schema = {"type": "json_schema", "json_schema": {"schema": {"type": "object"}}}
    head = {"role": "developer", "content": "D"}
    body = {"model": "m", "messages": [head], "max_completion_tokens": 9, "response_format": schema}
    prepared = _prepared(OPENAI, OPENAI, body, GLM_OPENAI, model="m", stream=True)

    sent = json.loads(prepared.body)
    assert {"type": "json_object"} == sent["response_format"]
    assert 9 == sent["max_tokens"]
    assert "system" == sent["messages"][0]["role"]
    assert sent["messages"][0]["content"].endswith(
        'JSON Schema, and with nothing around it: no explanation, no code fence.\n{"type": "object"}'
    )
    assert {"include_usage": True} == sent["stream_options"]
    assert ("response_format=json_object",) == prepared.dropped


def test_what_is_changed_in_several_ways_is_named_for_each() -> None:
    body = _holding_back() | {"output_config": {"format": {"type": "json_schema", "schema": {}}}}
    prepared = _prepared(ANTHROPIC, ANTHROPIC, body, GLM_ANTHROPIC)

    assert ("tools.defer_loading", "output_config.format") == prepared.dropped
    assert {"model", "messages", "max_tokens", "tools", "system"} == json.loads(prepared.body).keys()


@pytest.mark.parametrize("name", ["output_format", "output_config"])
def test_a_small_request_without_tools_has_its_schema_told(name: str) -> None:
    wanted = {"type": "json_schema", "schema": {}}
    body = _body(ANTHROPIC) | {name: wanted if name == "output_format" else {"format": wanted}}

    assert _prepared(ANTHROPIC, ANTHROPIC, body, GLM_ANTHROPIC).dropped


@pytest.mark.parametrize("spaced", [False, True])
def test_small_bodies_are_adapted_as_well(*, spaced: bool) -> None:
    """Most are not read for it; what has to be changed is seen all the same."""
    separators = None if spaced else (",", ":")
    late = _body(ANTHROPIC, system="P")
    late["messages"].append({"role": "system", "content": "S"})
    body = json.dumps(late, separators=separators).encode()

    [message] = json.loads(_prepared(ANTHROPIC, ANTHROPIC, body, GLM_ANTHROPIC).body)["messages"]
    assert "<system-reminder>\nS\n</system-reminder>" == message["content"][1]["text"]

    late["messages"] = [{"role": "assistant", "content": [{"type": "tool_use", "id": "t", "name": "ls", "input": []}]}]
    body = json.dumps(late, separators=separators).encode()
    [message] = json.loads(_prepared(ANTHROPIC, ANTHROPIC, body, GLM_ANTHROPIC).body)["messages"]
    assert {"value": []} == message["content"][0]["input"]

    unread = _body(OPENAI, messages=[{"role": "user", "content": [{"type": "text", "text": ""}]}])
    body = json.dumps(unread, separators=separators).encode()
    assert [{"role": "user", "content": ""}] == json.loads(_prepared(OPENAI, OPENAI, body, GLM_OPENAI).body)["messages"]

    for fmt, glm in ((OPENAI, GLM_OPENAI), (ANTHROPIC, GLM_ANTHROPIC)):
        dialect = msgspec.structs.replace(glm, efforts=("low",), thinking_can_be_disabled=False)
        body = json.dumps(_body(fmt, thinking={"type": "disabled"}), separators=separators).encode()
        prepared = _prepared(fmt, fmt, body, dialect)
        assert ({"type": "enabled"}, ("thinking",)) == (json.loads(prepared.body)["thinking"], prepared.dropped)


def test_nothing_is_said_to_be_dropped_where_nothing_is_deferred() -> None:
    assert () == _prepared(ANTHROPIC, ANTHROPIC, _body(ANTHROPIC, tools=[{"name": "a"}]), GLM_ANTHROPIC).dropped


def test_what_cannot_be_adapted_goes_as_it_came_for_the_upstream_to_judge() -> None:
    schema = {"type": "json_schema", "json_schema": {"schema": {}}}
    body = json.dumps({"model": "m", "messages": 7, "response_format": schema}).encode()
    prepared = _prepared(OPENAI, OPENAI, body, GLM_OPENAI, model="m")

    assert (body, ()) == (prepared.body, prepared.dropped)


@pytest.mark.parametrize(
    ("upstream", "asked", "most"),
    [
        (OPENAI, {"max_completion_tokens": 9}, 4),
        (OPENAI, {"tool_choice": "none"}, 4),
        (ANTHROPIC, {"tools": [], "tool_choice": {"type": "none"}}, 20),  # as where nothing but the breakpoint is set
    ],
)
def test_a_bomb_of_little_messages_costs_no_more_for_being_adapted(
    upstream: WireFormat, asked: dict[str, Any], most: int
) -> None:
    dialect = GLM_OPENAI if upstream is OPENAI else GLM_ANTHROPIC
    body = b'{"messages":[%b{"content":"x"}],%b' % (
        b'{"a":0},' * 500_000,
        json.dumps(asked, separators=(",", ":")).encode()[1:],
    )

    tracemalloc.start()
    try:
        _prepared(upstream, upstream, body, dialect, model="m")
        assert tracemalloc.get_traced_memory()[1] < most * len(body)
    finally:
        tracemalloc.stop()


def test_a_very_large_conversation_is_adapted_as_well() -> None:
    """What nobody takes apart for its size, a session with many pictures, would end with the first system message."""
    call = {"type": "tool_use", "id": "t", "name": "ls", "input": ["x" * 3_000_000]}
    late = _body(ANTHROPIC, system="P")
    late["messages"] += [{"role": "system", "content": "S"}, {"role": "assistant", "content": [call]}]

    prepared = _prepared(ANTHROPIC, ANTHROPIC, json.dumps(late, separators=(",", ":")).encode(), GLM_ANTHROPIC)

    user, assistant = json.loads(prepared.body)["messages"]
    assert "<system-reminder>\nS\n</system-reminder>" == user["content"][1]["text"]
    assert {"value": call["input"]} == assistant["content"][0]["input"]
