"""Reads when something is to end, as people type it: `30d`, `12h`, `2027-01-31`. Pure."""

import re
from datetime import UTC, datetime, timedelta
from typing import Final

FORMS: Final = "a length such as 12h, 30d or 8w, or a day such as 2027-01-31 (UTC)"

_LENGTH: Final = re.compile(r"([1-9][0-9]{0,4})([hdw])")
_UNITS: Final = {"h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}


def end_of(text: str, now: float) -> float:
    """Return seconds since the epoch. Raises ValueError, with words to show, also when that time is over."""
    if (length := _LENGTH.fullmatch(text)) is not None:
        return now + int(length[1]) * _UNITS[length[2]].total_seconds()
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"must be {FORMS}") from None
    end = (moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)).timestamp()
    if end <= now:
        raise ValueError("is over already")
    return end


def day(moment: float) -> str:
    """Return a time in UTC, to the minute."""
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%d %H:%M")
