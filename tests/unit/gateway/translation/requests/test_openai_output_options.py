"""The options of an OpenAI request that shape an Anthropic upstream's answer: its format, thinking, a prefill."""

from typing import Any

import msgspec
import pytest

from services.gateway.dialect import Thinking
from tests.support.openai_requests import (
    CLAUDE,
    GLM,
    PLAIN,
    assistant,
    call,
    function,
    refuse,
    system,
    text,
    tool,
    translate,
    user,
)

ADAPTIVE = msgspec.structs.replace(CLAUDE, thinking=Thinking.EFFORT)
NO_PREFILL = msgspec.structs.replace(GLM, prefill=False)


# The answer's format

SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}}
WANTED = {"type": "json_schema", "json_schema": {"name": "n", "schema": SCHEMA, "strict": True}}


def test_a_json_schema_is_passed_on_where_it_is_known() -> None:
    out = translate(PLAIN, response_format=WANTED)

    assert out.body["output_config"] == {"format": {"type": "json_schema", "schema": SCHEMA}}
    assert out.dropped == ()


def test_a_json_schema_is_an_instruction_elsewhere() -> None:
    out = translate(response_format=WANTED, messages=[system("S"), user("hi")])

    first, instruction = out.body["system"]
    assert first == text("S")
    assert instruction["text"].endswith(msgspec.json.encode(SCHEMA).decode())
    assert "output_config" not in out.body
    assert out.dropped == ("response_format",)


def test_a_json_object_is_an_instruction() -> None:
    out = translate(PLAIN, response_format={"type": "json_object"})

    assert "JSON object" in out.body["system"][0]["text"]
    assert out.dropped == ("response_format",)


def test_plain_text_is_the_default() -> None:
    out = translate(response_format={"type": "text"})

    assert out.dropped == ()
    assert "system" not in out.body


@pytest.mark.parametrize(
    ("given", "param"),
    [
        ({"type": "grammar"}, "response_format.type"),
        ({"type": "json_schema"}, "response_format.json_schema.schema"),
        ({"type": "json_schema", "json_schema": {"name": "x"}}, "response_format.json_schema.schema"),
        ({"type": "json_schema", "json_schema": {"schema": [1]}}, "response_format.json_schema.schema"),
    ],
)
def test_other_formats_are_refused(given: Any, param: str) -> None:
    assert refuse(response_format=given).param == param


def test_a_schema_nested_too_deeply_is_refused() -> None:
    deep: Any = {}
    for _ in range(80):
        deep = {"properties": deep}

    wanted = {"type": "json_schema", "json_schema": {"schema": deep}}
    assert refuse(response_format=wanted).param == "response_format.json_schema.schema"


# Thinking


def test_effort_becomes_thinking_and_output_config() -> None:
    body = translate(reasoning_effort="high").body

    assert body["thinking"] == {"type": "enabled"}
    assert body["output_config"] == {"effort": "high"}


def test_effort_and_format_share_output_config() -> None:
    body = translate(
        msgspec.structs.replace(ADAPTIVE, verify_signatures=False), reasoning_effort="low", response_format=WANTED
    ).body

    assert body["thinking"] == {"type": "adaptive"}
    assert body["output_config"]["effort"] == "low"
    assert body["output_config"]["format"]["type"] == "json_schema"


def test_effort_may_come_in_an_object() -> None:
    assert translate(reasoning={"effort": "low"}).body["output_config"] == {"effort": "low"}
    assert translate(reasoning={"enabled": True}).dropped == ("reasoning",)
    assert refuse(reasoning={"effort": "x"}).param == "reasoning.effort"


def test_an_unknown_effort_is_refused() -> None:
    refusal = refuse(reasoning_effort="turbo")

    assert refusal.param == "reasoning_effort"
    assert "low, medium, high" in refusal.message


def test_b116_a_budget_fits_below_max_tokens() -> None:
    roomy = translate(CLAUDE, reasoning_effort="high", max_tokens=20_000)
    tight = translate(CLAUDE, reasoning_effort="high", max_tokens=5000)
    none = translate(CLAUDE, reasoning_effort="high", max_tokens=1000)

    assert roomy.body["thinking"] == {"type": "enabled", "budget_tokens": 16384}
    assert tight.body["thinking"] == {"type": "enabled", "budget_tokens": 4999}
    assert none.body["thinking"] == {"type": "disabled"}
    assert none.dropped == ("reasoning_effort",)


def test_a_thinking_object_of_the_clients_own_goes_through() -> None:
    own = {"type": "enabled", "budget_tokens": 2000, "display": "omitted"}

    assert translate(CLAUDE, thinking=own).body["thinking"] == own
    assert translate(GLM, thinking=own, reasoning_effort="low").body["output_config"] == {"effort": "low"}
    assert translate(GLM, thinking=own, reasoning_effort="low").body["thinking"] == own
    assert translate(CLAUDE, thinking=own, reasoning_effort="low").dropped == ("reasoning_effort",)
    assert translate(CLAUDE, thinking=own, temperature=0.5).dropped == ("temperature",)


