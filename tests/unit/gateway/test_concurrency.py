"""A limit follows a crowd down, is cut when it was wrong, grows by one a round, and is forgotten in time."""

import pytest

from services.gateway.concurrency import Limit


@pytest.mark.parametrize(("running", "allowed"), [(1, 1), (2, 1), (3, 2), (9, 8), (100, 99)])
def test_the_first_refusal_says_that_what_ran_beside_it_was_enough(running: int, allowed: int) -> None:
    assert Limit(running, 0.0).allowed == allowed


def test_a_crowd_that_is_refused_together_leaves_room_for_those_that_were_taken() -> None:
    limit = Limit(16, 0.0)
    for running in range(15, 4, -1):
        limit.refused(running, 0, 0.1)

    assert limit.allowed == 4


def test_a_late_refusal_of_an_old_crowd_makes_no_more_room() -> None:
    limit = Limit(6, 0.0)
    limit.refused(20, 0, 0.1)

    assert limit.allowed == 5


def test_a_refusal_under_the_limit_takes_a_quarter_once_for_each_ticket() -> None:
    limit = Limit(9, 0.0)
    limit.refused(8, limit.cuts, 0.2)
    assert limit.allowed == 6
    limit.refused(8, 1, 0.2)
    assert limit.allowed == 6
    limit.refused(6, limit.cuts, 0.3)

    assert limit.allowed == 4


def test_a_refusal_with_fewer_running_than_allowed_goes_by_those() -> None:
    limit = Limit(101, 0.0)
    limit.refused(8, limit.cuts, 1.0)

    assert limit.allowed == 6


def test_it_never_falls_below_one() -> None:
    limit = Limit(1, 0.0)
    for _ in range(5):
        limit.refused(1, limit.cuts, 1.0)

    assert limit.allowed == 1


def test_a_round_at_the_limit_makes_room_for_one_more() -> None:
    limit = Limit(5, 0.0)
    grown = []
    for _ in range(4 + 5 + 6):
        limit.passed(limit.allowed)
        grown.append(limit.allowed)

    assert grown == [4] * 3 + [5] * 5 + [6] * 6 + [7]


def test_what_passes_below_the_limit_proves_nothing() -> None:
    limit = Limit(5, 0.0)
    for _ in range(100):
        limit.passed(3)

    assert limit.allowed == 4


def test_it_is_over_ten_minutes_after_the_last_refusal() -> None:
    limit = Limit(8, 0.0)
    limit.refused(4, 0, 100.0)

    assert not limit.is_over(699.0)
    assert limit.is_over(700.0)
