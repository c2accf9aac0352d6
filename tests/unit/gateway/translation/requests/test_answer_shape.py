"""A schema that the upstream cannot be told is put into words, at the head of a body in the upstream's own format."""

import json
from typing import Any

import pytest

from services.gateway.dialect import GLM_ANTHROPIC, GLM_OPENAI, Dialect
from services.gateway.translation.requests.adapted import Adapted
from services.gateway.translation.requests.answer_shape import chat_in_words, messages_in_words, valid_under
from services.gateway.wire.formats import WireFormat
from services.gateway.wire.mend import BROKEN
from services.gateway.wire.outline import outline_of

OPENAI, ANTHROPIC = WireFormat.OPENAI, WireFormat.ANTHROPIC
DIALECTS = {OPENAI: GLM_OPENAI, ANTHROPIC: GLM_ANTHROPIC}
SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}}
WORDS = (
    "Answer with exactly one JSON value that is valid under the following JSON Schema, and with nothing around it: no "
    'explanation, no code fence.\n{"type":"object","properties":{"n":{"type":"integer"}}}'
)
WANTED: dict[WireFormat, dict[str, Any]] = {
    OPENAI: {"response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": SCHEMA}}},
    ANTHROPIC: {"output_config": {"effort": "high", "format": {"type": "json_schema", "schema": SCHEMA}}},
}
USER = {"role": "user", "content": "hi"}


def _bytes(body: Any) -> bytes:
    return json.dumps(body, separators=(",", ":")).encode()


def _told(upstream: WireFormat, body: bytes, dialect: Dialect | None = None) -> Adapted | None:
    """Return what becomes of a body; None as well where it has another shape, which the caller leaves alone."""
    outline = outline_of(body, blocks=upstream is ANTHROPIC)
    step = chat_in_words if upstream is OPENAI else messages_in_words
    try:
        return None if outline is None else step(outline, dialect or DIALECTS[upstream])
    except BROKEN:
        return None


def _changed(upstream: WireFormat, body: Any, dialect: Dialect | None = None) -> tuple[dict[str, Any], tuple[str, ...]]:
    found = _told(upstream, _bytes(body), dialect)
    assert found is not None
    changed: dict[str, Any] = json.loads(found.outline.body)
    assert changed == {name: json.loads(bytes(value)) for name, value in found.outline.members.items()}
    return changed, found.dropped


@pytest.mark.parametrize(
    ("messages", "expected"),
    [
        ([USER], [{"role": "system", "content": WORDS}, USER]),
        ([], [{"role": "system", "content": WORDS}]),
        (
            [{"role": "system", "content": "S", "name": "x"}],
            [{"role": "system", "content": f"S\n\n{WORDS}", "name": "x"}],
        ),
        ([{"role": "developer", "content": ""}], [{"role": "developer", "content": WORDS}]),
        ([{"role": "system"}, USER], [{"role": "system", "content": WORDS}, USER]),
        (
            [{"role": "system", "content": [{"type": "text", "text": "S"}]}],
            [{"role": "system", "content": [{"type": "text", "text": "S"}, {"type": "text", "text": WORDS}]}],
        ),
    ],
)
def test_openais_schema_is_told_at_the_head_and_json_asked_for(messages: list[Any], expected: list[Any]) -> None:
    body = {"model": "m", "messages": messages, "temperature": 1.0}
    changed, dropped = _changed(OPENAI, body | WANTED[OPENAI])

    assert body | {"messages": expected, "response_format": {"type": "json_object"}} == changed
    assert ("response_format=json_object",) == dropped


def test_where_not_even_json_can_be_asked_for_the_words_are_all() -> None:
    body = {"messages": [USER]}
    changed, dropped = _changed(OPENAI, body | WANTED[OPENAI], Dialect(json_schema=False, json_object=False))

    assert {"messages": [{"role": "system", "content": WORDS}, USER]} == changed
    assert ("response_format",) == dropped


