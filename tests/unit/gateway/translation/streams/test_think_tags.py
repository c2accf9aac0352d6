import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.translation.streams.events import (
    End,
    Event,
    Finish,
    Ping,
    ReasoningDelta,
    Start,
    StopReason,
    TextDelta,
    ToolStart,
)
from services.gateway.translation.streams.think_tags import ThinkTags

END: list[Event] = [Finish(StopReason.END), End()]


def split(*texts: str) -> tuple[str, str]:
    """The reasoning and the text that come of an answer."""
    tags = ThinkTags()
    events = [event for text in texts for event in tags.passed([TextDelta(text)])] + tags.passed(END)
    reasoning = "".join(event.text for event in events if isinstance(event, ReasoningDelta))
    return reasoning, "".join(event.text for event in events if isinstance(event, TextDelta))


@pytest.mark.parametrize(
    ("whole", "reasoning", "text"),
    [
        ("<think>why</think>\n\nBecause", "why", "Because"),
        ("\n <think>a\nb</think>c\n", "a\nb", "c\n"),
        ("<think>\n\n</think>\n\nHi", "", "Hi"),
        ("</think>\nHi", "", "Hi"),
        ("Hi <think>x</think>", "", "Hi <think>x</think>"),
        ("<think>cut off </thi", "cut off </thi", ""),
        ("<thinking>x", "", "<thinking>x"),
        ("<thi", "", "<thi"),
        ("  ", "", "  "),
        ("<think>a</think>\n", "a", ""),
        ("<think> </think", " </think", ""),
        ("<think>a</think>b</think>", "a", "b</think>"),
        (" " * 300 + "<think>x</think>", "", " " * 300 + "<think>x</think>"),
        ("", "", ""),
    ],
)
def test_tags_are_found_however_the_text_is_cut(whole: str, reasoning: str, text: str) -> None:
    if len(whole) < 100:
        assert split(*whole) == (reasoning, text)
        for at in range(len(whole)):
            assert split(whole[:at], whole[at:]) == (reasoning, text)
    assert split(whole) == (reasoning, text)


@given(st.text(alphabet="<>/thinka \n", max_size=30))
def test_nothing_is_lost_of_text_without_tags(text: str) -> None:
    if "<think>" not in text and "</think>" not in text:
        assert split(*text) == ("", text)


def test_other_content_ends_the_search_and_side_events_do_not() -> None:
    tags = ThinkTags()
    side: list[Event] = [Start("1", "m"), Ping()]

    assert tags.passed([*side, TextDelta("<th")]) == side
    assert tags.passed([ToolStart("1", "f"), TextDelta("<think>x")]) == [
        TextDelta("<th"),
        ToolStart("1", "f"),
        TextDelta("<think>x"),
    ]
