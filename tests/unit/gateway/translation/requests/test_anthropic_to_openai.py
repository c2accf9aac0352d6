"""The top level of a request, and the request as a whole."""

import hashlib
from typing import Any

import msgspec
import pytest

from services.gateway.dialect import Dialect, Thinking
from services.gateway.translation.requests.anthropic_to_openai import anthropic_to_openai
from services.gateway.translation.requests.limits import RequestLimits
from tests.support.anthropic_requests import (
    BILLING,
    GLM,
    GLM_53,
    PLAIN,
    assistant,
    body_of,
    call,
    refuse,
    result,
    text,
    tool,
    translate,
    user,
)
from tests.support.golden import Golden, cases

SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}}
FORMAT = {"type": "json_schema", "schema": SCHEMA}


def test_the_least_request() -> None:
    done = translate()

    assert done.body == {"model": "glm-4.7", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 1000}
    assert done.dropped == ()
    assert done.context.requested_model == "claude"
    assert done.context.stream is False


def test_the_limit_of_tokens_has_the_upstreams_name() -> None:
    done = translate(Dialect(max_tokens_field="max_completion_tokens"))

    assert done.body["max_completion_tokens"] == 1000
    assert "max_tokens" not in done.body


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"model": None}, "model: Field required"),
        ({"model": ""}, "model: Field required"),
        ({"max_tokens": None}, "max_tokens: Field required"),
        ({"max_tokens": 0}, "max_tokens: Input should be greater than or equal to 1"),
        ({"max_tokens": -1}, "max_tokens: Input should be greater than or equal to 1"),
        ({"max_tokens": "1"}, "max_tokens: Input should be a valid integer"),
        ({"messages": None}, "messages: Field required"),
        ({"messages": []}, "messages: at least one message is required"),
        ({"container": {"id": "c"}}, "container: not available on this upstream"),
        ({"mcp_servers": [{"url": "x"}]}, "mcp_servers: not available on this upstream"),
    ],
)
def test_what_is_missing_or_cannot_be_done_is_refused(fields: Any, message: str) -> None:
    error = refuse(**fields)

    assert error.message == message
    assert error.param == message.partition(":")[0]


def test_too_many_messages_are_refused() -> None:
    error = refuse(limits=RequestLimits(messages=2), messages=[user("a")] * 3)

    assert error.message == "messages: at most 2 messages are accepted, 3 were sent"


def test_b1_system_blocks_are_joined_by_an_empty_line() -> None:
    assert translate(system=[text("A"), text(""), text("B")]).messages[0] == {"role": "system", "content": "A\n\nB"}
    assert translate(system="A").messages[0] == {"role": "system", "content": "A"}


@pytest.mark.parametrize("nothing", ["", [], [text("")]])
def test_an_empty_system_is_no_message(nothing: Any) -> None:
    assert [turn["role"] for turn in translate(system=nothing).messages] == ["user"]


def test_b4_the_billing_block_is_left_out_and_named() -> None:
    done = translate(system=[BILLING, text("You are Claude Code", cache_control={"type": "ephemeral"})])

    assert done.messages[0] == {"role": "system", "content": "You are Claude Code"}
    assert done.dropped == ("system.x-anthropic-billing-header", "cache_control")


def test_b4_so_is_the_billing_line_of_a_string() -> None:
    assert translate(system=f"{BILLING['text']}\nYou are").messages[0] == {"role": "system", "content": "You are"}
    assert translate(system=BILLING["text"]).messages[0]["role"] == "user"


@pytest.mark.parametrize(("dialect", "field"), [(PLAIN, "user"), (GLM, "user_id")])
def test_b5_claude_codes_user_id_is_sent_as_a_hash(dialect: Dialect, field: str) -> None:
    user_id = '{"device_id":"%s","account_uuid":"","session_id":"s"}' % ("d" * 100)
    done = translate(dialect, metadata={"user_id": user_id})

    assert done.body[field] == hashlib.sha256(user_id.encode()).hexdigest()
    assert done.dropped == ()


@pytest.mark.parametrize("user_id", ['{"device_id":"short"}', "bob", "x" * 129])
def test_a_user_id_that_does_not_fit_is_hashed(user_id: str) -> None:
    assert translate(GLM, metadata={"user_id": user_id}).body["user_id"] == hashlib.sha256(user_id.encode()).hexdigest()


def test_a_user_id_that_fits_is_passed_on() -> None:
    assert translate(metadata={"user_id": "bob"}).body["user"] == "bob"
    assert "user" not in translate(metadata={"user_id": None}).body
    assert "user" not in translate(metadata={}).body


