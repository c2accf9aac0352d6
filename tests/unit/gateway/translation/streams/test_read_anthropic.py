import json
from typing import Any

import pytest

from services.gateway.translation.context import ResponseContext
from services.gateway.translation.errors import read_fault
from services.gateway.translation.streams import faults
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
from services.gateway.translation.streams.read_anthropic import AnthropicReader, read_anthropic_batch
from tests.support.frames import (
    DONE,
    block_delta,
    block_start,
    block_stop,
    data,
    event,
    message_end,
    message_start,
    text_block,
    tool_block,
)
from tests.support.playbook import EOF, Playbook

START = Start("msg_up", "glm-4.6")
FIRST = UsageSeen(Usage(input=3, output=1))
LAST = UsageSeen(Usage(input=3, output=9))


def reader(**context: Any) -> AnthropicReader:
    return AnthropicReader(ResponseContext(requested_model="m", **context), lambda prefix: prefix + "new", limit=10_000)


def ended(reason: StopReason = StopReason.END, *, stop_sequence: str | None = None) -> list[Event]:
    return [Finish(reason, stop_sequence), End()]


def read(*frames: bytes) -> list[Event]:
    """The events of a whole stream, but for the start and the usual counts."""
    machine = reader()
    events = machine.feed(message_start() + b"".join(frames)) + machine.eof()
    assert events[:2] == [START, FIRST]
    assert machine.ended
    return [event for event in events[2:] if event != LAST]


def test_text_comes_as_it_comes() -> None:
    machine = reader()

    assert (
        Playbook(machine)
        >> event("ping") + message_start()
        << [START, FIRST]
        >> block_start(0, "text") + event("ping")
        << [Ping()]
        >> block_delta(0, "text_delta", text="Hel") + block_delta(0, "text_delta", text="lo")
        << [TextDelta("Hel"), TextDelta("lo")]
        >> block_stop(0) + message_end()
        << [LAST, *ended()]
        >> text_block(1, "more")
        << []
        >> EOF
        << []
    )
    assert machine.usage == Usage(input=3, output=9)


def test_b128_b139_tool_calls_with_and_without_deltas() -> None:
    frames = [
        text_block(0, "a"),
        tool_block(1, "t1", "f", '{"x"', ":1}"),
        block_start(2, "tool_use", id="t2", name="g", input={"y": "é"}) + block_stop(2),
        tool_block(3, "t3", "h", ""),
    ]

    assert read(*frames, message_end("tool_use")) == [
        TextDelta("a"),
        ToolStart("t1", "f"),
        ToolArguments('{"x"'),
        ToolArguments(":1}"),
        ToolEnd(),
        ToolStart("t2", "g"),
        ToolArguments('{"y": "é"}'),
        ToolEnd(),
        ToolStart("t3", "h"),
        ToolEnd(),
        *ended(StopReason.TOOLS),
    ]


def test_an_input_on_the_start_is_ignored_if_deltas_follow() -> None:
    started = block_start(0, "tool_use", id="t", name="f", input={"y": 2})
    delta = block_delta(0, "input_json_delta", partial_json='{"x":1}')

    assert read(started, delta, block_stop(0), message_end("tool_use")) == [
        ToolStart("t", "f"),
        ToolArguments('{"x":1}'),
        ToolEnd(),
        *ended(StopReason.TOOLS),
    ]


def test_b140_interleaved_blocks_are_told_apart_by_their_index() -> None:
    frames = [
        block_start(0, "tool_use", id="t0", name="f"),
        block_start(1, "tool_use", id="t1", name="g"),
        block_start(2, "text"),
        block_delta(1, "input_json_delta", partial_json='{"b":'),
        block_delta(0, "input_json_delta", partial_json='{"a":'),
        block_delta(2, "text_delta", text="text"),
        block_delta(1, "input_json_delta", partial_json="2}"),
        block_stop(1),
        block_delta(0, "input_json_delta", partial_json="1"),
        block_delta(0, "input_json_delta", partial_json="}"),
        block_stop(2),
        block_stop(0),
    ]

    assert read(*frames, message_end("end_turn")) == [
        ToolStart("t0", "f"),
        ToolArguments('{"a":'),
        ToolArguments("1"),
        ToolArguments("}"),
        ToolEnd(),
        TextDelta("text"),
        ToolStart("t1", "g"),
        ToolArguments('{"b":2}'),
        ToolEnd(),
        *ended(StopReason.TOOLS),
    ]


