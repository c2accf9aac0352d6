import json
from typing import Any

import pytest

from services.gateway.translation.context import ResponseContext, ResponsesContext, ShownTool
from services.gateway.translation.fault import Fault
from services.gateway.translation.requests.responses_reasoning import Carried, opened
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
from services.gateway.translation.streams.write_responses import ResponsesWriter, write_responses_batch
from tests.support.responses_validator import check_response, check_responses_stream
from tests.support.stream_validators import Seen

START = Start("chatcmpl-1", "glm-4.6")
CALL: list[Event] = [ToolStart("call_1", "f"), ToolArguments('{"x":'), ToolArguments("1}"), ToolEnd()]
ECHO = (
    b'"instructions":null,"max_output_tokens":null,"metadata":{},"parallel_tool_calls":true,"reasoning":{},'
    b'"temperature":1.0,"text":{},"tool_choice":"auto","tools":[],"top_p":1.0,"truncation":"disabled"'
)


def context(**shape: Any) -> ResponseContext:
    return ResponseContext(requested_model="glm-x", responses=ResponsesContext(echo=ECHO, **shape))


def writer(**shape: Any) -> ResponsesWriter:
    return ResponsesWriter(context(**shape), created=7, request_id="req")


def end(reason: StopReason = StopReason.END, **finish: Any) -> list[Event]:
    return [Finish(reason, **finish), End()]


def written(*events: Event, **shape: Any) -> Seen:
    """What a client reads of some events and the end that they have or get; a batch of the same says no other."""
    ended = bool(events) and isinstance(events[-1], End | Failed)
    every = [START, *events, *([] if ended else end())]
    machine = writer(**shape)
    seen = check_responses_stream(machine.write(every))
    assert machine.finished
    answer = fold(every)
    if isinstance(answer, Answer):
        response = check_response(write_responses_batch(answer, context(**shape), created=7))
        assert (response["output"], response["status"], response["usage"]) == (seen.blocks, seen.reason, seen.usage)
    return seen


def named(stream: bytes) -> list[str]:
    return [line.removeprefix(b"event: ").decode() for line in stream.split(b"\n") if line.startswith(b"event: ")]


def test_a_stream_goes_by_the_protocols_events() -> None:
    machine = writer(summary=True)

    assert named(machine.write([START])) == ["response.created", "response.in_progress"]
    assert named(machine.write([ReasoningDelta("why"), ReasoningDelta("?")])) == [
        "response.output_item.added",
        "response.reasoning_summary_part.added",
        *["response.reasoning_summary_text.delta"] * 2,
    ]
    assert named(machine.write([TextDelta("so")])) == [
        "response.reasoning_summary_text.done",
        "response.reasoning_summary_part.done",
        "response.output_item.done",
        "response.output_item.added",
        "response.content_part.added",
        "response.output_text.delta",
    ]
    assert named(machine.write(CALL)) == [
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.output_item.added",
        *["response.function_call_arguments.delta"] * 2,
        "response.function_call_arguments.done",
        "response.output_item.done",
    ]
    assert named(machine.write(end(StopReason.TOOLS))) == ["response.completed"]
    assert machine.write([TextDelta("late")]) == b""


def test_a_delta_to_the_byte() -> None:
    machine = writer()
    machine.write([START, TextDelta("a")])

    assert (
        machine.write([TextDelta('"é\n"')])
        == (
            'event: response.output_text.delta\ndata: {"type":"response.output_text.delta","sequence_number":5,'
            '"item_id":"msg_chatcmpl-1_0","output_index":0,"content_index":0,"delta":"\\"é\\n\\"","logprobs":[]}\n\n'
        ).encode()
    )


def test_text_reasoning_and_calls_are_items_in_their_order() -> None:
    seen = written(ReasoningDelta("a"), TextDelta("b"), ReasoningDelta("c"), *CALL, TextDelta("d"))

    assert [item["type"] for item in seen.blocks] == ["reasoning", "message", "reasoning", "function_call", "message"]
    assert (seen.reasoning, seen.text) == ("ac", "bd")
    assert [(tool.id, tool.name, tool.arguments) for tool in seen.tools] == [("call_1", "f", '{"x":1}')]
    assert (seen.id, seen.model, seen.reason) == ("resp_chatcmpl-1", "glm-x", "completed")


def test_reasoning_is_a_summary_only_where_one_was_asked_for() -> None:
    [raw] = written(ReasoningDelta("why")).blocks
    [summed] = written(ReasoningDelta("why"), summary=True).blocks

    assert (raw["summary"], raw["content"]) == ([], [{"type": "reasoning_text", "text": "why"}])
    assert summed["summary"] == [{"type": "summary_text", "text": "why"}]
    assert "content" not in summed
    assert "encrypted_content" not in raw


def test_a_block_of_reasoning_is_carried_whole_where_that_was_asked_for() -> None:
    events = [ReasoningDelta("a"), Signature("sig"), ReasoningStart(), ReasoningDelta("b"), RedactedReasoning("zzz")]
    seen = written(*events, encrypted=True, summary=True)

    assert [opened(item["encrypted_content"]) for item in seen.blocks] == [
        Carried(thinking="a", signature="sig"),
        Carried(thinking="b"),
        Carried(redacted="zzz"),
    ]
    assert [item["type"] for item in written(*events).blocks] == ["reasoning", "reasoning"]


def test_a_signature_without_any_text_is_carried_too() -> None:
    [item] = written(Signature("sig"), encrypted=True).blocks

    assert item["content"] == []
    assert opened(item["encrypted_content"]) == Carried(signature="sig")


