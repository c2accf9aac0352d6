"""The options of an OpenAI request for an Anthropic upstream, but those that shape its answer."""

import hashlib
from typing import Any

import msgspec
import pytest

from services.gateway.dialect import Dialect
from tests.support.openai_requests import (
    CLAUDE,
    GLM,
    PLAIN,
    answered,
    assistant,
    body_of,
    call,
    function,
    refuse,
    refuse_bytes,
    system,
    text,
    tool,
    translate,
    translate_bytes,
    use,
    user,
)

MARK = {"type": "ephemeral"}
NO_USER = msgspec.structs.replace(GLM, user_field=None)
SHY = msgspec.structs.replace(GLM, user_id_min=6)


# What is refused


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("n", 2),
        ("n", 0),
        ("logprobs", True),
        ("top_logprobs", 3),
        ("modalities", ["text", "audio"]),
        ("audio", {"voice": "x"}),
        ("web_search_options", {}),
    ],
)
def test_b107_what_changes_the_shape_of_the_answer_is_refused_by_name(field: str, value: Any) -> None:
    refusal = refuse(**{field: value})

    assert refusal.param == field
    assert refusal.message.startswith(f"{field}: ")


@pytest.mark.parametrize(
    ("field", "value"), [("n", 1), ("logprobs", False), ("top_logprobs", 0), ("modalities", ["text"])]
)
def test_the_same_fields_with_nothing_in_them_pass(field: str, value: Any) -> None:
    out = translate(**{field: value})

    assert out.dropped == ()
    assert field not in out.body


# Hints


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("logit_bias", {"1": 2}),
        ("presence_penalty", 0.5),
        ("frequency_penalty", -1),
        ("seed", 7),
        ("prediction", {"type": "content", "content": "x"}),
        ("verbosity", "low"),
        ("store", True),
        ("prompt_cache_key", "k"),
        ("prompt_cache_retention", "24h"),
        ("service_tier", "flex"),
        ("moderation", {"a": 1}),
        ("metadata", {"a": "b"}),
        ("some_new_hint", "x"),
    ],
)
def test_hints_are_dropped_by_name(field: str, value: Any) -> None:
    out = translate(**{field: value})

    assert out.dropped == (field,)
    assert field not in out.body


@pytest.mark.parametrize(
    "field",
    [
        {"logit_bias": {}},
        {"presence_penalty": 0},
        {"frequency_penalty": 0.0},
        {"store": False},
        {"service_tier": "auto"},
        {"service_tier": "default"},
        {"verbosity": "medium"},
        {"metadata": {}},
        {"some_new_hint": []},
        {"some_new_hint": ""},
    ],
)
def test_hints_that_say_nothing_are_not_reported(field: dict[str, Any]) -> None:
    assert translate(**field).dropped == ()


def test_null_hints_are_not_reported() -> None:
    assert translate_bytes(b'{"model":"m","messages":[{"role":"user","content":"a"}],"seed":null}').dropped == ()


def test_names_that_a_header_cannot_carry_are_not_repeated() -> None:
    assert translate(**{"a\r\nx: y": 1, "é": 1, "ok": 1}).dropped == ("unprintable", "ok")


def test_the_report_of_unknown_fields_is_bounded() -> None:
    assert len(translate(**{f"field_{k}": 1 for k in range(500)}).dropped) == 24


# max_tokens


def test_b118_max_completion_tokens_wins() -> None:
    assert translate(max_completion_tokens=10, max_tokens=20).body["max_tokens"] == 10
    assert translate(max_tokens=20).body["max_tokens"] == 20


def test_b118_without_a_limit_the_configured_default_is_sent() -> None:
    assert translate().body["max_tokens"] == 32_000


@pytest.mark.parametrize("field", ["max_completion_tokens", "max_tokens"])
@pytest.mark.parametrize("value", [0, -1])
def test_limits_below_one_are_refused(field: str, value: int) -> None:
    assert refuse(**{field: value}).param == field


# Sampling


@pytest.mark.parametrize(("given", "sent"), [(1.7, 1.0), (2, 1.0)])
def test_b106_a_temperature_above_the_range_is_lowered_and_reported(given: float, sent: float) -> None:
    out = translate(temperature=given)

    assert out.body["temperature"] == sent
    assert out.dropped == ("temperature=1",)


@pytest.mark.parametrize("given", [0, 0.3, 1])
def test_b106_a_temperature_within_the_range_is_kept(given: float) -> None:
    out = translate(temperature=given)

    assert out.body["temperature"] == given
    assert out.dropped == ()


def test_b106_an_upstream_may_be_cooler_still() -> None:
    assert translate(Dialect(temperature_max=0.5), temperature=0.7).dropped == ("temperature=0.5",)


@pytest.mark.parametrize(
    ("field", "value"), [("temperature", 2.1), ("temperature", -0.1), ("top_p", 1.5), ("top_p", -1)]
)
def test_values_that_openai_refuses_are_refused(field: str, value: float) -> None:
    assert refuse(**{field: value}).param == field


def test_top_p_is_kept_even_when_it_is_zero_or_beside_a_temperature() -> None:
    assert translate(CLAUDE, top_p=0).body["top_p"] == 0
    assert translate(top_p=0.9, temperature=0.5).body["top_p"] == 0.9


def test_top_p_below_the_range_is_raised_and_reported() -> None:
    out = translate(top_p=0)

    assert out.body["top_p"] == 0.01
    assert out.dropped == ("top_p=0.01",)