def test_metadata_that_has_no_place_is_named() -> None:
    assert translate(metadata={"user_id": "bob", "team": "x"}).dropped == ("metadata",)
    assert translate(Dialect(user_field=None), metadata={"user_id": "bob"}).dropped == ("metadata.user_id",)


def test_a_user_id_that_is_no_string_is_refused() -> None:
    error = refuse(metadata={"user_id": 1})

    assert error.message == "metadata.user_id: Input should be a valid string"
    assert error.param == "metadata.user_id"


def test_b7_stop_sequences_are_passed_on() -> None:
    done = translate(stop_sequences=["\n\nHuman:", "", "\n\nHuman:"])

    assert done.body["stop"] == ["\n\nHuman:"]
    assert done.context.stop_sequences == ()


def test_b8_stop_sequences_beyond_the_limit_are_left_to_the_scanner() -> None:
    done = translate(GLM, stop_sequences=["a", "b", "c"])

    assert done.body["stop"] == ["a"]
    assert done.context.stop_sequences == ("b", "c")
    assert translate(Dialect(stop_limit=None), stop_sequences=list("abcdef")).body["stop"] == list("abcdef")
    assert "stop" not in translate(Dialect(stop_limit=0), stop_sequences=["a"]).body


def test_empty_stop_sequences_are_no_field_and_blank_ones_are_refused() -> None:
    assert "stop" not in translate(stop_sequences=[""]).body
    assert refuse(stop_sequences=["a", " \n"]).param == "stop_sequences"


def test_sampling_is_passed_on_also_when_it_is_zero() -> None:
    done = translate(temperature=0, top_p=0)

    assert done.body["temperature"] == 0
    assert done.body["top_p"] == 0
    assert done.dropped == ()


def test_b41_temperature_zero_is_no_sampling_for_glm() -> None:
    done = translate(GLM, temperature=0)

    assert done.body["do_sample"] is False
    assert "temperature" not in done.body
    assert translate(GLM, temperature=0.5).body["temperature"] == 0.5


def test_sampling_outside_the_upstreams_range_is_moved_into_it_and_named() -> None:
    done = translate(GLM, temperature=1.5, top_p=0)

    assert done.body["temperature"] == 1
    assert done.body["top_p"] == 0.01
    assert done.dropped == ("temperature=1", "top_p=0.01")


def test_top_k_is_passed_on_where_it_exists_and_named_elsewhere() -> None:
    assert translate(Dialect(top_k=True), top_k=5).body["top_k"] == 5
    assert translate(top_k=5).dropped == ("top_k",)


def test_a_stream_asks_for_usage_where_the_upstream_knows_how() -> None:
    done = translate(GLM, stream=True)

    assert done.body["stream"] is True
    assert done.body["stream_options"] == {"include_usage": True}
    assert done.context.stream is True
    assert "stream_options" not in translate(Dialect(stream_options=False), stream=True).body
    assert "stream" not in translate(stream=False).body


def test_the_context_tells_the_answers_side_of_the_dialect() -> None:
    context = translate(Dialect(inline_think_tags=True, verify_signatures=True)).context

    assert context.inline_think_tags
    assert context.verify_signatures


@pytest.mark.parametrize("budget", [500, 1000, 2000])
def test_b37_a_thinking_budget_out_of_bounds_is_refused(budget: int) -> None:
    error = refuse(GLM, thinking={"type": "enabled", "budget_tokens": budget})

    assert error.param == "thinking.budget_tokens"


def test_b37_an_interleaved_budget_may_exceed_max_tokens() -> None:
    body = body_of(thinking={"type": "enabled", "budget_tokens": 32_000}, max_tokens=8000)

    done = anthropic_to_openai(body, GLM, upstream_model="glm-4.7", limits=RequestLimits(), interleaved_thinking=True)

    assert msgspec.json.decode(done.body)["thinking"] == {"type": "enabled"}


def test_b38_effort_is_the_nearest_that_the_model_knows() -> None:
    done = translate(GLM_53, output_config={"effort": "xhigh"})

    assert done.body["reasoning_effort"] == "max"
    assert "thinking" not in done.body


def test_thinking_has_glms_shape() -> None:
    assert translate(GLM, thinking={"type": "adaptive", "display": "omitted"}).body["thinking"] == {"type": "enabled"}
    assert translate(GLM, thinking={"type": "disabled"}).body["thinking"] == {"type": "disabled"}


