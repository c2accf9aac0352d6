from typing import Any

import pytest

from services.gateway.translation.context import ResponseContext
from services.gateway.translation.fault import Fault
from services.gateway.translation.streams.assembly import Assembly, Flow
from services.gateway.translation.streams.events import (
    End,
    Event,
    Failed,
    Finish,
    Ping,
    ReasoningDelta,
    RedactedReasoning,
    Start,
    StopReason,
    TextDelta,
    ToolArguments,
    ToolEnd,
    ToolStart,
    Usage,
    UsageSeen,
)
from services.gateway.translation.streams.faults import UNNAMED_TOOL


def assembly(**context: Any) -> Assembly:
    made = Assembly(ResponseContext(requested_model="m", **context), lambda prefix: f"{prefix}new", "call_")
    made.start("1", "m")
    assert made.take() == [Start("1", "m")]
    return made


def ended(reason: StopReason, stop_sequence: str | None = None) -> list[Event]:
    return [Finish(reason, stop_sequence), End()]


def test_the_start_comes_once_and_pings_after_it() -> None:
    made = Assembly(ResponseContext(requested_model="m"), lambda prefix: f"{prefix}new", "call_")
    made.ping()
    made.start(None, None)
    made.start("2", "m")
    made.ping()

    assert made.take() == [Start("new", ""), Ping()]
    assert made.take() == []


def test_counts_are_told_when_they_change() -> None:
    made = assembly()
    for usage in (None, Usage(input=1), Usage(input=1), Usage(input=1, output=2)):
        made.counted(usage)

    assert made.take() == [UsageSeen(Usage(input=1)), UsageSeen(Usage(input=1, output=2))]
    assert made.usage == Usage(input=1, output=2)


def test_the_flow_follows_the_content() -> None:
    made = assembly()
    flows = [made.flow]
    made.reasoning("a")
    flows.append(made.flow)
    made.text("b")
    flows.append(made.flow)
    call = made.tools.open(0, "t", "f")
    made.begin_call(call)
    flows.append(made.flow)
    made.close_call(call)
    flows.append(made.flow)
    made.reasoning_block(RedactedReasoning("x"))
    flows.append(made.flow)

    assert flows == [Flow.NOTHING, Flow.REASONING, Flow.TEXT, Flow.TOOLS, Flow.TOOLS, Flow.REASONING]
    assert made.take()[2:] == [ToolStart("t", "f"), ToolEnd(), RedactedReasoning("x")]


def test_a_late_fragment_of_a_call_that_is_over_changes_nothing() -> None:
    made = assembly()
    call = made.tools.open(0, "t", "f")
    made.arguments(call, "{ }")
    made.text("a")
    made.take()
    made.arguments(call, "late")

    assert made.flow is Flow.TEXT
    assert made.take() == []


def test_held_content_keeps_its_order() -> None:
    made = assembly()
    call = made.tools.open(0, "t", "f")
    made.arguments(call, '{"a":')
    made.text("b")
    made.reasoning("c")
    made.arguments(call, "1}")
    made.reasoning("d")

    assert made.take() == [
        ToolStart("t", "f"),
        ToolArguments('{"a":'),
        ToolArguments("1}"),
        ToolEnd(),
        TextDelta("b"),
        ReasoningDelta("c"),
        ReasoningDelta("d"),
    ]


@pytest.mark.parametrize("text", ["", "a"])
def test_the_reason_is_what_the_content_bears_out(text: str) -> None:
    made = assembly()
    if text:
        made.text(text)
    made.finish(StopReason.TOOLS, stop_sequence="x")

    assert made.take()[-2:] == ended(StopReason.END)
    assert made.ended


def test_open_calls_end_with_the_answer() -> None:
    made = assembly()
    made.arguments(made.tools.open(0, None, "f"), "")
    made.finish(StopReason.END)

    assert made.take() == [ToolStart("call_new", "f"), ToolEnd(), *ended(StopReason.TOOLS)]


def test_b71_only_an_unnamed_call_is_an_error() -> None:
    made = assembly()
    made.arguments(made.tools.open(0, "t", None), "{}")
    made.finish(StopReason.TOOLS)
    assert made.take() == [Failed(UNNAMED_TOOL)]
    made = assembly()
    made.arguments(made.tools.open(0, "t", None), "{}")
    made.arguments(made.tools.open(1, "u", "f"), "{}")
    made.finish(StopReason.TOOLS)
    assert made.take() == [ToolStart("u", "f"), ToolArguments("{}"), ToolEnd(), *ended(StopReason.TOOLS)]


def test_a_failure_ends_it() -> None:
    fault = Fault(status=502, message="broken")
    made = assembly()
    made.fail(fault)

    assert made.take() == [Failed(fault)]
    assert made.ended


def test_b8_a_stop_sequence_that_is_found_ends_it() -> None:
    made = assembly(stop_sequences=("X",), inline_think_tags=True)
    made.text("<think>aX</think>b")
    assert made.take() == [ReasoningDelta("aX"), TextDelta("b")]
    assert not made.ended
    made.text("cXd")
    assert made.take() == [TextDelta("c"), *ended(StopReason.STOP_SEQUENCE, "X")]
    assert made.ended
