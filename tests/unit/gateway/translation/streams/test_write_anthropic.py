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
from services.gateway.translation.streams.write_anthropic import AnthropicWriter, write_anthropic_batch
from tests.support.playbook import Playbook
from tests.support.stream_validators import Seen, Tool, check_anthropic_stream

CONTEXT = ResponseContext(requested_model="claude-x")
START = Start("up-1", "glm-4.6")
TOOL: list[Event] = [ToolStart("t", "f"), ToolArguments('{"x":'), ToolArguments("1}"), ToolEnd()]
PING = b'event: ping\ndata: {"type":"ping"}\n\n'


def end(reason: StopReason = StopReason.END, **finish: Any) -> list[Event]:
    return [Finish(reason, **finish), End()]


def written(*events: Event) -> Seen:
    """What a client reads of some events and the end that they have or get."""
    ended = events and isinstance(events[-1], End | Failed)
    machine = AnthropicWriter(CONTEXT, request_id="req")
    stream = machine.write([START, *events, *([] if ended else end())])
    assert machine.finished
    return check_anthropic_stream(stream)


def frame(kind: str, fields: str) -> bytes:
    return f'event: {kind}\ndata: {{"type":"{kind}",{fields}}}\n\n'.encode()


def test_a_stream_to_the_byte() -> None:
    machine = AnthropicWriter(CONTEXT, request_id="req", input_tokens_estimate=17)
    counts = '"cache_creation_input_tokens":0,"cache_read_input_tokens":0'
    usage = f'"usage":{{"input_tokens":17,{counts},"output_tokens":0}}'

    assert (
        Playbook(machine)
        >> [START]
        << frame(
            "message_start",
            '"message":{"id":"msg_up-1","type":"message","role":"assistant","model":"claude-x","content":[],'
            '"stop_reason":null,"stop_sequence":null,' + usage + "}",
        )
        >> [ReasoningDelta("why"), TextDelta('"é"\n')]
        << frame("content_block_start", '"index":0,"content_block":{"type":"thinking","thinking":"","signature":""}')
        + frame("content_block_delta", '"index":0,"delta":{"type":"thinking_delta","thinking":"why"}')
        + frame("content_block_stop", '"index":0')
        + frame("content_block_start", '"index":1,"content_block":{"type":"text","text":""}')
        + frame("content_block_delta", '"index":1,"delta":{"type":"text_delta","text":"\\"é\\"\\n"}')
        >> [ToolStart("t", "f"), ToolArguments("{}"), ToolEnd()]
        << frame("content_block_stop", '"index":1')
        + frame("content_block_start", '"index":2,"content_block":{"type":"tool_use","id":"t","name":"f","input":{}}')
        + frame("content_block_delta", '"index":2,"delta":{"type":"input_json_delta","partial_json":"{}"}')
        + frame("content_block_stop", '"index":2')
        >> end(StopReason.TOOLS)
        << frame("message_delta", '"delta":{"stop_reason":"tool_use","stop_sequence":null},' + usage)
        + b'event: message_stop\ndata: {"type":"message_stop"}\n\n'
        >> [TextDelta("late")]
        << b""
    )


def test_b64_one_block_at_a_time_with_no_gap() -> None:
    seen = written(
        ReasoningDelta("r"),
        ReasoningDelta("s"),
        TextDelta("t"),
        TextDelta("u"),
        *TOOL,
        ToolStart("u", "g"),
        ToolEnd(),
        *end(StopReason.TOOLS),
    )

    assert [block["type"] for block in seen.blocks] == ["thinking", "text", "tool_use", "tool_use"]
    assert seen.tools == [Tool("t", "f", '{"x":1}'), Tool("u", "g", "")]
    assert seen.reason == "tool_use"


def test_b67_reasoning_after_a_call_is_a_new_block() -> None:
    seen = written(ReasoningDelta("a"), *TOOL, ReasoningDelta("b"), *end(StopReason.TOOLS))

    assert [block["type"] for block in seen.blocks] == ["thinking", "tool_use", "thinking"]


def test_signatures_end_their_block() -> None:
    seen = written(
        ReasoningStart(),
        ReasoningDelta("a"),
        Signature("s1"),
        ReasoningDelta("b"),
        ReasoningStart(),
        ReasoningDelta("c"),
        TextDelta("t"),
        ReasoningStart(),
        Signature("s2"),
        RedactedReasoning("x"),
        RedactedReasoning("y"),
    )

    assert seen.blocks == [
        {"type": "thinking", "thinking": "a", "signature": "s1"},
        {"type": "thinking", "thinking": "b", "signature": ""},
        {"type": "thinking", "thinking": "c", "signature": ""},
        {"type": "text", "text": "t"},
        {"type": "thinking", "thinking": "", "signature": "s2"},
        {"type": "redacted_thinking", "data": "x"},
        {"type": "redacted_thinking", "data": "y"},
    ]


def test_b53_an_answer_of_nothing_has_no_blocks() -> None:
    seen = written()

    assert seen.blocks == []
    assert seen.reason == "end_turn"


