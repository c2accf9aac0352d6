"""Mutations change what they must and not a byte more."""

import json
from typing import Any

import msgspec
import pytest

from services.gateway.mutations import Mutation, mutate, upstream_model
from services.gateway.wire.formats import WireFormat
from services.gateway.wire.outline import Outline, outline_of

OPENAI, ANTHROPIC = WireFormat.OPENAI, WireFormat.ANTHROPIC


def _body(**members: object) -> bytes:
    return msgspec.json.encode(members)


def _read_back(body: bytes) -> dict[str, Any]:
    members: dict[str, Any] = json.loads(body)
    return members


def _mutated(body: bytes, upstream: WireFormat, **mutation: object) -> dict[str, object]:
    out: dict[str, object] = msgspec.json.decode(mutate(body, upstream, msgspec.convert(mutation, Mutation)))
    return out


def test_a_body_that_needs_nothing_keeps_its_bytes() -> None:
    body = b'{ "model" : "m",  "messages":[], "stream_options":{"include_usage":true} }'

    assert body == mutate(body, OPENAI, Mutation(include_usage=True))
    assert body == mutate(body, OPENAI, Mutation())
    assert body == mutate(body, ANTHROPIC, Mutation(cache_breakpoint=True))


def test_m1_include_usage_is_set_and_other_stream_options_stay() -> None:
    body = _body(model="m", stream_options={"include_obfuscation": False})

    out = _mutated(body, OPENAI, include_usage=True)

    assert {"include_obfuscation": False, "include_usage": True} == out["stream_options"]


@pytest.mark.parametrize("options", [None, {"include_usage": False}, {}])
def test_m1_include_usage_is_set_whatever_stood_there(options: object) -> None:
    out = _mutated(_body(model="m", stream_options=options), OPENAI, include_usage=True)

    assert {"include_usage": True} == out["stream_options"]


def test_m1_is_not_for_anthropic_upstreams() -> None:
    body = _body(model="m", messages=[])

    assert body == mutate(body, ANTHROPIC, Mutation(include_usage=True))


def test_m2_string_content_becomes_one_marked_text_block() -> None:
    out = _mutated(_body(messages=[{"role": "user", "content": "hi"}]), ANTHROPIC, cache_breakpoint=True)

    assert [
        {"role": "user", "content": [{"type": "text", "text": "hi", "cache_control": {"type": "ephemeral"}}]}
    ] == out["messages"]


