"""When something is to end, as people type it."""

import pytest

from services.cli.lifetimes import day, end_of

NOW = 1_800_000_000.0  # 2027-01-15 08:00 UTC


@pytest.mark.parametrize(
    ("text", "seconds"), [("1h", 3600), ("30d", 30 * 86_400), ("8w", 8 * 7 * 86_400), ("99999h", 99_999 * 3600)]
)
def test_a_length_counts_from_now(text: str, seconds: int) -> None:
    assert end_of(text, NOW) == NOW + seconds


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("2027-01-31", "2027-01-31 00:00"),
        ("2027-01-31T12:30", "2027-01-31 12:30"),
        ("2027-01-31T12:30+02:00", "2027-01-31 10:30"),
    ],
)
def test_a_day_or_a_moment_is_utc_unless_it_says_otherwise(text: str, shown: str) -> None:
    assert day(end_of(text, NOW)) == shown


@pytest.mark.parametrize("text", ["", "0d", "d", "1y", "-1d", "1 d", "100000h", "tomorrow", "2027-13-01"])
def test_anything_else_names_the_forms(text: str) -> None:
    with pytest.raises(ValueError, match="such as 12h"):
        end_of(text, NOW)


def test_what_is_over_is_refused() -> None:
    with pytest.raises(ValueError, match="over already"):
        end_of("2027-01-15", NOW)