@pytest.mark.parametrize(
    ("system", "expected"),
    [
        ({}, WORDS),
        ({"system": ""}, WORDS),
        ({"system": None}, WORDS),
        ({"system": "S"}, f"S\n\n{WORDS}"),
        ({"system": [{"type": "text", "text": "S"}]}, [{"type": "text", "text": "S"}, {"type": "text", "text": WORDS}]),
    ],
)
def test_anthropics_schema_is_told_at_the_end_of_the_system_prompt(system: dict[str, Any], expected: Any) -> None:
    body = {"messages": [USER], **system}
    changed, dropped = _changed(ANTHROPIC, body | WANTED[ANTHROPIC])

    assert body | {"system": expected, "output_config": {"effort": "high"}} == changed
    assert ("output_config.format",) == dropped


def test_a_configuration_that_says_nothing_else_goes() -> None:
    body = {"messages": [USER], "output_config": {"format": {"type": "json_schema", "schema": SCHEMA}}}
    changed, _ = _changed(ANTHROPIC, body)

    assert {"messages": [USER], "system": WORDS} == changed


@pytest.mark.parametrize(
    ("config", "kept"),
    [
        ({}, {}),
        ({"output_config": None}, {}),
        ({"output_config": {"effort": "low"}}, {"output_config": {"effort": "low"}}),
        ({"output_config": {"format": None}}, {}),
    ],
)
def test_a_schema_under_anthropics_older_name_is_told_as_well(config: dict[str, Any], kept: dict[str, Any]) -> None:
    wanted = {"output_format": {"type": "json_schema", "schema": SCHEMA}}
    changed, dropped = _changed(ANTHROPIC, {"messages": [USER], **config} | wanted)

    assert {"messages": [USER], "system": WORDS, **kept} == changed
    assert ("output_format",) == dropped


def test_of_both_names_the_newer_one_counts() -> None:
    other = {"output_format": {"type": "json_schema", "schema": {}}}
    changed, dropped = _changed(ANTHROPIC, {"messages": [USER]} | WANTED[ANTHROPIC] | other)

    assert {"messages": [USER], "system": WORDS, "output_config": {"effort": "high"}} == changed
    assert ("output_config.format",) == dropped


@pytest.mark.parametrize("upstream", [OPENAI, ANTHROPIC])
def test_one_that_can_be_told_is_told(upstream: WireFormat) -> None:
    assert _told(upstream, _bytes({"messages": [USER]} | WANTED[upstream]), Dialect()) is None


@pytest.mark.parametrize("upstream", [OPENAI, ANTHROPIC])
@pytest.mark.parametrize(
    "body",
    [
        {"messages": [USER]},
        {"messages": [{"role": "user", "content": '"json_schema"'}]},
        {"messages": [USER], "response_format": {"type": "json_object"}, "output_config": {"effort": "high"}},
        {"messages": [USER], "response_format": {"type": "json_schema"}, "output_config": {"effort": "json_schema"}},
        {
            "messages": [USER],
            "response_format": {"type": "json_schema", "json_schema": {"schema": "no"}},
            "output_config": {"format": {"type": "json_schema", "schema": []}},
        },
        {
            "messages": [USER],
            "response_format": {"type": "text", "json_schema": {"schema": {}}},
            "output_config": {"format": {"type": "text", "schema": {"json_schema": 1}}},
        },
        {"response_format": "json_schema", "output_config": ["json_schema"]},
        {"messages": 7, "system": 7} | WANTED[OPENAI] | WANTED[ANTHROPIC],
        {"messages": [7], "system": {}} | WANTED[OPENAI] | WANTED[ANTHROPIC],
        ["json_schema"],
    ],
)
def test_what_asks_for_no_schema_or_has_another_shape_is_left_alone(upstream: WireFormat, body: Any) -> None:
    assert _told(upstream, _bytes(body)) is None


def test_the_words_hold_the_schema_as_it_came() -> None:
    found = _told(
        OPENAI, b'{"messages":[],"response_format":{"type":"json_schema","json_schema":{"schema":{ "a":1.50 }}}}'
    )

    assert found is not None
    [message] = json.loads(found.outline.body)["messages"]
    assert message["content"].endswith('\n{ "a":1.50 }')
    assert valid_under(found.outline.members["response_format"]).endswith('{"type":"json_object"}')
