import json
from typing import Any

import pytest

from services.gateway.translation.context import ResponseContext
from services.gateway.translation.fault import Fault
from services.gateway.translation.streams.events import (
    End,
    Event,
    Failed,
    Finish,
    Ping,
    ReasoningDelta,
    ReasoningStart,
    RedactedReasoning,
    Signature,
    Start,
    StopReason,
    TextDelta,
    ToolArguments,
    ToolEnd,
    ToolStart,
    Usage,
    UsageSeen,
)
from services.gateway.translation.streams.fold import Answer, fold
from services.gateway.translation.streams.write_openai import OpenAIWriter, write_openai_batch
from tests.support.playbook import Playbook
from tests.support.stream_validators import Seen, Tool, check_openai_stream

START = Start("msg_1", "glm-4.6")
TOOL: list[Event] = [ToolStart("t", "f"), ToolArguments('{"x":'), ToolArguments("1}"), ToolEnd()]


def writer(**context: Any) -> OpenAIWriter:
    return OpenAIWriter(ResponseContext(requested_model="gpt-x", **context), created=7, request_id="req")


def end(reason: StopReason = StopReason.END, **finish: Any) -> list[Event]:
    return [Finish(reason, **finish), End()]


def written(*events: Event, **context: Any) -> Seen:
    """What a client reads of some events and the end that they have or get."""
    ended = events and isinstance(events[-1], End | Failed)
    machine = writer(**context)
    stream = machine.write([START, *events, *([] if ended else end())])
    assert machine.finished
    usage, legacy = context.get("include_usage", False), context.get("legacy_functions", False)
    return check_openai_stream(stream, include_usage=usage, legacy=legacy)


def chunk(choice: str) -> bytes:
    head = b'data: {"id":"chatcmpl-msg_1","object":"chat.completion.chunk","created":7,"model":"gpt-x","choices":['
    return head + choice.encode() + b"]}\n\n"


def test_b130_a_stream_to_the_byte() -> None:
    machine = writer()

    assert (
        Playbook(machine)
        >> [START]
        << chunk('{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}')
        >> [ReasoningDelta("why\n"), TextDelta('"é"')]
        << chunk('{"index":0,"delta":{"reasoning_content":"why\\n"},"finish_reason":null}')
        + chunk('{"index":0,"delta":{"content":"\\"é\\""},"finish_reason":null}')
        >> [ToolStart("t", "f"), ToolArguments("{}")]
        << chunk(
            '{"index":0,"delta":{"tool_calls":[{"index":0,"id":"t","type":"function",'
            '"function":{"name":"f","arguments":""}}]},"finish_reason":null}'
        )
        + chunk('{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{}"}}]},"finish_reason":null}')
        >> [ToolEnd()]
        << b""
        >> end(StopReason.TOOLS)
        << chunk('{"index":0,"delta":{},"finish_reason":"tool_calls"}') + b"data: [DONE]\n\n"
        >> [TextDelta("late")]
        << b""
    )
    assert machine.started
    assert machine.finished


def test_b128_calls_are_numbered_from_0_whatever_stands_before_them() -> None:
    seen = written(TextDelta("a"), *TOOL, ToolStart("u", "g"), ToolEnd(), *end(StopReason.TOOLS))

    assert seen.tools == [Tool("t", "f", '{"x":1}'), Tool("u", "g", "{}")]
    assert seen.reason == "tool_calls"


def test_b133_no_usage_unless_it_was_asked_for() -> None:
    assert written(UsageSeen(Usage(input=1))).usage is None


def test_b134_usage_is_the_last_chunk() -> None:
    seen = written(
        UsageSeen(Usage(input=1)), UsageSeen(Usage(input=3883, cache_read=30464, output=9)), include_usage=True
    )

    assert seen.usage is not None
    assert (seen.usage["prompt_tokens"], seen.usage["completion_tokens"]) == (34347, 9)
    unsaid = written(include_usage=True).usage
    assert unsaid is not None
    assert unsaid["total_tokens"] == 0


def test_b137_a_ping_is_a_comment() -> None:
    machine = writer()

    assert machine.ping() == b": keep-alive\n\n"
    assert machine.write([START, Ping()]).endswith(b"\n\n: keep-alive\n\n")
    assert written(Ping(), TextDelta("a")).text == "a"


def test_what_has_no_place_here_is_nothing() -> None:
    seen = written(ReasoningStart(), ReasoningDelta("r"), Signature("s"), RedactedReasoning("x"), TextDelta("t"))

    assert (seen.reasoning, seen.text) == ("r", "t")


