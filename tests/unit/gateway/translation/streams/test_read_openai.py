import json
from collections.abc import Mapping
from typing import Any

import pytest

from services.gateway.translation.context import ResponseContext
from services.gateway.translation.errors import read_fault
from services.gateway.translation.fault import Fault
from services.gateway.translation.streams import faults
from services.gateway.translation.streams.events import (
    End,
    Event,
    Failed,
    Finish,
    ReasoningDelta,
    Start,
    StopReason,
    TextDelta,
    ToolArguments,
    ToolEnd,
    ToolStart,
    Usage,
    UsageSeen,
)
from services.gateway.translation.streams.read_openai import OpenAIReader, read_openai_batch
from tests.support.frames import DONE, call, calls, chunk, data
from tests.support.playbook import EOF, Playbook

START = Start("up-1", "glm-4.6")


def reader(**context: Any) -> OpenAIReader:
    return OpenAIReader(ResponseContext(requested_model="m", **context), lambda prefix: prefix + "new", limit=10_000)


def ended(reason: StopReason = StopReason.END, *, stop_sequence: str | None = None) -> list[Event]:
    return [Finish(reason, stop_sequence), End()]


def failed(body: Mapping[str, Any]) -> list[Event]:
    return [Failed(read_fault(200, json.dumps(body).encode()))]


def read(*frames: bytes, **context: Any) -> list[Event]:
    """The events of a whole stream, but for the start."""
    machine = reader(**context)
    start, *events = machine.feed(b"".join(frames)) + machine.eof()
    assert start == START
    assert machine.ended
    return events


def test_text_comes_as_it_comes() -> None:
    machine = reader()

    assert not machine.started
    assert (
        Playbook(machine)
        >> chunk({"role": "assistant", "content": ""})
        << [START]
        >> chunk({"content": "Hel"}) + chunk({"content": "lo"})
        << [TextDelta("Hel"), TextDelta("lo")]
        >> chunk({}, "stop")
        << []
        >> DONE
        << ended()
        >> chunk({"content": "more"})
        << []
        >> EOF
        << []
    )
    assert machine.started
    assert machine.ended


def test_parts_of_one_chunk_come_in_a_fixed_order() -> None:
    delta = {"tool_calls": [call(0, "{ }", name="f", call_id="a")], "content": "text", "reasoning_content": "why"}

    assert read(chunk(delta, "tool_calls", usage={"completion_tokens": 5}), DONE) == [
        ReasoningDelta("why"),
        TextDelta("text"),
        ToolStart("a", "f"),
        ToolArguments("{ }"),
        ToolEnd(),
        UsageSeen(Usage(output=5)),
        *ended(StopReason.TOOLS),
    ]


def test_b89_blank_reasoning_opens_nothing() -> None:
    frames = [chunk({"reasoning_content": "\n"}), chunk({"reasoning": " "}), chunk({"content": "a"})]

    assert read(*frames, chunk({"reasoning": "\n"}, "stop"), DONE) == [TextDelta("a"), *ended()]


def test_blank_reasoning_is_kept_where_more_follows() -> None:
    frames = [chunk({"reasoning": text}) for text in ("\n", "a", "\n", "b")]

    assert read(*frames, chunk({}, "stop"), DONE) == [
        ReasoningDelta("\na"),
        ReasoningDelta("\n"),
        ReasoningDelta("b"),
        *ended(),
    ]


def test_b65_blank_text_between_calls_is_ignored_and_at_the_start_kept() -> None:
    first, second = (calls(call(index, "{ }", name="f", call_id=f"c{index}")) for index in (0, 1))
    frames = [chunk({"content": "\n"}), first, chunk({"content": "\n"}), second, chunk({"content": " "})]

    assert read(*frames, chunk({}, "stop"), DONE) == [
        TextDelta("\n"),
        ToolStart("c0", "f"),
        ToolArguments("{ }"),
        ToolEnd(),
        ToolStart("c1", "f"),
        ToolArguments("{ }"),
        ToolEnd(),
        *ended(StopReason.TOOLS),
    ]


