"""Retries stay below the traffic, and never repeat what may have been acted on."""

import pytest

from services.gateway.retries import NEVER, NOT_SENT, RetryBudget, Rule, delay, rule_for
from services.gateway.translation.errors import read_fault
from services.gateway.translation.fault import Action, Fault
from services.gateway.transport_faults import fault_of
from services.gateway.upstream.transport import ConnectionLost


def _fault(action: Action, status: int = 503, **more: object) -> Fault:
    return Fault(status=status, upstream_status=status, message="m", action=action, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize("action", set(Action) - {Action.RETRY, Action.THROTTLE, Action.OVERLOAD})
def test_what_a_retry_cannot_mend_is_not_tried_again(action: Action) -> None:
    assert NEVER == rule_for(_fault(action))


@pytest.mark.parametrize(("status", "times"), [(500, 1), (408, 1), (425, 1), (502, 2), (503, 2), (504, 2), (529, 2)])
def test_server_trouble_is_tried_again_by_status(status: int, times: int) -> None:
    assert times == rule_for(_fault(Action.RETRY, status)).times


def test_an_overloaded_model_is_given_a_second_at_least() -> None:
    assert delay(rule_for(_fault(Action.OVERLOAD, 429)), 0, 0.0) == pytest.approx(1.0)


def test_a_long_retry_after_is_the_clients_to_wait() -> None:
    assert NEVER == rule_for(_fault(Action.RETRY, retry_after=5.1))
    assert NEVER != rule_for(_fault(Action.RETRY, retry_after=5.0))


def test_an_upstream_that_says_do_not_is_heeded() -> None:
    assert NEVER == rule_for(_fault(Action.RETRY, should_retry=False))


@pytest.mark.promise("P-41")
@pytest.mark.parametrize(("status", "times"), [(302, 0), (403, 0), (404, 0), (408, 1), (502, 2)])
def test_a_page_from_something_in_between_is_not_asked_for_again(status: int, times: int) -> None:
    assert times == rule_for(read_fault(status, b"<html>Checking your browser")).times


@pytest.mark.promise("P-41")
@pytest.mark.parametrize("fault", [fault_of(ConnectionLost("reset")), read_fault(200, b"")], ids=["broken", "empty"])
def test_an_answer_that_had_begun_is_not_asked_for_again(fault: Fault) -> None:
    assert NEVER == rule_for(fault)


def test_the_delay_grows_and_is_capped_and_jittered() -> None:
    rule = Rule(9, base=1.0, cap=4.0)

    assert [1.0, 2.0, 4.0, 4.0] == [delay(rule, attempt, 1.0) for attempt in range(4)]
    assert 0.0 == delay(rule, 3, 0.0)


def test_the_delay_is_never_shorter_than_what_the_upstream_asked_for() -> None:
    assert 3.0 == delay(NOT_SENT, 0, 0.5, retry_after=3.0)


def test_after_the_last_retry_there_is_none() -> None:
    assert delay(NOT_SENT, 1, 0.5) is not None
    assert delay(NOT_SENT, 2, 0.5) is None
    assert delay(NEVER, 0, 0.5) is None


def test_the_budget_lets_a_fifth_of_the_traffic_be_repeated() -> None:
    budget = RetryBudget(share=0.2, per_second=0.0, window=0.0)
    for _ in range(100):
        budget.request()

    assert not budget.spend(0.0)  # with no window nothing is kept

    budget = RetryBudget(share=0.25, per_second=1.0, window=10.0)
    granted = sum(budget.spend(0.0) for _ in range(100))
    for _ in range(40):
        budget.request()
    granted_after = sum(budget.spend(0.0) for _ in range(100))

    assert 10 == granted
    assert 10 == granted_after


def test_the_budget_refills_with_time_up_to_its_window() -> None:
    budget = RetryBudget(share=0.2, per_second=3.0, window=10.0)
    while budget.spend(0.0):
        pass

    assert 3 == sum(budget.spend(1.0) for _ in range(10))
    assert 30 == sum(budget.spend(1000.0) for _ in range(100))
