from enum import Enum
from typing import Annotated, Any, Literal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Meta, inspect

from services.chassis.secret import Secret
from services.chassis.settings_values import did_you_mean, expected, parse, printable


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


def kind(annotation: Any) -> inspect.Type:
    found = inspect.type_info(annotation)
    return found.type if isinstance(found, inspect.Metadata) else found


def fault(annotation: Any, text: str) -> str:
    with pytest.raises(ValueError, match=r"must|holds") as caught:
        parse(kind(annotation), text)
    return str(caught.value)


@pytest.mark.parametrize(
    ("annotation", "text", "value"),
    [
        (bool, "true", True),
        (bool, "Yes", True),
        (bool, "off", False),
        (bool, "0", False),
        (int, "80", 80),
        (int, " 8_0 ", 80),
        (float, "1.5", 1.5),
        (float, "2", 2.0),
        (str, "3.10", "3.10"),
        (Literal["a", "b"], "b", "b"),
        (Colour, "blue", Colour.BLUE),
        (Secret, "k.1\n", Secret("k.1")),
    ],
)
def test_text_becomes_a_value_of_the_wanted_type(annotation: Any, text: str, value: object) -> None:
    found = parse(kind(annotation), text)

    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("annotation", "text", "message"),
    [
        (bool, "maybe", "must be true or false, not 'maybe'"),
        (int, "80.0", "must be a whole number, not '80.0'"),
        (int, "", "must be a whole number, not ''"),
        (float, "fast", "must be a number, not 'fast'"),
        (float, "nan", "must be finite, not 'nan'"),
        (float, "inf", "must be finite, not 'inf'"),
        (Annotated[int, Meta(ge=1, le=9)], "0", "must be at least 1 and at most 9, not '0'"),
        (Annotated[int, Meta(ge=1, le=9)], "10", "must be at least 1 and at most 9, not '10'"),
        (Annotated[int, Meta(ge=1)], "-" + "9" * 400, "must be at least 1, not '-9999999…'"),
        (Annotated[float, Meta(gt=0, lt=1)], "0", "must be more than 0 and less than 1, not '0'"),
        (Annotated[float, Meta(gt=0, lt=1)], "1", "must be more than 0 and less than 1, not '1'"),
        (str, "", "must not be empty"),
        (Literal["auto", "json"], "jsn", "must be one of auto, json, not 'jsn'; did you mean json?"),
        (Literal["auto", "json"], "x", "must be one of auto, json, not 'x'"),
        (Colour, "green", "must be one of red, blue, not 'green'"),
        (Secret, "two words", "holds white space or a character outside ASCII; is it one key and nothing else?"),
    ],
)
def test_what_is_wrong_is_said_in_words(annotation: Any, text: str, message: str) -> None:
    assert fault(annotation, text) == message


def test_a_long_wrong_value_is_not_repeated_in_full() -> None:
    pasted = "0123456789abcdef0123456789abcdef.Secret"

    assert fault(Literal["a"], pasted) == "must be one of a, not '01234567…'"


def test_every_type_has_a_word() -> None:
    assert expected(inspect.StrType()) == "text"


@given(st.text())
def test_a_secret_is_printable_ascii_or_refused_without_being_shown(text: str) -> None:
    stripped = text.strip()
    if all("!" <= character <= "~" for character in stripped):
        assert printable(text).reveal() == stripped
    else:
        with pytest.raises(ValueError, match=r"^holds white space or a character outside ASCII"):
            printable(text)


@pytest.mark.parametrize(
    ("word", "hint"),
    [
        ("hots", "did you mean host?"),
        ("api_key", "did you mean apiKey?"),
        ("API-KEY", "did you mean apiKey?"),
        ("zzz", ""),
    ],
)
def test_near_words_are_suggested_whatever_their_case_and_separators(word: str, hint: str) -> None:
    assert did_you_mean(word, ["host", "apiKey", "port"]) == hint


def test_settings_structs_hold_only_types_that_can_be_read() -> None:
    """An unknown type falls through to `must be text`: seen here so that the branch is meant."""
    assert fault(msgspec.Raw, "x") == "must be text, not 'x'"
