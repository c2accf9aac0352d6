import contextlib
import json
from typing import Any

import msgspec
import pytest

from services.gateway.dialect import Thinking
from services.gateway.translation.refusal import TranslationError
from services.gateway.translation.requests.limits import RequestLimits
from services.gateway.translation.requests.responses_reasoning import Carried, sealed
from tests.support.responses_requests import USER, function, request, sent, to_anthropic, to_openai
from tests.support.rich_requests import RESPONSES_RICH
from tests.support.spoilt_json import Spoiler

SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}}
FORMAT = {"type": "json_schema", "name": "n", "schema": SCHEMA, "strict": True}

both = pytest.mark.parametrize("translate", [to_anthropic, to_openai])


def echoed(body: bytes) -> dict[str, Any]:
    shape = to_openai(body).context.responses
    assert shape is not None
    assert b"\n" not in shape.echo
    found: dict[str, Any] = json.loads(b"{%b}" % shape.echo)
    return found


@both
@pytest.mark.parametrize(
    ("fields", "param", "says"),
    [
        ({"model": ""}, "model", "Field required"),
        ({"input": None}, "input", "Field required"),
        ({"input": ""}, "input", "Field required"),
        ({"input": []}, "input", "Field required"),
        ({"input": [USER] * 21}, "input", "at most 20 items"),
        ({"previous_response_id": "resp_1"}, "previous_response_id", "send the earlier items in `input`"),
        ({"conversation": "conv_1"}, "conversation", "send the earlier items in `input`"),
        ({"background": True}, "background", "use `stream`"),
        ({"prompt": {"id": "pmpt_1"}}, "prompt", "send their text"),
        ({"top_logprobs": 3}, "top_logprobs", "log probabilities"),
        ({"include": ["message.output_text.logprobs"]}, "include", "not supported"),
        ({"max_output_tokens": 0}, "max_output_tokens", "at least 1"),
        ({"temperature": 2.5}, "temperature", "between 0 and 2"),
        ({"temperature": -1}, "temperature", "between 0 and 2"),
        ({"top_p": 1.5}, "top_p", "between 0 and 1"),
        ({"reasoning": {"effort": "extreme"}}, "reasoning.effort", "not one of none, minimal"),
        ({"text": {"format": {"type": "xml"}}}, "text.format.type", "not one of text"),
        ({"text": {"format": {"type": "json_schema"}}}, "text.format.schema", "JSON Schema object"),
        (
            {"text": {"format": {**FORMAT, "schema": {"a": {"a": {"a": {"a": {}}}}}}}},
            "text.format.schema",
            "nested deeper than 4",
        ),
        ({"stream": "yes"}, "stream", "valid boolean"),
    ],
)
def test_what_no_upstream_could_be_told_is_refused(
    translate: Any, fields: dict[str, Any], param: str, says: str
) -> None:
    with pytest.raises(TranslationError) as refused:
        translate(request(**fields), limits=RequestLimits(messages=5, json_depth=4))

    assert refused.value.param == param
    assert says in refused.value.message


@both
def test_a_body_that_says_one_thing_twice_is_refused(translate: Any) -> None:
    with pytest.raises(TranslationError, match="the key occurs twice"):
        translate(b'{"model":"a","input":"hi","input":"ho"}')


@both
@pytest.mark.parametrize(
    ("fields", "dropped"),
    [
        ({"store": True}, ("store",)),
        ({"store": False, "truncation": "disabled", "text": {"verbosity": "medium"}, "background": False}, ()),
        ({"truncation": "auto"}, ("truncation",)),
        ({"text": {"verbosity": "low"}}, ("text.verbosity",)),
        ({"stream": True, "stream_options": {"include_obfuscation": True}}, ("stream_options.include_obfuscation",)),
        ({"stream": True, "stream_options": {"include_obfuscation": False}}, ()),
        ({"include": ["reasoning.encrypted_content"]}, ()),
        ({"include": ["file_search_call.results", "odd\n"]}, ("include.file_search_call.results", "include")),
        (
            {"prompt_cache_key": "k", "service_tier": "auto", "max_tool_calls": 3},
            ("prompt_cache_key", "max_tool_calls"),
        ),
        ({"moderation": {"model": "m"}}, ("moderation",)),
    ],
)
def test_hints_that_are_lost_are_named(translate: Any, fields: dict[str, Any], dropped: tuple[str, ...]) -> None:
    assert translate(request(**fields)).dropped == dropped