def test_b127_reasoning_with_its_blocks_and_signatures() -> None:
    frames = [
        block_start(0, "thinking"),
        block_delta(0, "thinking_delta", thinking="a"),
        block_delta(0, "thinking_delta", thinking="b"),
        block_delta(0, "signature_delta", signature="s1"),
        block_stop(0),
        block_start(1, "thinking", thinking="c", signature="s2") + block_stop(1),
        block_start(2, "thinking") + block_delta(2, "signature_delta", signature="s3") + block_stop(2),
        block_start(3, "thinking", signature="s4") + block_stop(3),
        block_start(4, "redacted_thinking", data="x") + block_stop(4),
    ]

    assert read(*frames, message_end()) == [
        ReasoningStart(),
        ReasoningDelta("a"),
        ReasoningDelta("b"),
        Signature("s1"),
        ReasoningStart(),
        ReasoningDelta("c"),
        Signature("s2"),
        ReasoningStart(),
        Signature("s3"),
        ReasoningStart(),
        Signature("s4"),
        RedactedReasoning("x"),
        *ended(),
    ]


def test_an_empty_block_of_reasoning_is_none() -> None:
    assert read(block_start(0, "thinking") + block_stop(0), message_end()) == ended()


def test_a_delta_counts_by_its_own_type() -> None:
    frames = [
        block_start(0, "text", text="a"),
        block_delta(0, "thinking_delta", thinking="b"),
        block_stop(0),
        block_start(1, "thinking"),
        block_delta(1, "text_delta", text="c"),
        block_stop(1),
        block_delta(2, "text_delta", text="d"),
        block_delta(3, "thinking_delta", thinking="e"),
        block_stop(9),
    ]

    assert read(*frames, message_end()) == [
        TextDelta("a"),
        ReasoningDelta("b"),
        TextDelta("c"),
        TextDelta("d"),
        ReasoningStart(),
        ReasoningDelta("e"),
        *ended(),
    ]


def test_b148_what_the_future_brings_is_passed_over() -> None:
    frames = [
        text_block(0, "a"),
        block_delta(0, "compaction_delta", content="x"),
        block_start(1, "server_tool_use", id="s", name="web_search", input={"q": 1}),
        block_delta(1, "input_json_delta", partial_json='{"q":1}'),
        block_stop(1),
        block_start(2, "web_search_tool_result", content=[]) + block_delta(2, "text_delta", text="x") + block_stop(2),
        block_start(3, "text") + block_delta(3, "citations_delta", citation={}) + block_stop(3),
        block_delta(3, "signature_delta", signature="x") + block_delta(4, "new", thinking="x"),
        event("future", x=1),
        event("content_block_delta", index=3, delta=None) + event("message_delta", delta=None, usage=None),
        b"data: {}\n\n",
    ]

    assert read(*frames, message_end()) == [TextDelta("a"), ReasoningStart(), Signature("x"), *ended()]


def test_b131_counts_are_overwritten() -> None:
    machine = reader()
    events = machine.feed(
        message_start(input_tokens=34824) + message_end(input_tokens=3883, cache_read_input_tokens=30464)
    )

    assert [event.usage for event in events if isinstance(event, UsageSeen)] == [
        Usage(input=34824),
        Usage(input=3883, cache_read=30464),
    ]


def test_b130_a_second_message_start_is_not_a_second_start() -> None:
    assert read(message_start(), text_block(0, "a"), message_end()) == [TextDelta("a"), *ended()]


def test_an_answer_without_message_start_begins_with_its_content() -> None:
    machine = reader()
    assert machine.feed(block_delta(0, "text_delta", text="a")) == [Start("new", ""), TextDelta("a")]
    machine = reader()
    assert machine.feed(text_block(0, "a"))[0] == Start("new", "")
    machine = reader()
    assert machine.feed(message_end())[0] == Start("new", "")
    machine = reader()
    assert machine.feed(event("message_start")) == [Start("new", "")]


def test_the_name_of_an_event_counts_where_the_type_is_missing() -> None:
    machine = reader()
    machine.feed(message_start())
    frame = b'event: content_block_delta\ndata: {"index":0,"delta":{"type":"text_delta","text":"a"}}\n\n'

    assert machine.feed(frame) == [TextDelta("a")]
    assert machine.feed(b"event: content_block_delta\ndata: {}\n\n") == []
    assert machine.feed(b"event: content_block_start\ndata: {}\n\n") == []
    assert machine.feed(b'event: ping\ndata: {"type":"message_stop"}\n\n') == ended()


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("stop_sequence", StopReason.STOP_SEQUENCE),
        ("max_tokens", StopReason.LENGTH),
        ("pause_turn", StopReason.PAUSE),
        ("tool_use", StopReason.END),
        ("strange", StopReason.END),
        (None, StopReason.END),
    ],
)
def test_reasons(said: str | None, reason: StopReason) -> None:
    assert read(text_block(0, "a"), message_end(said, sequence="END")) == [
        TextDelta("a"),
        *ended(reason, stop_sequence="END" if said == "stop_sequence" else None),
    ]


def test_b142_a_refusal_has_its_explanation() -> None:
    def refused(details: Any) -> list[Event]:
        delta = {"stop_reason": "refusal", "stop_sequence": None, "stop_details": details}
        return read(event("message_delta", delta=delta), event("message_stop"))

    assert refused({"type": "refusal", "explanation": "no"}) == [Finish(StopReason.REFUSAL, None, "no"), End()]
    assert refused({"explanation": 5}) == refused(None) == ended(StopReason.REFUSAL)


