"""
When a used-up plan opens again: the reset time that GLM puts into the text of its limit errors, in Chinese or English.

The provider writes wall-clock times of UTC+8 without saying so and sends no `retry-after`. Pure: `now` is passed in,
as seconds since the epoch. A time that cannot be read is None, never a guess.
"""

import re
from datetime import UTC, datetime, timedelta, timezone
from typing import Final

CHINA: Final = timezone(timedelta(hours=8))

_LONGEST: Final = 62 * 86400.0
"""Seconds; a reset further away than two months is not a plan's window, so the text was misread."""

_MONTHS: Final = {
    name: number
    for number, name in enumerate(
        ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"), start=1
    )
}

_CLOCK: Final = r"(?P<hour>\d{1,2})\s*[:时点]\s*(?P<minute>\d{1,2})?(?:\s*[:分]\s*(?P<second>\d{1,2})?)?(?:\.\d+)?"
_ZONE: Final = r"(?:\s*(?P<zone>Z|[+-](?:0\d|1[0-4]):?[0-5]\d|UTC(?![+-]\d)))?"

# 2026-01-28 18:14:48, 2026/1/28T18:14Z, 2026年1月28日 18时14分; a run of digits before it is another number.
_NUMERIC: Final = re.compile(
    r"(?<!\d)(?P<year>20\d\d)\s*[-/.年]\s*(?P<month>\d{1,2})\s*[-/.月]\s*(?P<day>\d{1,2})\s*日?(?:[T,\s]*"
    + _CLOCK
    + ")?"
    + _ZONE
)
# Jan 28, 2026 18:14
_NAMED: Final = re.compile(
    r"(?P<name>jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*\.?\s+(?P<day>\d{1,2})(?:st|nd|rd|th)?,?\s+(?P<year>20\d\d)"
    r"(?:,?\s+(?:at\s+)?" + _CLOCK + ")?" + _ZONE,
    re.IGNORECASE,
)
# 1月28日 18:14, with no year
_NO_YEAR: Final = re.compile(r"(?<!\d)(?P<month>\d{1,2})月(?P<day>\d{1,2})日\s*" + _CLOCK)
# 明天 08:00, at 18:14, 于 18:14
_CLOCK_ONLY: Final = re.compile(
    r"(?:(?P<tomorrow>tomorrow|明天|次日)|\bat\b|于|在|今天|today)\s*(?:at\s+)?" + _CLOCK, re.IGNORECASE
)

_UNITS: Final = (
    ("days?|天|日", 86400),
    ("hours?|hrs?|h|个?小时|时", 3600),
    ("minutes?|mins?|m|分钟?", 60),
    ("seconds?|secs?|s|秒钟?", 1),
)
_SPAN: Final = r"\s*".join(rf"(?:(\d+(?:\.\d+)?)\s*(?:{unit})(?![a-z])[\s,]*)?" for unit, _ in _UNITS)
_RELATIVE: Final = (
    re.compile(r"\b(?:in|after)\s+(?=\d)" + _SPAN, re.IGNORECASE),
    re.compile(r"(?=\d)" + _SPAN + r"\s*(?:之?后|以后)", re.IGNORECASE),
)


def reset_delay(text: str, now: float) -> float | None:
    """
    Return the seconds from `now` until the time that a text names, at least 0; None when it names none.

    A full date wins over a span ("in 3 hours"), a span over a bare time of day.
    """
    at = _dated(text, now)
    delay = at.timestamp() - now if at is not None else _span(text)
    if delay is None and (clock := _CLOCK_ONLY.search(text)) is not None:
        delay = _next_clock(clock, now)
    if delay is None or delay > _LONGEST:
        return None
    return max(delay, 0.0)


def next_day_delay(now: float) -> float:
    """Return the seconds until the next midnight of UTC+8."""
    today = datetime.fromtimestamp(now, CHINA)
    midnight = today.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
    return midnight.timestamp() - now


def _dated(text: str, now: float) -> datetime | None:
    for pattern in (_NUMERIC, _NAMED):
        for found in pattern.finditer(text):
            parts = found.groupdict()
            month = _MONTHS[parts["name"].lower()] if "name" in parts else int(parts["month"])
            moment = _moment(int(parts["year"]), month, found, _zone(parts["zone"]))
            if moment is not None:
                return moment
    found_short = _NO_YEAR.search(text)
    if found_short is None:
        return None
    year = datetime.fromtimestamp(now, CHINA).year
    moment = _moment(year, int(found_short["month"]), found_short, CHINA)
    if moment is not None and moment.timestamp() < now - 86400:  # in December a reset in January is next year's
        return _moment(year + 1, int(found_short["month"]), found_short, CHINA)
    return moment


def _moment(year: int, month: int, found: "re.Match[str]", zone: timezone) -> datetime | None:
    hour, minute, second = (int(found[name] or 0) for name in ("hour", "minute", "second"))
    try:
        return datetime(year, month, int(found["day"]), hour, minute, second, tzinfo=zone)
    except ValueError:  # a thirteenth month: not a date after all
        return None


def _zone(text: str | None) -> timezone:
    if text is None:
        return CHINA
    if text in {"Z", "UTC"}:
        return UTC
    offset = timedelta(hours=int(text[1:3]), minutes=int(text[-2:]))
    return timezone(-offset if text[0] == "-" else offset)


def _span(text: str) -> float | None:
    for pattern in _RELATIVE:
        for found in pattern.finditer(text):
            amounts = found.groups()
            if any(amounts):
                return sum(
                    float(amount) * seconds for amount, (_, seconds) in zip(amounts, _UNITS, strict=True) if amount
                )
    return None


def _next_clock(found: "re.Match[str]", now: float) -> float | None:
    hour, minute, second = (int(found[name] or 0) for name in ("hour", "minute", "second"))
    today = datetime.fromtimestamp(now, CHINA)
    try:
        at = today.replace(hour=hour, minute=minute, second=second, microsecond=0)
    except ValueError:
        return None
    if found["tomorrow"] or at <= today:
        at += timedelta(days=1)
    return at.timestamp() - now