@both
def test_as_many_items_as_are_allowed_are_taken(translate: Any) -> None:
    assert sent(translate(request(*[USER] * 20), limits=RequestLimits(messages=5)))["messages"]


def test_limits_and_sampling_are_passed_on() -> None:
    body = request(max_output_tokens=9, temperature=0.5, top_p=0.25)

    assert sent(to_anthropic(body)) | {"messages": 0} == {
        "model": "up",
        "max_tokens": 9,
        "temperature": 0.5,
        "top_p": 0.25,
        "messages": 0,
    }
    assert sent(to_openai(body, max_tokens_field="max_completion_tokens")) | {"messages": 0} == {
        "model": "up",
        "messages": 0,
        "max_completion_tokens": 9,
        "temperature": 0.5,
        "top_p": 0.25,
    }
    assert sent(to_anthropic(request()))["max_tokens"] == 1000
    assert "max_tokens" not in sent(to_openai(request()))


def test_a_stream_is_asked_for_with_its_counts_where_the_upstream_knows_them() -> None:
    body = request(stream=True)

    assert sent(to_openai(body))["stream_options"] == {"include_usage": True}
    assert "stream_options" not in sent(to_openai(body, stream_options=False))
    assert sent(to_anthropic(body))["stream"] is True
    assert to_anthropic(body).context.stream


@pytest.mark.parametrize(
    ("fields", "user"), [({"user": "u"}, "u"), ({"user": "u", "safety_identifier": "s"}, "s"), ({}, None)]
)
def test_who_the_user_is(fields: dict[str, Any], user: str | None) -> None:
    assert sent(to_anthropic(request(**fields))).get("metadata", {}).get("user_id") == user
    assert sent(to_openai(request(**fields))).get("user") == user
    if user is not None:
        assert to_openai(request(**fields), user_field=None).dropped == ("user",)


@pytest.mark.parametrize(
    ("effort", "dialect", "body", "dropped"),
    [
        (None, {"thinking": Thinking.GLM}, {}, ()),
        ("none", {"thinking": Thinking.GLM}, {"thinking": {"type": "disabled"}}, ()),
        ("low", {"thinking": Thinking.GLM, "efforts": ()}, {"thinking": {"type": "enabled"}}, ("reasoning.effort",)),
        ("low", {"thinking": Thinking.GLM}, {"thinking": {"type": "enabled"}, "reasoning_effort": "low"}, ()),
        ("minimal", {"thinking": Thinking.EFFORT}, {"reasoning_effort": "low"}, ("reasoning.effort=low",)),
        ("none", {"thinking": Thinking.EFFORT, "efforts": ("none", "low")}, {"reasoning_effort": "none"}, ()),
        ("none", {"thinking": Thinking.EFFORT}, {"reasoning_effort": "low"}, ("reasoning.effort",)),
        ("high", {"thinking": Thinking.NONE}, {}, ("reasoning.effort",)),
    ],
)
def test_effort_for_an_openai_upstream(
    effort: str | None, dialect: dict[str, Any], body: dict[str, Any], dropped: tuple[str, ...]
) -> None:
    out = to_openai(request(reasoning={"effort": effort, "summary": "auto"}), **dialect)

    assert {name: value for name, value in sent(out).items() if name not in {"model", "messages"}} == body
    assert out.dropped == dropped


@pytest.mark.parametrize(
    ("effort", "dialect", "body", "dropped"),
    [
        ("none", {"thinking": Thinking.GLM}, {"thinking": {"type": "disabled"}}, ()),
        (
            "high",
            {"thinking": Thinking.GLM},
            {"thinking": {"type": "enabled"}, "output_config": {"effort": "high"}},
            (),
        ),
        ("high", {"thinking": Thinking.NONE}, {}, ("reasoning.effort",)),
    ],
)
def test_effort_for_an_anthropic_upstream(
    effort: str, dialect: dict[str, Any], body: dict[str, Any], dropped: tuple[str, ...]
) -> None:
    out = to_anthropic(request(reasoning={"effort": effort}), **dialect)

    assert {name: value for name, value in sent(out).items() if name not in {"model", "messages", "max_tokens"}} == body
    assert out.dropped == dropped


