"""
What is left of a plan: the answers of the account endpoints (upstream.md 6), and how fast it goes. Pure.

Sizes and names of windows change on the vendor's side, so nothing is assumed of them but what identifies them; what is
not understood of one entry leaves that entry out, and an answer of another shape is `Unreadable`.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import msgspec

MOST: Final = 16  # windows or balances of one account; more than any plan has
_LONGEST_NAME: Final = 64
_REMEMBERED: Final = 3600.0  # seconds of a trail
_SHORTEST: Final = 60.0  # seconds from which on a trail says something
_MILLISECONDS: Final = 1e11  # a time above it is not in seconds

_WINDOWS: Final = {(3, 5): "five_hours", (6, 1): "weekly"}
_MONTHLY_TOOLS: Final = 5  # unit

WORDS: Final = {"five_hours": "5 hours", "weekly": "week", "monthly_tools": "month (tools)"}


class Unreadable(Exception):
    """The answer is none of the kind that was asked for; the message is ours."""


class Window(msgspec.Struct, frozen=True, kw_only=True):
    """One limit of a coding plan."""

    name: str
    used: float  # share of 1; may be above
    resets_at: float | None = None  # seconds since the epoch


class Balance(msgspec.Struct, frozen=True, kw_only=True):
    """One allowance of a start plan."""

    name: str
    unit: str
    total: float
    used: float
    remaining: float
    expires_at: float | None = None  # seconds since the epoch


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """What one account said, or why it said nothing."""

    provider: str
    plan: str
    credential: str
    at: float  # seconds since the epoch
    level: str = ""
    windows: tuple[Window, ...] = ()
    balances: tuple[Balance, ...] = ()
    problem: str = ""  # one of "refused", "failed", "not reached", "not understood", a colon and details


class Board(msgspec.Struct, frozen=True, kw_only=True):
    """The newest reading of each account, and what windows were like before, as (time, share)."""

    readings: tuple[Reading, ...] = ()
    trails: Mapping[str, tuple[tuple[float, float], ...]] = {}


def read_limits(body: bytes) -> tuple[str, tuple[Window, ...]]:
    """Return level and windows of a coding plan's answer."""
    data = _data(body)
    if data[0].get("success") is not True:
        raise Unreadable(_refusal(data[0]))
    limits = data[1].get("limits")
    if not isinstance(limits, list):
        raise Unreadable("the answer holds no limits")
    windows = [window for entry in limits[:MOST] if (window := _window(entry)) is not None]
    level = data[1].get("level")
    return _name(level) if isinstance(level, str) else "", tuple(windows)


def read_balances(body: bytes) -> tuple[Balance, ...]:
    """Return the allowances of a start plan's answer."""
    outer, data = _data(body)
    balances = data.get("balances")
    if not isinstance(balances, list):
        raise Unreadable(_refusal(outer))
    return tuple(balance for entry in balances[:MOST] if (balance := _balance(entry)) is not None)


def _data(body: bytes) -> tuple[dict[str, Any], dict[str, Any]]:
    try:
        outer = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise Unreadable("the answer is no JSON") from None
    if not isinstance(outer, dict):
        raise Unreadable("the answer is no JSON object")
    data = outer.get("data")
    return outer, data if isinstance(data, dict) else {}


def _refusal(outer: Mapping[str, Any]) -> str:
    """A code is ours to show, a text is not."""
    code = outer.get("code")
    return f"refused with code {code}" if isinstance(code, int) else "the answer is of another shape"


def _window(entry: Any) -> Window | None:
    if not isinstance(entry, dict):
        return None
    unit, number, used = (_number(entry.get(name)) for name in ("unit", "number", "percentage"))
    if unit is None or number is None or used is None:
        return None
    name = _WINDOWS.get((int(unit), int(number)), f"unit{int(unit):d}x{int(number):d}")
    if int(unit) == _MONTHLY_TOOLS:
        name = "monthly_tools"
    return Window(name=name[:_LONGEST_NAME], used=max(0.0, used / 100), resets_at=_time(entry.get("nextResetTime")))


def _balance(entry: Any) -> Balance | None:
    if not isinstance(entry, dict):
        return None
    total, used, remaining = (_number(entry.get(f"{name}_units")) for name in ("total", "used", "remaining"))
    if total is None:
        return None
    if remaining is None:
        remaining = total - (used or 0.0)
    return Balance(
        name=_name(str(entry.get("show_name") or "balance")),
        unit=_name(str(entry.get("unit_type") or "units")),
        total=total,
        used=total - remaining if used is None else used,
        remaining=remaining,
        expires_at=_time(entry.get("expires_at")),
    )


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        number = float(value)
    except ValueError:
        return None
    return number if abs(number) < 1e15 else None


def _time(value: Any) -> float | None:
    number = _number(value)
    if number is not None:
        return number / 1000 if number > _MILLISECONDS else number or None
    if isinstance(value, str):
        try:
            return datetime.fromisoformat(value).timestamp()
        except ValueError:
            return None
    return None


def _name(text: str) -> str:
    return "".join(character for character in text if character.isprintable())[:_LONGEST_NAME]


def followed(board: Board, readings: Iterable[Reading]) -> Board:
    """Return the board with newer readings; an account that did not answer keeps what it said before."""
    before = {reading.credential: reading for reading in board.readings}
    kept = []
    trails: dict[str, tuple[tuple[float, float], ...]] = {}
    for reading in readings:
        old = before.get(reading.credential)
        if reading.problem and old is not None:
            reading = msgspec.structs.replace(old, problem=reading.problem)  # noqa: PLW2901 -- the same account's
        kept.append(reading)
        for window in reading.windows:
            name = trail_name(reading, window)
            trails[name] = _lengthened(board.trails.get(name, ()), reading.at, window.used)
    return Board(readings=tuple(kept), trails=trails)


def trail_name(reading: Reading, window: Window) -> str:
    """Return under which name a window's past is kept."""
    return f"{reading.credential}/{window.name}"


def _lengthened(trail: Sequence[tuple[float, float]], at: float, used: float) -> tuple[tuple[float, float], ...]:
    """A share that fell was reset, so what was before says nothing any more."""
    if trail and (used < trail[-1][1] or at <= trail[-1][0]):
        trail = () if used < trail[-1][1] else trail[:-1]
    return (*(point for point in trail if point[0] > at - _REMEMBERED), (at, used))


def burn_rate(trail: Sequence[tuple[float, float]]) -> float | None:
    """Return the share that goes in an hour, None while too little is known."""
    if len(trail) < 2 or trail[-1][0] - trail[0][0] < _SHORTEST:
        return None
    return (trail[-1][1] - trail[0][1]) / (trail[-1][0] - trail[0][0]) * 3600


def minutes_to_empty(window: Window, rate: float | None) -> float | None:
    """Return how long a window lasts at this rate, None where it is not falling."""
    return None if rate is None or rate <= 0 else max(0.0, 1 - window.used) / rate * 60
