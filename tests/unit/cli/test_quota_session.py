"""What is left of a plan, as people and scripts read it."""

import os
import time
from collections.abc import Iterator

import pytest

from services.cli.quota_session import ago, as_text, bar, moment, shown, span
from services.gateway.quota import Balance, Board, Reading, Window, followed

NOW = 1_800_000_000.0  # 2027-01-15 08:00 UTC


@pytest.fixture(autouse=True)
def in_berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    yield
    monkeypatch.undo()
    os.environ.pop("TZ", None)
    time.tzset()


def _reading(used: float, at: float, **more: object) -> Reading:
    window = Window(name="five_hours", used=used, resets_at=NOW + 2 * 3600)
    return Reading(
        provider="zai", plan="coding-plan", credential="config", at=at, level="pro", windows=(window,), **more
    )  # type: ignore[arg-type]


def _burning(first: float, last: float) -> Board:
    return followed(followed(Board(), [_reading(first, NOW - 1800)]), [_reading(last, NOW)])


def test_a_window_is_a_bar_with_its_reset_in_local_time_and_its_end() -> None:
    text = as_text(_burning(0.4, 0.7), NOW)

    assert "zai coding-plan (pro), config, as of now" in text
    assert "█" * 21 + "░" * 9 + "  70.0% used" in text
    assert "begins anew 11:00 (in 2 h 00 min)" in text
    assert "burns 60.0% an hour, empty in 30 min" in text


def test_a_window_that_lasts_is_said_to() -> None:
    assert "burns 2.0% an hour, lasts until then" in as_text(_burning(0.10, 0.11), NOW)


def test_a_balance_is_what_is_left() -> None:
    balance = Balance(name="Start", unit="tokens", total=1000, used=250, remaining=750, expires_at=NOW + 3 * 86400)
    reading = Reading(provider="zai", plan="start-plan", credential="config", at=NOW - 600, balances=(balance,))
    text = as_text(Board(readings=(reading,)), NOW)

    assert "as of 10 min ago" in text
    assert "750 of 1,000 tokens left, until Mon 18 Jan 09:00" in text


def test_json_has_what_the_bars_have() -> None:
    ((window,),) = [entry["windows"] for entry in shown(_burning(0.4, 0.7), NOW)]

    assert {"name": "five_hours", "used": 0.7, "seconds_to_reset": 7200.0}.items() <= window.items()
    assert (0.6, 30.0) == (pytest.approx(window["burn_per_hour"]), pytest.approx(window["minutes_to_empty"]))


def test_nothing_known_is_said() -> None:
    assert "no key and no login" in as_text(Board(), NOW)


def test_lengths_and_times_are_short() -> None:
    assert ["0 min", "5 min", "1 h 05 min", "2 d 3 h"] == [span(-5), span(300), span(3900), span(2 * 86400 + 3 * 3600)]
    assert ["09:00", "Sat 16 Jan 09:00"] == [moment(NOW, NOW), moment(NOW + 86400, NOW)]
    assert ["as of now", "as of 2 min ago"] == [ago(10), ago(100)]
    assert ["░░░░", "██░░", "████"] == [bar(-1, 4), bar(0.5, 4), bar(9, 4)]