def test_b136_an_end_without_a_reason_is_a_cut_and_with_one_it_is_not() -> None:
    reason = event("message_delta", delta={"stop_reason": "end_turn"}, usage={"output_tokens": 9})

    assert read(text_block(0, "a")) == [TextDelta("a"), Failed(faults.TRUNCATED)]
    assert read(text_block(0, "a"), DONE) == [TextDelta("a"), Failed(faults.TRUNCATED)]
    assert read(text_block(0, "a"), reason) == [TextDelta("a"), *ended()]
    assert read(text_block(0, "a"), reason, DONE) == [TextDelta("a"), *ended()]
    machine = reader()
    machine.feed(message_start())
    assert not machine.settled
    machine.feed(reason)
    assert machine.settled


def test_nothing_is_an_error() -> None:
    machine = reader()
    assert machine.feed(b"") + machine.eof() == [Failed(faults.NO_DATA)]
    machine = reader()
    assert machine.feed(event("message_stop")) == [Failed(faults.NO_DATA)]


def test_a_reason_can_be_a_failure() -> None:
    assert read(text_block(0, "a"), message_end("network_error")) == [TextDelta("a"), Failed(faults.INFERENCE)]


@pytest.mark.parametrize(
    "body",
    [
        {"type": "error", "error": {"type": "overloaded_error", "message": "busy"}},
        {"error": {"message": "slow down", "type": "1302"}},
        {"code": 3007, "msg": "captcha"},
        {"code": "1302", "message": "slow down"},
    ],
)
def test_b145_an_error_is_read_in_any_of_its_shapes(body: dict[str, Any]) -> None:
    failed = Failed(read_fault(200, json.dumps(body).encode()))
    machine = reader()

    assert machine.feed(data(body)) == [failed]
    assert read(text_block(0, "a"), data(body)) == [TextDelta("a"), failed]


@pytest.mark.parametrize("frame", [b'data: {"type":"con\n\n', b"data: hello\n\n", b'data: {"index":"x"}\n\n'])
def test_a_frame_that_is_no_event_is_an_error(frame: bytes) -> None:
    assert read(frame) == [Failed(faults.NOT_JSON)]


def test_a_frame_with_impossible_characters_is_read() -> None:
    frame = b'data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"a\xff"}}\n\n'

    assert read(frame, message_end()) == [TextDelta("a�"), *ended()]


def batch(content: Any, reason: str | None = "end_turn", **top: Any) -> list[Event]:
    body = {"id": "msg_up", "model": "glm-4.6", "content": content, "stop_reason": reason} | top
    return read_anthropic_batch(json.dumps(body).encode(), ResponseContext(requested_model="m"), lambda prefix: prefix)


def test_a_batch_is_read_block_by_block() -> None:
    content = [
        {"type": "thinking", "thinking": "why", "signature": "s"},
        {"type": "redacted_thinking", "data": "x"},
        {"type": "text", "text": "A"},
        {"type": "text", "text": "B"},
        {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}},
        {"type": "tool_use", "id": "t", "name": "f", "input": {"x": [1, 2]}},
        {"type": "tool_use", "id": "u", "name": "g", "input": {}},
    ]

    assert batch(content, "tool_use", usage={"input_tokens": 3, "output_tokens": 1}) == [
        START,
        FIRST,
        ReasoningStart(),
        ReasoningDelta("why"),
        Signature("s"),
        RedactedReasoning("x"),
        TextDelta("A"),
        TextDelta("B"),
        ToolStart("t", "f"),
        ToolArguments('{"x": [1, 2]}'),
        ToolEnd(),
        ToolStart("u", "g"),
        ToolEnd(),
        *ended(StopReason.TOOLS),
    ]


def test_a_batch_without_content_or_with_an_error_in_its_place() -> None:
    assert batch([], None) == [START, *ended()]
    error = {"error": {"message": "no money", "type": "1113"}}
    [event] = batch(None, **error)
    assert isinstance(event, Failed)
    assert event.fault.upstream_code == "1113"
    assert batch(None) == [Failed(faults.BODY_NOT_JSON)]
    assert batch([{"type": 5}], error={"code": "1302"}) == [
        Failed(read_fault(200, b'{"content":[{"type":5}],"error":{"code":"1302"}}'))
    ]


@pytest.mark.parametrize("body", [b"{", b"[]", b"hello"])
def test_b146_a_body_that_is_no_answer_is_an_error(body: bytes) -> None:
    assert read_anthropic_batch(body, ResponseContext(requested_model="m"), str) == [Failed(faults.BODY_NOT_JSON)]


def test_a_batch_body_under_the_wrong_content_type_is_read() -> None:
    machine = reader()
    machine.feed(b' {"content":[{"type":"text","text":"a"}],"stop_reason":"end_turn"}')

    assert machine.eof() == [Start("new", ""), TextDelta("a"), *ended()]