@pytest.mark.parametrize("effort", [{}, {"reasoning_effort": "max"}])
def test_thinking_that_cannot_be_turned_off_is_the_least(effort: dict[str, str]) -> None:
    """Clients that know GLM turn it off in the vendor's own way, which GLM-5.3 answers with 1210."""
    always = msgspec.structs.replace(GLM, efforts=("low", "high", "max"), thinking_can_be_disabled=False)
    told = translate(always, thinking={"type": "disabled"}, **effort)

    assert (told.body["thinking"], told.body["output_config"]) == ({"type": "enabled"}, {"effort": "low"})
    assert told.dropped == ("reasoning_effort=low", "thinking")
    assert translate(GLM, thinking={"type": "disabled"}).body["thinking"] == {"type": "disabled"}
    assert translate(always, thinking={"type": "enabled"}).body["thinking"] == {"type": "enabled"}


@pytest.mark.parametrize("own", [{"type": "disabled"}, {}])
def test_a_thinking_object_may_leave_thinking_off(own: dict[str, str]) -> None:
    assert translate(CLAUDE, thinking=own, temperature=0.5).dropped == ()


def test_a_thinking_object_of_no_known_kind_is_the_upstreams_business() -> None:
    assert translate(CLAUDE, thinking={"type": 5}).body["thinking"] == {"type": 5}


def test_thinking_is_dropped_where_there_is_none() -> None:
    out = translate(PLAIN, thinking={"type": "enabled"}, reasoning_effort="low")

    assert out.dropped == ("reasoning_effort", "thinking")
    assert "thinking" not in out.body


LOOP = [user("hi"), assistant(None, call("a")), tool("a")]
SIGNED = [{"type": "thinking", "thinking": "hm", "signature": "s"}]


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({"reasoning_effort": "low"}, "reasoning_effort"),
        ({"thinking": {"type": "enabled", "budget_tokens": 2000}}, "thinking"),
    ],
)
def test_thinking_is_turned_off_where_the_calls_have_lost_theirs(fields: dict[str, Any], name: str) -> None:
    out = translate(CLAUDE, messages=LOOP, tools=[function()], **fields)

    assert out.body["thinking"] == {"type": "disabled"}
    assert out.dropped == (name,)


def test_thinking_stays_on_where_the_calls_have_kept_theirs() -> None:
    kept = [user("hi"), assistant(None, call("a"), thinking_blocks=SIGNED), tool("a")]

    assert translate(CLAUDE, messages=kept, reasoning_effort="low").body["thinking"]["type"] == "enabled"
    assert translate(CLAUDE, messages=[user("hi")], reasoning_effort="low").body["thinking"]["type"] == "enabled"
    assert translate(GLM, messages=LOOP, reasoning_effort="low").body["thinking"]["type"] == "enabled"


def test_thinking_stays_on_after_an_answer_without_calls() -> None:
    history = [user("hi"), assistant("ok"), user("x")]

    assert translate(CLAUDE, messages=history, reasoning_effort="low").body["thinking"]["type"] == "enabled"


# Prefill


def test_b124_the_end_of_a_prefill_is_stripped() -> None:
    out = translate(messages=[user("hi"), assistant("Sure: \n")])

    assert out.messages[1]["content"] == [text("Sure:")]


def test_b124_a_prefill_of_white_space_is_none() -> None:
    out = translate(messages=[user("hi"), assistant(" \n")])

    assert [message["role"] for message in out.messages] == ["user"]
    assert translate(messages=[user("hi"), assistant("a"), assistant(" ")]).messages[1]["content"] == [text("a")]
    assert translate(messages=[user("hi"), assistant("a "), assistant(" ")]).messages[1]["content"] == [text("a")]
    assert refuse(messages=[assistant(" ")]).param == "messages.0"


@pytest.mark.parametrize(
    "blocks", [[{"type": "redacted_thinking", "data": "x"}], [{"type": "thinking", "thinking": "t", "signature": "s"}]]
)
def test_b124_a_prefill_of_thinking_alone_is_left_alone(blocks: list[Any]) -> None:
    assert translate(messages=[user("hi"), assistant(None, thinking_blocks=blocks)]).messages[1]["content"] == blocks


def test_b124_a_prefill_of_replayed_reasoning_is_left_alone() -> None:
    out = translate(messages=[user("hi"), assistant(None, reasoning_content="hm ")])

    assert out.messages[1]["content"][0]["thinking"] == "hm "


def test_b124_a_prefill_is_refused_where_it_cannot_be_continued() -> None:
    assert refuse(NO_PREFILL, messages=[user("hi"), assistant("{")]).param == "messages.1"
    assert "thinking" in refuse(messages=[user("hi"), assistant("{")], reasoning_effort="low").message