def test_thinking_is_named_where_there_is_none() -> None:
    assert translate(thinking={"type": "adaptive"}).dropped == ("thinking",)
    effort = Dialect(thinking=Thinking.EFFORT)
    assert translate(effort, output_config={"effort": "high"}).body["reasoning_effort"] == "high"


def test_b40_prefill_is_refused_unless_the_upstream_continues_it() -> None:
    history = [user("a"), assistant("{")]
    error = refuse(GLM, messages=history)

    assert error.param == "messages.1"
    assert "prefill is not supported by this upstream" in error.message
    assert translate(Dialect(prefill=True), messages=history).messages[-1] == {"role": "assistant", "content": "{"}


@pytest.mark.parametrize("fields", [{"output_config": {"format": FORMAT}}, {"output_format": FORMAT}])
def test_a_schema_of_the_answer_is_a_response_format(fields: Any) -> None:
    done = translate(**fields)

    assert done.body["response_format"] == {
        "type": "json_schema",
        "json_schema": {"name": "structured_output", "schema": SCHEMA, "strict": True},
    }
    assert done.dropped == ()


def test_or_an_instruction_where_the_upstream_only_knows_json() -> None:
    done = translate(GLM, system="S", output_config={"format": FORMAT})

    assert done.body["response_format"] == {"type": "json_object"}
    assert done.messages[0]["content"].startswith("S\n\nAnswer with exactly one JSON value")
    assert done.messages[0]["content"].endswith(msgspec.json.encode(SCHEMA).decode())
    assert done.dropped == ("output_config.format=json_object",)


def test_or_it_is_refused() -> None:
    error = refuse(Dialect(json_schema=False, json_object=False), output_format=FORMAT)

    assert error.param == "output_format"


@pytest.mark.parametrize(
    ("wanted", "param"),
    [
        ({"type": "grammar"}, "output_format.type"),
        ({"type": "json_schema"}, "output_format.schema"),
        ({"type": "json_schema", "schema": 1}, "output_format.schema"),
        ({"type": "json_schema", "schema": msgspec.Raw(b'{"a":' * 65 + b"1" + b"}" * 65)}, "output_format.schema"),
    ],
)
def test_a_malformed_format_is_refused(wanted: Any, param: str) -> None:
    assert refuse(output_format=wanted).param == param


def test_hints_without_a_place_are_named() -> None:
    hints = {
        "service_tier": "standard_only",
        "speed": "fast",
        "cache_control": {"type": "ephemeral"},
        "context_management": {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]},
        "inference_geo": "us",
        "diagnostics": {"a": 1},
        "user_profile_id": "u",
        "workspace_id": "w",
        "betas": ["b"],
        "anthropic_version": "2023-06-01",
    }

    done = translate(**hints)

    assert done.dropped == tuple(hints)
    assert done.body == translate().body


def test_hints_that_say_nothing_are_not_named() -> None:
    done = translate(service_tier="auto", speed="standard", betas=[], diagnostics={}, container="", mcp_servers=[])

    assert done.dropped == ()


def test_fields_that_nobody_knows_are_dropped_by_name() -> None:
    done = translate(zork={"a": [1]}, system="S", blorb=1)

    assert done.dropped == ("zork", "blorb")
    assert done.body == translate(system="S").body


def test_a_fault_is_told_although_a_field_is_unknown() -> None:
    assert refuse(zork=1, max_tokens="x").message == "max_tokens: Input should be a valid integer"


def test_depth_is_bounded_by_the_limits() -> None:
    error = refuse(limits=RequestLimits(json_depth=2), tools=[tool(input_schema={"type": "object", "a": [[[[1]]]]})])

    assert error.param == "tools.0.input_schema"


def test_calls_without_tools_get_stubs_where_the_upstream_wants_them() -> None:
    history = [user("a"), assistant(call("A")), user(result("A"))]

    assert len(translate(Dialect(tool_calls_without_tools=False), messages=history).body["tools"]) == 1
    assert "tools" not in translate(messages=history).body


@pytest.mark.parametrize("case", cases("anthropic_openai"))
def test_golden(golden: Golden, case: str) -> None:
    """What real requests become, byte for byte; the answer's context and the dropped hints next to them."""
    translated = anthropic_to_openai(
        golden.read(f"anthropic_openai/{case}", "client.json"), GLM, upstream_model="glm-4.7", limits=RequestLimits()
    )

    golden.check_json(f"anthropic_openai/{case}", "upstream.json", translated.body)
    rest = {"dropped": translated.dropped, "context": translated.context}
    golden.check_json(f"anthropic_openai/{case}", "rest.json", msgspec.json.encode(rest))