def test_text_between_calls_waits_for_the_first() -> None:
    frames = [
        calls(call(0, '{"a":', name="f", call_id="a")),
        chunk({"content": "text"}),
        calls(call(0, "1}")),
        chunk({"content": " "}),
        chunk({"reasoning_content": "why"}),
        chunk({"reasoning_content": " "}),
    ]

    assert read(*frames, chunk({}, "tool_calls"), DONE) == [
        ToolStart("a", "f"),
        ToolArguments('{"a":'),
        ToolArguments("1}"),
        ToolEnd(),
        TextDelta("text"),
        TextDelta(" "),
        ReasoningDelta("why"),
        ReasoningDelta(" "),
        *ended(StopReason.TOOLS),
    ]


def test_b74_null_and_missing_arguments_are_nothing() -> None:
    fragments = [{"index": 0, "id": "a", "function": {"name": "f", "arguments": None}}, {"index": 0}]
    frames = [chunk({"tool_calls": [fragment]}) for fragment in fragments]

    assert read(*frames, chunk({}, "tool_calls"), DONE) == [ToolStart("a", "f"), ToolEnd(), *ended(StopReason.TOOLS)]


def test_b71_only_an_unnamed_call_is_an_error() -> None:
    frames = [calls(call(0, "{}", name="", call_id="a")), chunk({}, "tool_calls"), DONE]

    assert read(*frames) == [Failed(faults.UNNAMED_TOOL)]
    assert read(chunk({"content": "hi"}), *frames) == [TextDelta("hi"), *ended()]


def test_the_old_protocol_has_one_call() -> None:
    frames = [chunk({"function_call": {"name": "f", "arguments": ""}}), chunk({"function_call": {"arguments": "{ }"}})]

    assert read(*frames, chunk({}, "function_call"), DONE) == [
        ToolStart("toolu_new", "f"),
        ToolArguments("{ }"),
        ToolEnd(),
        *ended(StopReason.TOOLS),
    ]


def test_a_refusal_is_text_and_the_reason() -> None:
    assert read(chunk({"refusal": "I "}), chunk({"refusal": "won't"}), chunk({}, "stop"), DONE) == [
        TextDelta("I "),
        TextDelta("won't"),
        Finish(StopReason.REFUSAL, None, "I won't"),
        End(),
    ]


@pytest.mark.parametrize("field", ["stop_reason", "matched_stop"])
def test_a_stop_sequence_that_the_server_names_is_told(field: str) -> None:
    choice = {"index": 0, "delta": {}, "finish_reason": "stop"}

    assert read(data({"id": "up-1", "model": "glm-4.6", "choices": [choice | {field: "END"}]}), DONE) == ended(
        StopReason.STOP_SEQUENCE, stop_sequence="END"
    )
    assert read(data({"id": "up-1", "model": "glm-4.6", "choices": [choice | {field: 151643}]}), DONE) == ended()


def test_b77_counts_on_every_chunk_are_told_when_they_change() -> None:
    counted = [chunk({"content": "a"}, usage={"completion_tokens": number}) for number in (1, 2, 2)]

    assert read(*counted, chunk({}, "stop", usage={}), DONE) == [
        TextDelta("a"),
        UsageSeen(Usage(output=1)),
        TextDelta("a"),
        UsageSeen(Usage(output=2)),
        TextDelta("a"),
        *ended(),
    ]


def test_b76_counts_after_the_reason_in_one_read_are_kept() -> None:
    machine = reader()
    machine.feed(chunk({"content": "a"}))

    assert not machine.settled
    assert machine.feed(chunk({}, "stop") + chunk(usage={"prompt_tokens": 4})) == [UsageSeen(Usage(input=4))]
    assert machine.settled
    assert machine.usage == Usage(input=4)
    assert machine.feed(data({"usage": {"prompt_tokens": 5}})) == [UsageSeen(Usage(input=5))]