def test_a_shape_is_asked_of_the_upstream_or_in_words() -> None:
    shaped = request(text={"format": FORMAT})
    some = request(text={"format": {"type": "json_object"}})

    assert sent(to_openai(shaped))["response_format"]["json_schema"] == {"name": "n", "schema": SCHEMA, "strict": True}
    nameless = {"type": "json_schema", "schema": SCHEMA}
    assert sent(to_openai(request(text={"format": nameless})))["response_format"]["json_schema"] == {
        "name": "answer",
        "schema": SCHEMA,
    }
    assert sent(to_anthropic(shaped))["output_config"] == {"format": {"type": "json_schema", "schema": SCHEMA}}
    assert sent(to_openai(some))["response_format"] == {"type": "json_object"}
    assert to_openai(some).dropped == ()
    assert "response_format" not in sent(to_openai(request(text={"format": {"type": "text"}})))

    worded = to_openai(shaped, json_schema=False)
    assert (sent(worded)["response_format"], worded.dropped) == ({"type": "json_object"}, ("text.format=json_object",))
    assert '"type":"object"' in sent(worded)["messages"][0]["content"]
    bare = to_openai(some, json_schema=False, json_object=False)
    assert ("response_format" in sent(bare), bare.dropped) == (False, ("text.format",))
    for out in (to_anthropic(shaped, json_schema=False), to_anthropic(some)):
        assert out.dropped == ("text.format",)
        assert "Answer with exactly one JSON" in sent(out)["system"][0]["text"]


@both
def test_a_conversation_that_ends_with_the_assistant_is_gone_on_with_or_refused(translate: Any) -> None:
    body = request(USER, {"role": "assistant", "content": "x "})

    assert sent(translate(body, prefill=True))["messages"][-1]["role"] == "assistant"
    with pytest.raises(TranslationError) as refused:
        translate(body, prefill=False)
    assert refused.value.param == "input.1"


def test_thinking_is_turned_off_where_a_verifying_upstream_would_miss_it() -> None:
    items = [USER, {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}]
    items.append({"type": "function_call_output", "call_id": "c", "output": "x"})
    body = request(*items, tools=[function()], reasoning={"effort": "high"})
    out = to_anthropic(body, thinking=Thinking.EFFORT, verify_signatures=True)

    assert sent(out)["thinking"] == {"type": "disabled"}
    assert "reasoning.effort" in out.dropped

    thought = {"type": "reasoning", "summary": [], "encrypted_content": sealed(Carried("why", "sig"))}
    kept = to_anthropic(
        request(USER, thought, *items[1:], reasoning={"effort": "high"}),
        thinking=Thinking.EFFORT,
        verify_signatures=True,
    )
    assert sent(kept)["thinking"] == {"type": "adaptive"}


def test_the_answer_says_the_request_again() -> None:
    tools = [function()]
    said = echoed(request(instructions="Be\nbrief.", tools=tools, metadata={"a": "b"}, temperature=0.5))

    assert (said["instructions"], said["tools"], said["metadata"]) == ("Be\nbrief.", tools, {"a": "b"})
    assert (said["temperature"], said["top_p"], said["truncation"]) == (0.5, 1.0, "disabled")
    assert echoed(request(metadata=None))["metadata"] == {}


def test_a_request_that_was_indented_for_people_is_said_again_in_one_line() -> None:
    body = msgspec.json.format(request(tools=[function()]), indent=2)

    assert echoed(body)["tools"] == [function()]
    assert echoed(body.replace(b"\n", b"\r\n"))["tools"] == [function()]


@pytest.mark.parametrize(
    ("reasoning", "summary"),
    [
        (None, False),
        ({}, False),
        ({"effort": "low"}, False),
        ({"summary": "auto"}, True),
        ({"generate_summary": "concise"}, True),
    ],
)
def test_the_answers_reasoning_is_shaped_as_asked(reasoning: Any, *, summary: bool) -> None:
    plain = to_anthropic(request(reasoning=reasoning)).context.responses
    carried = to_anthropic(request(include=["reasoning.encrypted_content"])).context.responses

    assert plain is not None
    assert carried is not None
    assert (plain.summary, plain.encrypted, carried.encrypted) == (summary, False, True)


@pytest.mark.promise("P-31")
@both
def test_whatever_is_wrong_with_a_body_is_translated_or_refused(translate: Any) -> None:
    spoiler = Spoiler(17)
    translated = 0
    for _ in range(600):
        body = spoiler.spoilt(RESPONSES_RICH)
        with contextlib.suppress(TranslationError):
            out = translate(body)
            translated += 1
            assert b"\n" not in out.context.responses.echo
            json.loads(out.body)
    assert 60 < translated < 540
