"""When a credential is made anew."""

import msgspec
import pytest

from services.credentials.contract import Kind, State
from services.credentials.records import Credential, Secrets
from services.credentials.schedule import backoff, due_at, share

RECORD = Credential(
    id="crd_a",
    provider="zai",
    kind=Kind.OAUTH,
    label="",
    secrets=Secrets(),
    created_at=0.0,
    rotated_at=1000.0,
    expires_at=2000.0,
)


@pytest.mark.promise("P-12")
def test_it_is_between_70_and_80_percent_of_the_life_and_spread_out() -> None:
    moments = [due_at(msgspec.structs.replace(RECORD, id=f"crd_{n}")) or 0.0 for n in range(1000)]

    assert min(moments) >= 1700.0
    assert max(moments) <= 1800.0
    busiest = max(sum(begin <= at < begin + 1 for at in moments) for begin in range(1700, 1800))
    assert busiest < 30, "ten a second on average"


def test_replicas_agree_on_the_moment_and_a_change_of_state_moves_nothing() -> None:
    changed = msgspec.structs.replace(RECORD, state=State.COOLING, version=9)

    assert due_at(RECORD) == due_at(changed)


def test_life_begins_at_the_last_refresh() -> None:
    refreshed = msgspec.structs.replace(RECORD, refreshed_at=1900.0)

    assert 1970.0 <= (due_at(refreshed) or 0.0) <= 1980.0


@pytest.mark.parametrize("change", [{"expires_at": None}, {"kind": Kind.API_KEY}, {"state": State.LOGIN_REQUIRED}])
def test_some_are_never_due(change: dict[str, object]) -> None:
    assert due_at(msgspec.structs.replace(RECORD, **change)) is None


def test_one_that_is_over_is_due_at_once() -> None:
    assert due_at(msgspec.structs.replace(RECORD, expires_at=500.0)) == 1000.0


@pytest.mark.parametrize(
    ("failures", "retry_after", "spread", "pause"),
    [
        (0, None, 0.0, 0.5),
        (0, None, 1.0, 1.0),
        (3, None, 1.0, 8.0),
        (99, None, 1.0, 60.0),
        (0, 20.0, 0.0, 20.0),
        (0, 1e9, 0.0, 60.0),
    ],
)
def test_failures_are_followed_by_longer_pauses(
    failures: int, retry_after: float | None, spread: float, pause: float
) -> None:
    assert backoff(failures, retry_after, spread) == pause


def test_a_share_is_a_number_between_0_and_1() -> None:
    shares = [share(str(n)) for n in range(1000)]

    assert 0.0 <= min(shares) < 0.01
    assert 0.99 < max(shares) < 1.0