def test_b80_a_reason_and_the_end_of_the_stream_are_enough() -> None:
    assert read(chunk({"content": "a"}), chunk({}, "stop")) == [TextDelta("a"), *ended()]


def test_b94_content_after_the_reason_is_read() -> None:
    assert read(chunk({}, "stop"), chunk({"content": "late"}), DONE) == [TextDelta("late"), *ended()]


@pytest.mark.parametrize("ending", [b"", DONE])
def test_b79_an_end_without_a_reason_is_a_cut(ending: bytes) -> None:
    assert read(chunk({"content": "a"}), ending) == [TextDelta("a"), Failed(faults.TRUNCATED)]


def test_an_unknown_reason_counts_if_the_upstream_says_that_it_is_done() -> None:
    assert read(chunk({}, "eos"), DONE) == ended()
    assert read(chunk({}, "eos")) == [Failed(faults.TRUNCATED)]


@pytest.mark.parametrize("reason", ["network_error", "error"])
def test_b55_a_reason_can_be_a_failure(reason: str) -> None:
    assert read(chunk({"content": "a"}, reason), DONE) == [TextDelta("a"), Failed(faults.INFERENCE)]


@pytest.mark.parametrize("stream", [b"", b": comment\n\n", DONE])
def test_b83_nothing_is_an_error(stream: bytes) -> None:
    machine = reader()

    assert machine.feed(stream) + machine.eof() == [Failed(faults.NO_DATA)]


@pytest.mark.parametrize(
    "body",
    [
        {"error": {"code": "1302", "message": "slow down"}},
        {"error": "text"},
        {"code": 3007, "msg": "captcha"},
        {"error": {"message": "no"}, "choices": []},
    ],
)
def test_b82_an_error_as_the_first_frame_is_all_there_is(body: dict[str, Any]) -> None:
    machine = reader()

    assert machine.feed(data(body) + DONE) == failed(body)
    assert not machine.started
    assert machine.ended


def test_an_error_can_come_later_and_is_read_as_told() -> None:
    fault = Fault(status=418, message="given")
    machine = OpenAIReader(ResponseContext(requested_model="m"), str, fault_of=lambda _: fault)

    assert machine.feed(chunk({"content": "a"}) + data({"error": {}}) + data({"error": {"code": 1}})) == [
        START,
        TextDelta("a"),
        Failed(fault),
    ]


@pytest.mark.parametrize("frame", [b'data: {"choices":[{"del\n\n', b"data: hello\n\n", b"data: []\n\n"])
def test_a_frame_that_is_no_chunk_is_an_error(frame: bytes) -> None:
    assert read(chunk({"content": "a"}), frame) == [TextDelta("a"), Failed(faults.NOT_JSON)]


def test_a_misspelt_chunk_is_read() -> None:
    assert read(chunk({"content": [{"type": "text", "text": "a"}]}), chunk({}, "stop"), DONE) == [
        TextDelta("a"),
        *ended(),
    ]


def test_frames_without_choices_and_other_choices_are_passed_over() -> None:
    other = {"id": "up-1", "model": "glm-4.6", "choices": [{"index": 1, "delta": {"content": "no"}}]}
    machine = reader()

    assert machine.feed(data({"type": "ping"})) == []
    assert machine.feed(data(other)) == [START]
    assert machine.feed(data({"id": "x", "choices": [{"index": 0, "finish_reason": "stop"}]}) + DONE) == ended()


def test_an_event_above_the_limit_is_an_error() -> None:
    assert read(chunk({"content": "a"}), chunk({"content": "b" * 10_000})) == [
        TextDelta("a"),
        Failed(faults.TOO_LARGE),
    ]


def test_what_the_upstream_left_out_is_made_up() -> None:
    machine = reader()

    assert machine.feed(data({"choices": []})) == [Start("new", "")]