def test_top_k_is_passed_on_where_it_is_known() -> None:
    assert translate(top_k=5).body["top_k"] == 5
    assert translate(PLAIN, top_k=5).dropped == ("top_k",)


def test_sampling_yields_to_thinking_where_the_upstream_cannot_have_both() -> None:
    out = translate(CLAUDE, reasoning_effort="low", temperature=0.5, top_p=0.9, top_k=3)

    assert not {"temperature", "top_p", "top_k"} & out.body.keys()
    assert out.dropped == ("temperature", "top_p", "top_k")


def test_the_one_temperature_that_thinking_allows_is_not_reported() -> None:
    assert translate(CLAUDE, reasoning_effort="low", temperature=1).dropped == ()


def test_glm_thinks_and_samples() -> None:
    assert translate(GLM, reasoning_effort="low", temperature=0.5).body["temperature"] == 0.5


# Stop sequences


@pytest.mark.parametrize(
    ("given", "sent"),
    [("END", ["END"]), (["a", "", "b"], ["a", "b"]), (["1", "2", "3", "4", "5"], ["1", "2", "3", "4", "5"])],
)
def test_b109_stop_becomes_a_list(given: Any, sent: list[str]) -> None:
    assert translate(stop=given).body["stop_sequences"] == sent


@pytest.mark.parametrize("given", [[], "", [""]])
def test_b109_no_stop_leaves_no_key(given: Any) -> None:
    assert "stop_sequences" not in translate(stop=given).body


def test_b109_stop_null_leaves_no_key() -> None:
    body = b'{"model":"m","messages":[{"role":"user","content":"a"}],"stop":null}'

    assert "stop_sequences" not in translate_bytes(body).body


def test_b109_stop_of_white_space_is_refused() -> None:
    assert refuse(stop=["a", " \n"]).param == "stop"


def test_stop_sequences_beyond_the_limit_are_left_to_the_gateway() -> None:
    out = translate(Dialect(stop_limit=1), stop=["a", "b", "c"])

    assert out.body["stop_sequences"] == ["a"]
    assert out.context.stop_sequences == ("b", "c")


# The user


@pytest.mark.parametrize(
    ("fields", "user_id"),
    [
        ({"user": "u"}, "u"),
        ({"user": "u", "safety_identifier": "s"}, "s"),
        ({"user": "u", "metadata": {"user_id": "m"}}, "m"),
    ],
)
def test_the_user_is_named_in_metadata(fields: dict[str, Any], user_id: str) -> None:
    assert translate(**fields).body["metadata"] == {"user_id": user_id}


def test_a_user_of_a_length_that_is_not_taken_is_hashed() -> None:
    def hashed(value: str) -> str:
        return hashlib.sha256(value.encode()).hexdigest()

    assert translate(user="u" * 300).body["metadata"] == {"user_id": hashed("u" * 300)}
    assert translate(SHY, user="u").body["metadata"] == {"user_id": hashed("u")}


def test_no_user_leaves_no_metadata() -> None:
    assert "metadata" not in translate(user="").body
    assert "metadata" not in translate(metadata={"user_id": 5}).body


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({"user": "u"}, "user"),
        ({"safety_identifier": "u"}, "safety_identifier"),
        ({"metadata": {"user_id": "u"}}, "metadata.user_id"),
    ],
)
def test_the_user_is_dropped_by_name_where_the_upstream_wants_none(fields: dict[str, Any], name: str) -> None:
    assert translate(NO_USER, **fields).dropped == (name,)


def test_other_metadata_is_dropped() -> None:
    out = translate(metadata={"user_id": "u", "run": "7"})

    assert out.body["metadata"] == {"user_id": "u"}
    assert out.dropped == ("metadata",)


# Cache breakpoints


def test_at_most_four_breakpoints_are_left_the_last_ones() -> None:
    out = translate(
        tools=[function() | {"cache_control": MARK}],
        messages=[
            system("S", cache_control=MARK),
            user([text("a", cache_control=MARK), text("b", cache_control=MARK)]),
            assistant(None, call("a"), cache_control=MARK),
            tool("a", cache_control=MARK),
        ],
    )

    assert "cache_control" not in out.body["tools"][0]
    assert out.body["system"] == [text("S")]
    assert out.messages[0]["content"] == [text("a", cache_control=MARK), text("b", cache_control=MARK)]
    assert out.messages[1]["content"] == [use("a") | {"cache_control": MARK}]
    assert out.messages[2]["content"] == [answered("a", cache_control=MARK)]
    assert out.dropped == ("cache_control",)


def test_four_breakpoints_are_left_alone() -> None:
    out = translate(messages=[user([text(str(k), cache_control=MARK) for k in range(4)])])

    assert out.dropped == ()


def test_a_breakpoint_of_the_whole_request_counts() -> None:
    out = translate(cache_control=MARK, messages=[user([text(str(k), cache_control=MARK) for k in range(4)])])

    assert out.body["cache_control"] == MARK
    assert ["cache_control" in block for block in out.messages[0]["content"]] == [False, True, True, True]


# Wrong types


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"temperature": "hot"}, "temperature"),
        ({"max_tokens": 1.5}, "max_tokens"),
        ({"stop": [1]}, "stop.0"),
        ({"stream": "yes"}, "stream"),
        ({"tools": [{"type": "function", "function": {}}]}, "tools.0.function.name"),
    ],
)
def test_wrong_types_are_refused_by_their_path(fields: dict[str, Any], param: str) -> None:
    assert refuse_bytes(body_of(**fields)).param == param
