"""The last minute in numbers, the last errors, the plan and the credentials; nothing that is secret."""

from typing import Any

import pytest

from services.gateway.observation import Observation
from services.gateway.quota import Balance, Board, Reading, followed
from services.gateway.quota import Window as PlanWindow
from services.gateway.status import Credential, Load, Sources, Status
from services.gateway.translation.streams.events import Usage
from tests.support.clock import ManualClock

NOW = 1_000.0
LOAD = Load(phase="ready", streams=3, in_flight=4, waiting=5, slots=200)
CREDENTIAL = Credential(id="crd_1", provider="zai", plan="coding-plan", state="cooling", until=7.0)


class _Desk:
    def __init__(self, board: Board | None = None) -> None:
        self.clock = ManualClock(monotonic=NOW)
        sources = Sources(
            version="1.2.3",
            simulated=True,
            load=lambda: LOAD,
            board=lambda: board or Board(),
            credentials=lambda: (CREDENTIAL,),
        )
        self.status = Status(sources, self.clock)


def _seen(ended_at: float = NOW, **fields: Any) -> Observation:
    seen = Observation("POST", "/v1/messages", "request-id", ended_at - 2.0)
    seen.model, seen.status, seen.ended_at = "glm-5.2", 200, ended_at
    for name, value in fields.items():
        setattr(seen, name, value)
    return seen


def test_a_minute_is_counted_and_then_forgotten() -> None:
    desk = _Desk()
    desk.status.take(
        [_seen(NOW - 30, usage=Usage(output=30)), _seen(usage=Usage(output=60)), _seen(), _seen(status=500)]
    )
    view = desk.status.view()
    assert (4 / 60, 1.5, 0.25) == (view.requests_per_second, view.tokens_per_second, view.failing)
    assert (60, 30) == (view.tokens[-1], view.tokens[-31])
    assert 60 == len(view.tokens)

    desk.clock.advance(61)
    view = desk.status.view()
    assert (0, 0, 0, None) == (view.requests_per_second, view.tokens_per_second, view.failing, view.first_token)
    assert 1 == len(view.errors)  # they are kept however old


def test_times_are_a_median_and_what_most_stay_within() -> None:
    desk = _Desk()
    desk.status.take([_seen(first_byte_at=NOW - 2 + number / 100, overhead=number / 1e5) for number in range(100)])
    view = desk.status.view()

    assert (pytest.approx(0.5), pytest.approx(0.95)) == view.first_token
    assert (pytest.approx(0.0005), pytest.approx(0.00095)) == view.overhead


def test_the_newest_errors_are_kept_and_clients_that_left_are_none() -> None:
    desk = _Desk()
    desk.status.take([_seen(status=429, code=f"c{number}", upstream_code="1302") for number in range(50)])
    desk.status.take([_seen(status=499, cancelled=True)])
    errors = desk.status.view().errors

    assert 20 == len(errors)
    assert ("c49", "1302", 429, "request-id") == (
        errors[0].code,
        errors[0].upstream_code,
        errors[0].status,
        errors[0].request_id,
    )
    assert desk.clock.now() == errors[0].at


@pytest.mark.promise("P-51")
def test_what_looks_like_a_secret_is_not_shown() -> None:
    desk = _Desk()
    secret = "zrp_abcdefghij27_" + "k" * 43
    desk.status.take([_seen(status=400, model=secret, upstream_code=f"Bearer {secret}")])
    (error,) = desk.status.view().errors

    assert "k" * 10 not in error.model + error.upstream_code
    assert "[not a code]" == error.upstream_code
    desk.status.take([_seen(status=400, model="m" * 5000)])
    assert 64 == len(desk.status.view().errors[0].model)


def test_the_plan_is_shown_by_window_and_balance() -> None:
    windows = tuple(PlanWindow(name="five_hours", used=used, resets_at=9.0) for used in (0.4, 0.7))
    reading = Reading(provider="zai", plan="coding-plan", credential="c", at=0.0, level="pro", windows=windows[:1])
    later = Reading(provider="zai", plan="coding-plan", credential="c", at=1800.0, level="pro", windows=windows[1:])
    balance = Balance(name="Start", unit="tokens", total=10, used=4, remaining=6, expires_at=8.0)
    start = Reading(provider="zai", plan="start-plan", credential="d", at=0.0, balances=(balance,))
    view = _Desk(followed(followed(Board(), [reading]), [later, start])).status.view()

    first, second = view.windows
    assert ("zai pro", "5 hours", 0.7, 9.0) == (first.account, first.name, first.used, first.resets_at)
    assert pytest.approx(30.0) == first.minutes_to_empty
    assert ("zai start-plan", "Start", 0.4, 8.0, None) == (
        second.account,
        second.name,
        second.used,
        second.resets_at,
        second.minutes_to_empty,
    )


def test_what_is_read_elsewhere_is_passed_on() -> None:
    view = _Desk().status.view()

    assert (LOAD, (CREDENTIAL,), "1.2.3", True) == (view.load, view.credentials, view.version, view.simulated)