@pytest.mark.parametrize(
    ("reason", "word"),
    [
        (StopReason.END, "stop"),
        (StopReason.STOP_SEQUENCE, "stop"),
        (StopReason.LENGTH, "length"),
        (StopReason.CONTEXT_WINDOW, "length"),
        (StopReason.PAUSE, "stop"),
    ],
)
def test_b143_reasons(reason: StopReason, word: str) -> None:
    assert written(TextDelta("a"), *end(reason)).reason == word
    extra = b'"x_stop_reason":"pause_turn"'
    assert (extra in writer().write([START, *end(reason)])) is (reason is StopReason.PAUSE)


def test_b142_a_refusal_without_text_explains_itself() -> None:
    refused = written(*end(StopReason.REFUSAL, refusal="no"))

    assert (refused.reason, refused.refusal, refused.text) == ("content_filter", "no", "")
    assert written(*end(StopReason.REFUSAL)).refusal == "The model declined to answer."
    assert written(TextDelta("no"), *end(StopReason.REFUSAL, refusal="no")).refusal == ""


def test_b136_a_failure_is_one_error_and_no_done() -> None:
    seen = written(TextDelta("a"), Failed(Fault(status=502, message="broken", code="upstream_truncated")))

    assert seen.text == "a"
    assert seen.error == {
        "message": "broken",
        "type": "server_error",
        "param": None,
        "code": "upstream_truncated",
    }
    assert check_openai_stream(writer().write([Failed(Fault(status=429, message="slow"))])).error is not None


def test_b122_a_client_of_the_old_protocol_gets_its_one_call() -> None:
    seen = written(
        *TOOL, ToolStart("u", "g"), ToolArguments("{}"), ToolEnd(), *end(StopReason.TOOLS), legacy_functions=True
    )

    assert seen.tools == [Tool("", "f", '{"x":1}')]
    assert seen.reason == "function_call"
    assert written(ToolStart("t", "f"), ToolEnd(), *end(StopReason.TOOLS), legacy_functions=True).tools == [
        Tool("", "f", "{}")
    ]


def test_b91_the_model_is_the_one_that_was_asked_for() -> None:
    assert written().model == "gpt-x"
    unsaid = OpenAIWriter(ResponseContext(requested_model=""), created=7)
    assert check_openai_stream(unsaid.write([START, *end()])).model == "glm-4.6"


def test_an_id_of_this_dialect_is_kept() -> None:
    assert check_openai_stream(writer().write([Start("chatcmpl-9", "m"), *end()])).id == "chatcmpl-9"


def batch(*events: Event, **context: Any) -> dict[str, Any]:
    answer = fold([START, *events])
    assert isinstance(answer, Answer)
    body: dict[str, Any] = json.loads(
        write_openai_batch(answer, ResponseContext(requested_model="gpt-x", **context), created=7)
    )
    return body


def test_b125_a_batch() -> None:
    counts = UsageSeen(Usage(input=3, output=9))
    body = batch(
        counts, ReasoningDelta("r"), Signature("s"), TextDelta("A"), RedactedReasoning("x"), TextDelta("B"), *TOOL,
        ToolStart("u", "g"), ToolEnd(), *end(StopReason.TOOLS),
    )  # fmt: skip

    assert body == {
        "id": "chatcmpl-msg_1",
        "object": "chat.completion",
        "created": 7,
        "model": "gpt-x",
        "choices": [
            {
                "index": 0,
                "message": {
                    "role": "assistant",
                    "content": "AB",
                    "refusal": None,
                    "reasoning_content": "r",
                    "tool_calls": [
                        {"id": "t", "type": "function", "function": {"name": "f", "arguments": '{"x":1}'}},
                        {"id": "u", "type": "function", "function": {"name": "g", "arguments": "{}"}},
                    ],
                },
                "logprobs": None,
                "finish_reason": "tool_calls",
            }
        ],
        "usage": {
            "prompt_tokens": 3,
            "completion_tokens": 9,
            "total_tokens": 12,
            "prompt_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        },
    }


def test_a_batch_without_text_or_calls() -> None:
    [choice] = batch(*end())["choices"]

    assert choice["message"] == {"role": "assistant", "content": None, "refusal": None}


def test_b142_b143_b122_a_batch_ends_as_a_stream_does() -> None:
    [refused] = batch(*end(StopReason.REFUSAL, refusal="no"))["choices"]
    assert (refused["message"]["refusal"], refused["finish_reason"]) == ("no", "content_filter")
    [silent] = batch(*end(StopReason.REFUSAL))["choices"]
    assert silent["message"]["refusal"] == "The model declined to answer."
    [paused] = batch(TextDelta("a"), *end(StopReason.PAUSE))["choices"]
    assert (paused["finish_reason"], paused["x_stop_reason"]) == ("stop", "pause_turn")
    [called] = batch(*TOOL, *end(StopReason.TOOLS), legacy_functions=True)["choices"]
    assert called["message"]["function_call"] == {"name": "f", "arguments": '{"x":1}'}
    assert "tool_calls" not in called["message"]
    assert called["finish_reason"] == "function_call"