def test_a_new_block_is_a_new_item_whatever_was_open() -> None:
    seen = written(TextDelta("a"), ReasoningStart(), TextDelta("b"))

    assert [item["content"][0]["text"] for item in seen.blocks] == ["a", "b"]


def test_a_call_without_arguments_has_an_empty_object() -> None:
    assert written(ToolStart("c", "f"), ToolEnd()).tools[0].arguments == "{}"


def test_a_call_whose_arguments_broke_off_is_incomplete() -> None:
    cut: list[Event] = [ToolStart("c", "f"), ToolArguments('{"x":'), ToolEnd()]
    seen = written(*cut, *end(StopReason.LENGTH))

    assert seen.blocks[0]["status"] == "incomplete"
    assert seen.reason == "incomplete"


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ('{"input":"*** Begin Patch\\n"}', "*** Begin Patch\n"),
        ('{"input":""}', ""),
        ('{"patch":"x"}', '{"patch":"x"}'),
        ("not json", "not json"),
        ('{"input":"cut o', "cut o"),
        ('{"inp', '{"inp'),
        ("", ""),
    ],
)
def test_a_custom_tools_input_is_the_one_string_of_its_arguments(arguments: str, text: str) -> None:
    shown = {"apply_patch": ShownTool("apply_patch", custom=True)}
    parts = [ToolArguments(arguments[:4]), ToolArguments(arguments[4:])]
    seen = written(ToolStart("c", "apply_patch"), *parts, ToolEnd(), shown=shown)

    assert seen.blocks[0]["type"] == "custom_tool_call"
    assert seen.tools[0].arguments == text


def test_a_custom_tools_input_is_said_as_it_comes() -> None:
    machine = writer(shown={"patch": ShownTool("patch", custom=True)})
    machine.write([START, ToolStart("c", "patch"), ToolArguments('{"input": "*** Be')])

    assert json.loads(machine.write([ToolArguments("gin\\n+é")]).rpartition(b"data: ")[2])["delta"] == "gin\n+é"
    assert machine.write([ToolArguments('"}')]) == b""


def test_a_tool_of_a_namespace_is_called_by_both_of_its_names() -> None:
    seen = written(ToolStart("c", "n__f"), ToolEnd(), shown={"n__f": ShownTool("f", "n")})

    assert (seen.blocks[0]["namespace"], seen.blocks[0]["name"]) == ("n", "f")


def test_counts_are_in_the_last_event() -> None:
    usage = Usage(input=10, cache_read=5, cache_write=2, output=7, reasoning=3)

    assert written(UsageSeen(usage)).usage == {
        "input_tokens": 17,
        "input_tokens_details": {"cached_tokens": 5, "cache_write_tokens": 2},
        "output_tokens": 7,
        "output_tokens_details": {"reasoning_tokens": 3},
        "total_tokens": 24,
    }


@pytest.mark.parametrize(
    ("reason", "status", "why"),
    [
        (StopReason.END, "completed", None),
        (StopReason.STOP_SEQUENCE, "completed", None),
        (StopReason.PAUSE, "completed", None),
        (StopReason.LENGTH, "incomplete", "max_output_tokens"),
        (StopReason.CONTEXT_WINDOW, "incomplete", "max_output_tokens"),
        (StopReason.REFUSAL, "incomplete", "content_filter"),
    ],
)
def test_why_it_stopped(reason: StopReason, status: str, why: str | None) -> None:
    stream = writer().write([START, TextDelta("x"), *end(reason)])
    last = json.loads(stream.rpartition(b"data: ")[2])["response"]

    assert check_responses_stream(stream).reason == status
    assert last["incomplete_details"] == (why and {"reason": why})


def test_a_refusal_without_text_is_said_as_one() -> None:
    assert written(*end(StopReason.REFUSAL)).refusal == "The model declined to answer."
    assert written(*end(StopReason.REFUSAL, refusal="no")).refusal == "no"
    assert written(TextDelta("I"), *end(StopReason.REFUSAL)).refusal == ""


def test_an_answer_that_says_nothing_is_complete_and_empty() -> None:
    assert written().blocks == []


def test_a_failure_ends_the_stream_and_no_open_item() -> None:
    fault = Fault(status=502, message="broke off", code="upstream_truncated")
    machine = writer()
    stream = machine.write([START, TextDelta("a"), *CALL, ToolStart("c2", "f"), ToolArguments("{"), Failed(fault)])

    seen = check_responses_stream(stream)
    assert seen.error == {"message": "broke off", "type": "server_error", "param": None, "code": "upstream_truncated"}
    assert [item["type"] for item in seen.blocks] == ["message", "function_call"]
    assert machine.finished


def test_a_failure_before_the_answer_is_said_in_the_same_events() -> None:
    stream = writer().write([Failed(Fault(status=429, message="slow down"))])

    assert named(stream) == ["error", "response.failed"]
    assert check_responses_stream(stream).error is not None


def test_keep_alives_are_comments() -> None:
    machine = writer()

    assert machine.ping() == b": keep-alive\n\n"
    assert machine.write([START, Ping()]).endswith(b": keep-alive\n\n")


def test_an_id_of_the_same_api_stays_what_it_is() -> None:
    stream = writer().write([Start("resp_9", "m"), TextDelta("x"), *end()])

    seen = check_responses_stream(stream)
    assert (seen.id, seen.blocks[0]["id"]) == ("resp_9", "msg_9_0")


def test_without_a_shape_there_is_still_an_answer() -> None:
    machine = ResponsesWriter(ResponseContext(requested_model=""), created=7)
    last = json.loads(machine.write([START, TextDelta("x"), *end()]).rpartition(b"data: ")[2])

    assert last["response"]["model"] == "glm-4.6"
    assert last["response"]["store"] is False
