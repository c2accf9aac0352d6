"""The script grammar."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.simulator.script import Script, ScriptError, parse


def test_an_empty_script_is_a_plain_answer() -> None:
    assert parse("") == Script()
    assert parse(" ; ") == Script()


def test_a_key_alone_means_one() -> None:
    assert parse("tools") == Script(tools=1)


@pytest.mark.parametrize(
    ("text", "seconds"), [("10", 0.01), ("10ms", 0.01), ("2s", 2.0), ("1.5s", 1.5), ("1m", 60.0), ("0", 0.0)]
)
def test_durations_are_milliseconds_unless_they_say_otherwise(text: str, seconds: float) -> None:
    assert parse(f"pace={text}").pace == pytest.approx(seconds)


@pytest.mark.parametrize(("text", "count"), [("7", 7), ("2k", 2000), ("2ki", 2048), ("1m", 10**6), ("1gi", 2**30)])
def test_counts_take_decimal_and_binary_units(text: str, count: int) -> None:
    assert parse(f"size={text}").size == count


def test_lists_are_joined_by_plus() -> None:
    script = parse("sse=crlf+nospace;informational=100+103+103")

    assert script.sse == {"crlf", "nospace"}
    assert script.informational == (100, 103, 103)


def test_values_are_percent_decoded_and_may_hold_an_equals_sign() -> None:
    assert parse("text=a%3Bb=c%20%E4%BD%A0").text == "a;b=c \u4f60"


def test_hyphens_stand_for_underscores() -> None:
    assert parse("tool-form=late-name;cut-raw=12") == Script(tool_form="late-name", cut_raw=12)


@pytest.mark.parametrize(
    "text", ["nonsense=1", "pace=fast", "events=-1", "events=1.5", "stall=nowhere", "sse=crlf+purple", "tools=1x", "=1"]
)
def test_what_cannot_be_read_is_refused_with_a_reason(text: str) -> None:
    with pytest.raises(ScriptError, match="script"):
        parse(text)


@given(st.text(alphabet="abcdefgtools=;%+0123456789-kms ", max_size=40))
def test_any_text_is_a_script_or_refused(text: str) -> None:
    try:
        script = parse(text)
    except ScriptError:
        return
    assert isinstance(script, Script)


def test_scripts_are_hashable_so_that_answers_can_be_cached() -> None:
    assert hash(parse("sse=crlf;quirks=no-done")) == hash(parse("quirks=no-done;sse=crlf"))