def test_m2_marks_the_last_block_of_the_last_message_that_is_not_system() -> None:
    messages = [
        {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
        {"role": "system", "content": "note"},
    ]

    out = _mutated(_body(messages=messages), ANTHROPIC, cache_breakpoint=True)

    first, second = msgspec.convert(out["messages"], list[dict[str, object]])
    assert messages[1] == second
    assert [
        {"type": "text", "text": "a"},
        {"type": "text", "text": "b", "cache_control": {"type": "ephemeral"}},
    ] == first["content"]


def test_m2_keeps_a_breakpoint_that_the_client_set_there() -> None:
    block = {"type": "text", "text": "a", "cache_control": {"type": "ephemeral", "ttl": "1h"}}
    body = _body(messages=[{"role": "user", "content": [block]}])

    assert body == mutate(body, ANTHROPIC, Mutation(cache_breakpoint=True))


def test_m2_never_makes_a_fifth_breakpoint() -> None:
    mark = {"cache_control": {"type": "ephemeral"}}
    system = [{"type": "text", "text": "s", **mark}, {"type": "text", "text": "t"}]
    tools = [{"name": "f", "input_schema": {}, **mark}, {"name": "g", "input_schema": {}, "cache_control": None}]
    result = {"type": "tool_result", "tool_use_id": "t", "content": [{"type": "text", "text": "r", **mark}]}
    messages = [
        {"role": "user", "content": [{"type": "text", "text": "u", **mark}, result]},
        {"role": "user", "content": "last"},
    ]
    four = _body(system=system, tools=tools, messages=messages)
    three = _body(system="s", tools=tools, messages=messages)

    assert four == mutate(four, ANTHROPIC, Mutation(cache_breakpoint=True))
    assert three != mutate(three, ANTHROPIC, Mutation(cache_breakpoint=True))


@pytest.mark.parametrize(
    "messages",
    [
        None,
        [],
        [{"role": "system", "content": "s"}],
        [{"role": "user", "content": ""}],
        [{"role": "user", "content": []}],
        [{"role": "user"}],
        [{"role": "assistant", "content": [{"type": "thinking", "thinking": "t", "signature": ""}]}],
        [{"role": "assistant", "content": [{"type": "redacted_thinking", "data": "x"}]}],
    ],
)
def test_m2_leaves_alone_what_cannot_be_marked(messages: object) -> None:
    body = _body(messages=messages)

    assert body == mutate(body, ANTHROPIC, Mutation(cache_breakpoint=True))


@pytest.mark.parametrize(
    ("rest", "last"),
    [
        ({}, {"role": "user", "content": "user"}),  # the content's bytes occur twice in the message
        ({}, {"role": "user", "content": 'caf\u00e9 \\ " \n'}),
        ({}, {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}),
        ({}, {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": "r"}], "x": 1}),
        ({"tools": [{"example": {"role": "user", "content": "hi"}}]}, {"role": "user", "content": "hi"}),
        ({"messages_": {"role": "user", "content": "hi"}}, {"role": "user", "content": "hi"}),
        ({}, {"role": "system", "content": "s"}),
    ],
)
@pytest.mark.parametrize("separators", [(",", ":"), (" , ", " : ")])
def test_m2_in_place_means_what_a_rewritten_body_means(
    rest: dict[str, object], last: dict[str, object], separators: tuple[str, str]
) -> None:
    messages = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "user"}, last]
    for ordered in ({**rest, "messages": messages}, {"messages": messages, **rest}):
        body = json.dumps(ordered, separators=separators, ensure_ascii=False).encode()
        slow = _read_back(mutate(body, ANTHROPIC, Mutation(cache_breakpoint=True, user_id="u")))
        assert {"user_id": "u"} == slow.pop("metadata")

        assert slow == _read_back(mutate(body, ANTHROPIC, Mutation(cache_breakpoint=True)))
        outline = outline_of(body, blocks=True)
        assert mutate(body, ANTHROPIC, Mutation(cache_breakpoint=True)) == mutate(
            body, ANTHROPIC, Mutation(cache_breakpoint=True), outline
        )


@pytest.mark.parametrize(
    "rest", [{}, {"metadata": {"user_id": "client", "x": 1}}, {"metadata": None}, {"system": 'says "metadata"'}]
)
def test_m3_in_place_means_what_a_rewritten_body_means(rest: dict[str, object]) -> None:
    messages = [{"role": "user", "content": "hi"}]
    for body in (_body(messages=messages, **rest), b" " + _body(**rest, messages=messages)):
        fast = _read_back(mutate(body, ANTHROPIC, Mutation(cache_breakpoint=True, user_id='u"1')))
        slow = _read_back(mutate(body, ANTHROPIC, Mutation(user_id='u"1')))
        marked = _read_back(mutate(body, ANTHROPIC, Mutation(cache_breakpoint=True)))

        assert slow | {"messages": marked["messages"]} == fast


def test_m3_in_place_does_not_overlook_a_name_that_is_escaped() -> None:
    body = b'{"meta\\u0064ata":{"x":1},"messages":[{"role":"user","content":"hi"}]}'
    out = _read_back(mutate(body, ANTHROPIC, Mutation(cache_breakpoint=True, user_id="u")))

    assert {"user_id": "u", "x": 1} == out["metadata"]


def test_m2_leaves_every_other_byte_alone() -> None:
    body = b'{ "messages" : [ {"content" : "h\\u00e9", "role":"user" } ] , "x":1.0e3 }'
    marked = b'[{"type":"text","text":"h\\u00e9","cache_control":{"type":"ephemeral"}}]'

    assert body.replace(b'"h\\u00e9"', marked) == mutate(body, ANTHROPIC, Mutation(cache_breakpoint=True))


@pytest.mark.parametrize("mark", [None, {"type": "ephemeral"}])
@pytest.mark.parametrize(
    "content",
    [
        "",
        "a",
        [],
        [{"type": "text", "text": "a"}],
        [{"type": "text", "text": "a", "cache_control": {"type": "ephemeral", "ttl": "1h"}}],
        [{"type": "text", "text": "a", "cache_control": None}],
        [{"type": "thinking", "thinking": "t"}],
        {"type": "text"},
        None,
    ],
)
@pytest.mark.parametrize("member", [{}, {"user_id": "u"}, {"model": "n"}])
def test_m2_does_the_same_with_what_was_read_before(mark: object, content: object, member: dict[str, Any]) -> None:
    system = [{"type": "text", "text": "s", "cache_control": mark}] * 4 if mark else "s"
    body = _body(model="m", system=system, messages=[{"role": "user", "content": content}], metadata={"x": 1})
    mutation = Mutation(cache_breakpoint=True, **member)

    assert _outcome(body, mutation, None) == _outcome(body, mutation, outline_of(body, blocks=True))


def _outcome(body: bytes, mutation: Mutation, outline: Outline | None) -> bytes | None:
    try:
        return mutate(body, ANTHROPIC, mutation, outline)
    except msgspec.DecodeError:
        return None


def test_m2_changes_nothing_of_what_was_read() -> None:
    body = _body(messages=[{"role": "user", "content": [{"type": "text", "text": "a"}]}], model="m")
    outline = outline_of(body, blocks=True)

    first, second = (mutate(body, ANTHROPIC, Mutation(cache_breakpoint=True), outline) for _ in range(2))

    assert first == second != body


def test_m2_is_not_for_openai_upstreams() -> None:
    body = _body(messages=[{"role": "user", "content": "hi"}])

    assert body == mutate(body, OPENAI, Mutation(cache_breakpoint=True))


def test_m3_user_id_is_set_and_other_metadata_stays() -> None:
    out = _mutated(_body(metadata={"user_id": "client", "x": 1}), ANTHROPIC, user_id="login")

    assert {"user_id": "login", "x": 1} == out["metadata"]


def test_m4_system_blocks_lead_on_either_wire() -> None:
    body = _body(system="own", messages=[{"role": "user", "content": "hi"}])

    anthropic = _mutated(body, ANTHROPIC, system_blocks=("a", "b"))
    openai = _mutated(body, OPENAI, system_blocks=("a", "b"))

    assert [{"type": "text", "text": text} for text in ("a", "b", "own")] == anthropic["system"]
    assert [
        {"role": "system", "content": "a"},
        {"role": "system", "content": "b"},
        {"role": "user", "content": "hi"},
    ] == openai["messages"]


def test_m4_keeps_the_clients_own_blocks_as_they_are() -> None:
    own = {"type": "text", "text": "own", "cache_control": {"type": "ephemeral"}}

    assert [{"type": "text", "text": "a"}, own] == _mutated(_body(system=[own]), ANTHROPIC, system_blocks=("a",))[
        "system"
    ]


def test_m5_the_long_context_mark_is_stripped() -> None:
    assert upstream_model("glm-5.2[1m]") == "glm-5.2"
    assert upstream_model("glm-5.2") == "glm-5.2"
    assert _mutated(_body(model="x[1m]"), OPENAI, model="x")["model"] == "x"


def test_untouched_members_keep_their_bytes_and_order() -> None:
    body = b'{"z":1.50,"tools":[{"input_schema":{"b":1,"a":2}}],"model":"old"}'

    assert b'{"z":1.50,"tools":[{"input_schema":{"b":1,"a":2}}],"model":"new"}' == mutate(
        body, OPENAI, Mutation(model="new")
    )


@pytest.mark.parametrize(
    "body", [b"[]", b"{", b'{"messages":{}}', b'{"messages":[1]}', b'{"messages":[{"content":1}]}']
)
def test_what_is_not_of_the_formats_shape_is_a_decode_error(body: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        mutate(body, ANTHROPIC, Mutation(cache_breakpoint=True))