def test_a_batch_body_under_the_wrong_content_type_is_read() -> None:
    error = {"error": {"code": "1302", "message": "slow down"}}
    machine = reader()
    assert machine.feed(json.dumps(error).encode()) == []
    assert machine.eof() == failed(error)
    assert machine.ended
    machine = reader()
    body = {"id": "up-1", "model": "glm-4.6", "choices": [{"message": {"content": "hi"}, "finish_reason": "stop"}]}
    machine.feed(json.dumps(body).encode())
    assert machine.eof() == [START, TextDelta("hi"), *ended()]


def test_the_text_filters_of_the_context_are_at_work() -> None:
    frames = [chunk({"content": "<think>why"}), chunk({"content": "</think>\nBecause. ST"}), chunk({"content": "OP x"})]
    machine = reader(inline_think_tags=True, stop_sequences=("STOP",))

    assert machine.feed(b"".join(frames)) == [
        START,
        ReasoningDelta("why"),
        TextDelta("Because. "),
        *ended(StopReason.STOP_SEQUENCE, stop_sequence="STOP"),
    ]
    assert machine.ended
    assert machine.feed(chunk({}, "stop")) == []


def batch(message: dict[str, Any] | None, reason: str | None = "stop", **top: Any) -> list[Event]:
    choice = {"index": 0, "message": message, "finish_reason": reason}
    body = {"id": "up-1", "model": "glm-4.6", "choices": [choice]} | top
    return read_openai_batch(json.dumps(body).encode(), ResponseContext(requested_model="m"), lambda prefix: prefix)


def test_a_batch_is_read_in_the_order_of_a_stream() -> None:
    message = {
        "content": "text",
        "reasoning_content": "why",
        "tool_calls": [call(None, '{"a":1}', name="f", call_id="a"), call(None, "{}", name="g", call_id="b")],
    }

    assert batch(message, "stop", usage={"prompt_tokens": 3}) == [
        START,
        UsageSeen(Usage(input=3)),
        ReasoningDelta("why"),
        TextDelta("text"),
        ToolStart("a", "f"),
        ToolArguments('{"a":1}'),
        ToolEnd(),
        ToolStart("b", "g"),
        ToolArguments("{}"),
        ToolEnd(),
        *ended(StopReason.TOOLS),
    ]


def test_a_batch_without_a_reason_or_with_an_unknown_one_is_complete() -> None:
    assert batch({"content": "a"}, None)[-2:] == ended()
    assert batch({"content": "a"}, "eos")[-2:] == ended()
    assert batch(None) == [START, *ended()]
    assert batch(None, choices=[{"index": 3, "message": {"content": "a"}}]) == [START, TextDelta("a"), *ended()]


def test_b55_a_batch_can_fail_by_its_reason() -> None:
    assert batch({"content": "a"}, "network_error")[-1] == Failed(faults.INFERENCE)


@pytest.mark.parametrize("choices", [[], None])
def test_b58_a_batch_without_choices_is_an_error(choices: list[Any] | None) -> None:
    assert batch(None, choices=choices) == [Failed(faults.NO_CHOICES)]


def test_b59_an_error_under_200_is_an_error() -> None:
    error = {"error": {"code": "1302", "message": "slow down"}}
    [event] = batch(None, **error)

    assert isinstance(event, Failed)
    assert event.fault.status == 429
    assert batch(None, choices=None, code=3007, msg="captcha")[0] != event


@pytest.mark.parametrize("body", [b"[]", b"{"])
def test_b146_a_body_that_is_no_answer_is_an_error(body: bytes) -> None:
    assert read_openai_batch(body, ResponseContext(requested_model="m"), str) == [Failed(faults.BODY_NOT_JSON)]


@pytest.mark.parametrize("body", [b"", b"<html>", b'{"success":false,"msg":"no"}', b'{"choices":[{}],"error":{}}'])
def test_b146_a_body_that_is_an_error_is_read_as_one(body: bytes) -> None:
    assert read_openai_batch(body, ResponseContext(requested_model="m"), str) == [Failed(read_fault(200, body))]
