"""How much of a request's time was spent here."""

from services.gateway.observation import Observation


def _observation() -> Observation:
    return Observation("POST", "/v1/messages", "id", 100.0)


def test_a_request_that_never_went_upstream_spent_all_its_time_here() -> None:
    assert 5.0 == _observation().spent_here(105.0)


def test_waiting_for_the_head_of_the_answer_is_not_our_time() -> None:
    observation = _observation()
    observation.sent_at, observation.head_at = 101.0, 103.0

    assert 3.0 == observation.spent_here(105.0)


def test_nor_is_waiting_for_what_follows_the_head() -> None:
    observation = _observation()
    observation.sent_at, observation.head_at, observation.heard_at = 101.0, 103.0, 104.5

    assert 1.5 == observation.spent_here(105.0)


def test_while_the_upstream_is_silent_our_time_stands_still() -> None:
    observation = _observation()
    observation.sent_at = 101.0

    assert 1.0 == observation.spent_here(105.0)


def test_until_told_otherwise_nothing_is_known() -> None:
    observation = _observation()

    assert (0, False, 0, None, None, 100.0) == (
        observation.status,
        observation.cancelled,
        observation.attempts,
        observation.usage,
        observation.overhead,
        observation.ended_at,
    )
