"""What account endpoints say is read for what it is, and how fast a window goes is told from its past."""

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.quota import (
    MOST,
    Balance,
    Board,
    Reading,
    Unreadable,
    Window,
    burn_rate,
    followed,
    minutes_to_empty,
    read_balances,
    read_limits,
    trail_name,
)

NOW = 1_800_000_000.0


def _limits(*limits: Any, **more: Any) -> bytes:
    return json.dumps({"code": 200, "success": True, "data": {"level": "pro", "limits": list(limits)}} | more).encode()


def _balances(*balances: Any) -> bytes:
    return json.dumps({"code": 0, "data": {"balances": list(balances)}}).encode()


def _reading(used: float, at: float = NOW, problem: str = "") -> Reading:
    windows = () if problem else (Window(name="weekly", used=used),)
    return Reading(provider="zai", plan="coding-plan", credential="c", at=at, windows=windows, problem=problem)


def _trail(board: Board) -> tuple[tuple[float, float], ...]:
    return board.trails.get("c/weekly", ())


def test_windows_are_known_by_unit_and_number_never_by_name() -> None:
    level, windows = read_limits(
        _limits(
            {"type": "X", "unit": 3, "number": 5, "percentage": 12.5, "nextResetTime": 1_800_000_000_000},
            {"type": "X", "unit": 6, "number": 1, "percentage": "40"},
            {"type": "Y", "unit": 5, "number": 7, "percentage": 0},
            {"type": "Z", "unit": 9, "number": 2, "percentage": 101},
        )
    )

    assert "pro" == level
    assert (
        Window(name="five_hours", used=0.125, resets_at=1_800_000_000.0),
        Window(name="weekly", used=0.4),
        Window(name="monthly_tools", used=0.0),
        Window(name="unit9x2", used=1.01),
    ) == windows


@pytest.mark.parametrize(
    "entry", [None, 5, {}, {"unit": 3, "number": 5}, {"unit": True, "number": 5, "percentage": 1}, {"unit": "x"}]
)
def test_an_entry_that_is_not_understood_is_left_out(entry: Any) -> None:
    assert ("pro", ()) == read_limits(_limits(entry))


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"<html>", "no JSON"),
        (b"\xff", "no JSON"),
        (b"[1]", "no JSON object"),
        (b"{}", "another shape"),
        (b'{"success": true, "data": {}}', "no limits"),
        (b'{"success": false, "code": 1001, "msg": "text of theirs"}', "code 1001"),
    ],
)
def test_another_answer_is_unreadable_and_its_text_stays_there(body: bytes, words: str) -> None:
    with pytest.raises(Unreadable, match=words) as caught:
        read_limits(body)

    assert "theirs" not in str(caught.value)


def test_balances_are_read() -> None:
    (balance,) = read_balances(
        _balances(
            {
                "show_name": "Start",
                "total_units": 10,
                "used_units": 4,
                "remaining_units": "6",
                "unit_type": "tokens",
                "expires_at": "2027-01-15T08:00:00+00:00",
            }
        )
    )

    assert Balance(name="Start", unit="tokens", total=10, used=4, remaining=6, expires_at=1_800_000_000.0) == balance


def test_what_a_balance_leaves_out_is_worked_out() -> None:
    first, second, third = read_balances(
        _balances(
            {"total_units": 10, "used_units": 4, "expires_at": "never"},
            {"total_units": 10, "remaining_units": 3, "show_name": "a\x1b[2Jb", "expires_at": {}},
            {"total_units": 10},
            {"used_units": 4},
            "nothing",
        )
    )

    assert (6, 7, 10) == (first.remaining, second.used, third.remaining)
    assert ("balance", "units", None) == (first.name, first.unit, first.expires_at)
    assert ("a[2Jb", None) == (second.name, second.expires_at)  # nothing that a terminal would obey


def test_an_answer_without_balances_is_unreadable() -> None:
    with pytest.raises(Unreadable, match="code 401"):
        read_balances(b'{"code": 401, "data": []}')


def test_no_answer_makes_more_of_them_than_any_plan_has() -> None:
    entry = {"unit": 3, "number": 5, "percentage": 1}

    assert MOST == len(read_limits(_limits(*[entry] * 1000))[1])
    assert MOST == len(read_balances(_balances(*[{"total_units": 1}] * 1000)))


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(),
        lambda inner: (
            st.lists(inner)
            | st.dictionaries(
                st.sampled_from(
                    [
                        "data",
                        "limits",
                        "success",
                        "unit",
                        "number",
                        "percentage",
                        "balances",
                        "total_units",
                        "expires_at",
                        "nextResetTime",
                    ]
                ),
                inner,
            )
        ),
    )
)
def test_whatever_is_answered_is_read_or_unreadable(document: Any) -> None:
    body = json.dumps(document).encode()
    for read in (read_limits, read_balances):
        with contextlib.suppress(Unreadable):
            read(body)


def test_an_account_that_does_not_answer_keeps_what_it_said_before() -> None:
    board = followed(Board(), [_reading(0.5)])
    board = followed(board, [_reading(0.0, NOW + 60, problem="not reached: gone")])

    (reading,) = board.readings
    assert (NOW, 0.5, "not reached: gone") == (reading.at, reading.windows[0].used, reading.problem)
    assert ((NOW, 0.5),) == _trail(board)


def test_one_that_never_answered_has_nothing_but_its_problem() -> None:
    (reading,) = followed(Board(), [_reading(0.0, problem="refused: no")]).readings

    assert ((), "refused: no") == (reading.windows, reading.problem)


def test_the_past_of_a_window_is_an_hour_of_what_only_grew() -> None:
    board = Board()
    for minute in range(100):
        board = followed(board, [_reading(minute / 100, NOW + 60 * minute)])
    assert 60 == len(_trail(board))
    assert 0.6 == pytest.approx(burn_rate(_trail(board)))

    board = followed(board, [_reading(0.01, NOW + 60 * 100)])
    assert ((NOW + 6000, 0.01),) == _trail(board)


def test_a_logins_past_goes_with_it() -> None:
    board = followed(followed(Board(), [_reading(0.5)]), [])

    assert Board() == board


@pytest.mark.parametrize("trail", [(), ((NOW, 0.1),), ((NOW, 0.1), (NOW + 30, 0.2))])
def test_too_short_a_past_says_nothing(trail: tuple[tuple[float, float], ...]) -> None:
    assert burn_rate(trail) is None


def test_minutes_to_empty_follow_from_the_rate() -> None:
    window = Window(name="weekly", used=0.4)

    assert (60.0, None, None) == (
        minutes_to_empty(window, 0.6),
        minutes_to_empty(window, None),
        minutes_to_empty(window, 0.0),
    )
    assert 0.0 == minutes_to_empty(Window(name="weekly", used=1.2), 0.6)
    assert "c/weekly" == trail_name(_reading(0.1), window)
