"""Reset times out of the provider's texts."""

from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.translation.reset_time import CHINA, next_day_delay, reset_delay

NOW = datetime(2026, 1, 28, 15, 0, tzinfo=CHINA).timestamp()
HOUR = 3600.0


@pytest.mark.parametrize(
    ("text", "delay"),
    [
        ("Usage limit reached for 5 hour. Your limit will reset at 2026-01-28 18:14:48", 3 * HOUR + 14 * 60 + 48),
        ("已达到 5 小时的使用上限。您的限额将在 2026-01-28 18:14:48 重置。", 3 * HOUR + 14 * 60 + 48),
        ("您的限额将在2026年1月28日18时14分重置", 3 * HOUR + 14 * 60),
        ("您的限额将在 2026年01月28日 18:14 重置", 3 * HOUR + 14 * 60),
        ("resets 2026/01/28 16:00", HOUR),
        ("resets at 2026-01-28T16:00:00+08:00", HOUR),
        ("resets at 2026-01-28T08:00:00.000Z", HOUR),
        ("resets at 2026-01-28 08:00 UTC", HOUR),
        ("resets at 2026-01-28T03:00:00-05:00", HOUR),
        ("[1310][Weekly limit. Resets at 2026-01-28 16:00:00][20260128150000abcdef]", HOUR),
        ("Your limit will reset on Jan 28, 2026 at 16:00", HOUR),
        ("limit resets January 28th 2026 16:00:30.", HOUR + 30),
        ("额度将于1月28日 16:00恢复", HOUR),
        ("reset on 2026-01-29", 9 * HOUR),
        ("2026-13-45 is no date, 2026-01-28 16:00 is", HOUR),
        ("please try again in 3 hours 20 minutes", 3 * HOUR + 1200),
        ("retry after 1.5 h", 1.5 * HOUR),
        ("Try again in 30 seconds.", 30.0),
        ("请 2 小时 30 分钟后重试", 2 * HOUR + 1800),
        ("请在1天后重试", 24 * HOUR),
        ("will reset at 16:00", HOUR),
        ("will reset at 14:00", 23 * HOUR),
        ("将于 16:00 重置", HOUR),
        ("明天 08:00 重置", 17 * HOUR),
        ("resets tomorrow at 08:00", 17 * HOUR),
    ],
)
def test_a_reset_time_is_read_in_either_language(text: str, delay: float) -> None:
    assert reset_delay(text, NOW) == delay


def test_a_time_without_a_zone_is_utc_plus_8_and_one_with_a_zone_its_own() -> None:
    assert reset_delay("2026-01-28 16:00", NOW) == reset_delay("2026-01-28 08:00Z", NOW)


def test_a_reset_that_is_over_is_zero_seconds_away() -> None:
    assert reset_delay("Your limit will reset at 2026-01-28 14:59:59", NOW) == 0.0


def test_a_day_without_a_year_is_next_years_when_this_years_is_long_past() -> None:
    december = datetime(2026, 12, 31, 15, 0, tzinfo=CHINA).timestamp()

    assert reset_delay("额度将于1月1日 00:00恢复", december) == 9 * HOUR


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Usage limit reached for 5 hour.",
        "已达到 5 小时的使用上限",
        "request 20260128181448",
        "[1308] limit 120 of 120 prompts",
        "resets at 2027-01-28 18:00",  # a year ahead is no window of a plan
        "at 25:99",
        "13月40日 10:00",
        "2026-13-45",
        "in 0 moments",
    ],
)
def test_a_text_that_names_no_time_gives_none(text: str) -> None:
    assert reset_delay(text, NOW) is None


def test_the_next_day_begins_at_midnight_in_china() -> None:
    assert next_day_delay(NOW) == 9 * HOUR
    assert next_day_delay(datetime(2026, 1, 28, 0, 0, tzinfo=CHINA).timestamp()) == 24 * HOUR


@given(st.text(max_size=80), st.floats(1.6e9, 2.0e9))
def test_no_text_breaks_the_reading(text: str, now: float) -> None:
    delay = reset_delay(text, now)

    assert delay is None or 0 <= delay <= 62 * 86400


@given(st.integers(0, 30 * 86400))
def test_a_written_time_is_read_back(seconds: int) -> None:
    at = datetime.fromtimestamp(NOW + seconds, CHINA)

    assert reset_delay(f"Your limit will reset at {at:%Y-%m-%d %H:%M:%S}", NOW) == float(seconds)
