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
from services.gateway.translation.streams.faults import TRUNCATED
from services.gateway.translation.streams.fold import Answer, Block, Fold, Kind, fold

END: list[Event] = [Finish(StopReason.END), End()]


def test_every_event_has_its_place() -> None:
    events: list[Event] = [
        Start("1", "m"),
        UsageSeen(Usage(input=1)),
        ReasoningStart(),
        ReasoningDelta("a"),
        ReasoningDelta("b"),
        Signature("s"),
        ReasoningDelta("c"),
        ReasoningStart(),
        Signature("only"),
        RedactedReasoning("x"),
        RedactedReasoning("y"),
        TextDelta("d"),
        Ping(),
        TextDelta("e"),
        ToolStart("t", "f"),
        ToolArguments("{"),
        ToolArguments("}"),
        ToolEnd(),
        TextDelta("g"),
        UsageSeen(Usage(input=1, output=2)),
        Finish(StopReason.TOOLS),
        End(),
    ]

    assert fold(events) == Answer(
        id="1",
        model="m",
        blocks=(
            Block(kind=Kind.REASONING, text="ab", signature="s"),
            Block(kind=Kind.REASONING, text="c"),
            Block(kind=Kind.REASONING, text="", signature="only"),
            Block(kind=Kind.REDACTED, text="x"),
            Block(kind=Kind.REDACTED, text="y"),
            Block(kind=Kind.TEXT, text="de"),
            Block(kind=Kind.TOOL, text="{}", id="t", name="f"),
            Block(kind=Kind.TEXT, text="g"),
        ),
        usage=Usage(input=1, output=2),
        finish=Finish(StopReason.TOOLS),
    )


def test_text_is_joined_with_nothing_between() -> None:
    answer = fold([Start("1", "m"), TextDelta("a"), ReasoningDelta("r"), TextDelta("b"), *END])

    assert isinstance(answer, Answer)
    assert answer.joined(Kind.TEXT) == "ab"


def test_a_fault_or_a_missing_end_is_no_answer() -> None:
    fault = Fault(status=500, message="no")

    assert fold([Start("1", "m"), TextDelta("a"), Failed(fault)]) == fault
    assert fold([Start("1", "m")]) == TRUNCATED


def test_events_may_come_in_parts() -> None:
    gathered = Fold()
    gathered.add([Start("1", "m"), TextDelta("a")])
    gathered.add([TextDelta("b"), *END])

    assert isinstance(gathered.result, Answer)
    assert gathered.result.joined(Kind.TEXT) == "ab"