def test_b77_counts_are_told_once_at_the_end() -> None:
    seen = written(UsageSeen(Usage(input=1)), UsageSeen(Usage(input=20, cache_read=80, output=5, reasoning=2)))

    assert seen.usage == {
        "input_tokens": 20,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 80,
        "output_tokens": 5,
        "output_tokens_details": {"thinking_tokens": 2},
    }


def test_b92_a_ping_before_the_start_is_a_comment() -> None:
    machine = AnthropicWriter(CONTEXT)

    assert machine.ping() == b": keep-alive\n\n"
    assert not machine.started
    assert machine.write([START, Ping()]).endswith(PING)
    assert machine.started
    assert machine.ping() == PING


def test_a_failure_closes_the_open_block() -> None:
    seen = written(TextDelta("a"), Failed(Fault(status=502, message="broken")))

    assert seen.error == {"type": "api_error", "message": "broken"}
    assert check_anthropic_stream(AnthropicWriter(CONTEXT).write([Failed(Fault(status=429, message="slow"))])).error


@pytest.mark.parametrize(
    ("reason", "word"),
    [
        (StopReason.END, "end_turn"),
        (StopReason.LENGTH, "max_tokens"),
        (StopReason.PAUSE, "pause_turn"),
        (StopReason.CONTEXT_WINDOW, "model_context_window_exceeded"),
    ],
)
def test_reasons(reason: StopReason, word: str) -> None:
    assert written(TextDelta("a"), *end(reason)).reason == word


def test_b8_the_stop_sequence_is_told() -> None:
    seen = written(*end(StopReason.STOP_SEQUENCE, stop_sequence="END"))

    assert (seen.reason, seen.stop_sequence) == ("stop_sequence", "END")


def test_a_refusal_has_details() -> None:
    stream = AnthropicWriter(CONTEXT).write([START, TextDelta("no"), *end(StopReason.REFUSAL, refusal="no")])

    assert check_anthropic_stream(stream).reason == "refusal"
    assert b'"stop_details":{"type":"refusal","category":null,"explanation":"no"}' in stream


def test_b91_the_model_is_the_one_that_was_asked_for() -> None:
    assert written().model == "claude-x"
    unsaid = AnthropicWriter(ResponseContext(requested_model=""))
    assert check_anthropic_stream(unsaid.write([Start("msg_9", "glm"), *end()])).model == "glm"


def test_an_id_of_this_dialect_is_kept() -> None:
    assert check_anthropic_stream(AnthropicWriter(CONTEXT).write([Start("msg_9", "m"), *end()])).id == "msg_9"


def batch(*events: Event) -> dict[str, Any]:
    answer = fold([START, *events])
    assert isinstance(answer, Answer)
    body: dict[str, Any] = json.loads(write_anthropic_batch(answer, CONTEXT))
    return body


def test_b46_a_batch() -> None:
    counts = UsageSeen(Usage(input=20, cache_read=80, output=9))
    events = [ReasoningDelta("r"), Signature("s"), RedactedReasoning("x"), TextDelta("hi"), *TOOL]
    body = batch(counts, *events, *end(StopReason.TOOLS))

    assert body == {
        "id": "msg_up-1",
        "type": "message",
        "role": "assistant",
        "model": "claude-x",
        "content": [
            {"type": "thinking", "thinking": "r", "signature": "s"},
            {"type": "redacted_thinking", "data": "x"},
            {"type": "text", "text": "hi"},
            {"type": "tool_use", "id": "t", "name": "f", "input": {"x": 1}},
        ],
        "stop_reason": "tool_use",
        "stop_sequence": None,
        "usage": {
            "input_tokens": 20,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 80,
            "output_tokens": 9,
        },
    }


def test_b50_reasoning_alone_has_no_text_beside_it() -> None:
    assert batch(ReasoningDelta("r"), *end())["content"] == [{"type": "thinking", "thinking": "r", "signature": ""}]


def test_b52_a_batch_of_nothing_has_an_empty_text() -> None:
    assert batch(*end())["content"] == [{"type": "text", "text": ""}]


def test_a_call_that_was_cut_does_not_run() -> None:
    cut: list[Event] = [ToolStart("u", "g"), ToolArguments('{"path":"/'), ToolEnd()]
    body = batch(*TOOL, *cut, *end(StopReason.LENGTH))

    assert [block["id"] for block in body["content"]] == ["t"]
    assert body["stop_reason"] == "max_tokens"
    assert batch(*cut, *end(StopReason.LENGTH))["content"] == [{"type": "text", "text": ""}]


def test_b49_a_call_that_is_broken_otherwise_keeps_its_text() -> None:
    [block] = batch(ToolStart("u", "g"), ToolArguments('{"a":1}garbage'), ToolEnd(), *end(StopReason.TOOLS))["content"]

    assert block["input"] == {"__raw_arguments": '{"a":1}garbage'}


def test_a_refused_batch_has_details() -> None:
    assert batch(*end(StopReason.REFUSAL, refusal="no"))["stop_details"]["explanation"] == "no"
