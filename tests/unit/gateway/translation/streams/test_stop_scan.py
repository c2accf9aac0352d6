from hypothesis import given
from hypothesis import strategies as st

from services.gateway.translation.fault import Fault
from services.gateway.translation.streams.events import (
    End,
    Event,
    Failed,
    Finish,
    Ping,
    ReasoningDelta,
    StopReason,
    TextDelta,
    ToolEnd,
    ToolStart,
    Usage,
    UsageSeen,
)
from services.gateway.translation.streams.stop_scan import StopScan


def scanned(sequences: list[str], *texts: str) -> list[Event]:
    scan = StopScan(sequences)
    return [event for text in texts for event in scan.passed([TextDelta(text)])]


def stopped(sequence: str) -> list[Event]:
    return [Finish(StopReason.STOP_SEQUENCE, sequence), End()]


def test_b8_a_match_split_over_two_chunks_is_found_and_not_sent() -> None:
    assert scanned(["STOP"], "one ST", "OP two") == [TextDelta("one "), *stopped("STOP")]


def test_b8_text_that_may_become_a_match_is_held_until_it_cannot() -> None:
    scan = StopScan(["STOP"])

    assert scan.passed([TextDelta("a S")]) == [TextDelta("a ")]
    assert scan.passed([TextDelta("T")]) == []
    assert scan.passed([TextDelta("ART")]) == [TextDelta("START")]


def test_b8_held_text_goes_out_before_what_follows_it() -> None:
    scan = StopScan(["STOP"])

    assert scan.passed([TextDelta("ST"), ToolStart("1", "f")]) == [TextDelta("ST"), ToolStart("1", "f")]
    assert scan.passed([TextDelta("OP")]) == [TextDelta("OP")]
    assert scan.passed([TextDelta("S"), Finish(StopReason.END), End()]) == [
        TextDelta("S"),
        Finish(StopReason.END),
        End(),
    ]


def test_b8_counts_and_pings_do_not_end_a_beginning() -> None:
    scan = StopScan(["STOP"])
    between: list[Event] = [UsageSeen(Usage(input=1)), Ping()]

    assert scan.passed([TextDelta("ST"), *between]) == between
    assert scan.passed([TextDelta("OP")]) == stopped("STOP")


def test_b8_reasoning_is_not_scanned() -> None:
    assert StopScan(["STOP"]).passed([ReasoningDelta("STOP")]) == [ReasoningDelta("STOP")]


def test_b8_a_failure_does_not_lose_what_was_held() -> None:
    failed = Failed(Fault(status=502, message="broken"))

    assert StopScan(["STOP"]).passed([TextDelta("ST"), failed]) == [TextDelta("ST"), failed]


def test_b8_a_beginning_inside_a_beginning_is_found() -> None:
    assert scanned(["aab"], "a", "a", "a", "b") == [TextDelta("a"), *stopped("aab")]
    assert scanned(["abab!"], "ababab!") == [TextDelta("ab"), *stopped("abab!")]


def test_b8_an_answer_with_a_call_still_stops_for_the_call() -> None:
    call: list[Event] = [ToolStart("1", "f"), ToolEnd()]

    assert StopScan(["STOP"]).passed([*call, TextDelta("STOP")]) == [*call, Finish(StopReason.TOOLS), End()]


def test_b8_the_match_that_is_complete_first_wins_and_of_two_the_longer() -> None:
    assert scanned(["xabc", "ab"], "xabc") == [TextDelta("x"), *stopped("ab")]
    assert scanned(["b", "ab"], "xab") == [TextDelta("x"), *stopped("ab")]
    assert scanned(["", "b"], "ab") == [TextDelta("a"), *stopped("b")]


@given(st.lists(st.text("ab", min_size=1, max_size=4), min_size=1, max_size=3), st.lists(st.text("abc"), max_size=8))
def test_b8_the_cut_does_not_matter(sequences: list[str], texts: list[str]) -> None:
    def outcome(pieces: list[str]) -> tuple[str, str | None]:
        scan = StopScan(sequences)
        events: list[Event] = []
        for piece in pieces:
            events += scan.passed([TextDelta(piece)])
            if End() in events:
                break
        else:
            events += scan.passed([Finish(StopReason.END), End()])
        text = "".join(event.text for event in events if isinstance(event, TextDelta))
        [finish] = [event for event in events if isinstance(event, Finish)]
        return text, finish.stop_sequence

    whole = "".join(texts)
    text, found = outcome(texts)
    assert (text, found) == outcome(list(whole)) == outcome([whole] if whole else [])
    assert whole.startswith(text + (found or ""))
    assert found is not None or not any(sequence in whole for sequence in sequences)


def test_b8_a_long_sequence_is_followed_in_linear_time() -> None:
    sequence = "a" * 50_000 + "b"

    assert scanned([sequence], *["a" * 1000] * 60)[-1] == TextDelta("a" * 1000)
