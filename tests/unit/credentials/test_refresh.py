"""
The refresh machine by playbook: what is asked, what is answered, and how it ends.

    Play(refresh(RECORD, ROTATE, POLICY)) >> Acquire(1) << Granted(1) >> Intend(RECORD) << True …
"""

from typing import Any, Self

import msgspec
import pytest

from services.credentials.contract import Kind, State
from services.credentials.records import Credential, Secrets
from services.credentials.refresh import (
    Acquire,
    Call,
    Commit,
    End,
    Forget,
    Hold,
    Intend,
    Mark,
    Outcome,
    Pause,
    Policy,
    Read,
    Recover,
    Refused,
    Steps,
    contested,
    epoch,
    prevails,
    refresh,
    renewed,
)
from services.credentials.stores.port import Busy, Granted, Stale
from services.credentials.token_provider import (
    InvalidGrant,
    OutcomeUnknown,
    RefreshedSecrets,
    RefreshMode,
    TransientFailure,
)

ROTATE, RESOLVE = RefreshMode.ROTATE, RefreshMode.RESOLVE
POLICY = Policy(lease=30.0, provider=10.0, patience=0.5, unknown_pause=1.0)
RECORD = Credential(
    id="crd_a",
    provider="zai",
    kind=Kind.OAUTH,
    label="",
    secrets=Secrets(refresh_token="one", access_token="a"),
    created_at=0.0,
    rotated_at=0.0,
    version=1,
)
ANSWER = RefreshedSecrets(secrets=Secrets(refresh_token="two", access_token="b"), expires_in=100.0)
NEWER = msgspec.structs.replace(RECORD, secrets=ANSWER.secrets, rotated_at=9.0, refreshed_at=9.0, version=2)
OTHER_STATE = msgspec.structs.replace(RECORD, state=State.COOLING, version=2)
MARKED = msgspec.structs.replace(RECORD, state=State.LOGIN_REQUIRED, version=2)


class Play:
    """Runs a machine: `>>` is the step it must ask for next, `<<` what it is answered."""

    def __init__(self, steps: Steps) -> None:
        self._steps = steps
        self._step: Any = next(steps)
        self.outcome: Outcome | None = None

    def __rshift__(self, expected: object) -> Self:
        if isinstance(expected, Outcome):
            assert expected == self.outcome
        else:
            assert expected == self._step
        return self

    def __lshift__(self, reply: Any) -> Self:
        assert self.outcome is None
        try:
            self._step = self._steps.send(reply)
        except StopIteration as end:
            self._step, self.outcome = None, end.value
        return self


def calling(mode: RefreshMode = ROTATE, *, unused: bool = True) -> Play:
    """Return a machine that has the lease and is about to call."""
    play = Play(refresh(RECORD, mode, POLICY)) >> Acquire(1) << Granted(7)
    if mode is ROTATE:
        play = play >> Intend(RECORD) << unused
        if not unused:
            play = play >> Pause(2.0) << None >> Recover() << None >> Read() << RECORD
    return play >> Hold() << True >> Call(RECORD)


def test_a_token_is_used_once_and_the_answer_committed() -> None:
    calling() << ANSWER >> Commit(RECORD, ANSWER) << NEWER >> Outcome(End.REFRESHED, NEWER)


def test_a_stored_access_token_needs_no_intent() -> None:
    calling(RESOLVE) << ANSWER >> Commit(RECORD, ANSWER) << NEWER >> Outcome(End.REFRESHED, NEWER)


def test_an_answer_that_comes_too_late_gives_way() -> None:
    other = msgspec.structs.replace(NEWER, secrets=Secrets(refresh_token="three"))

    calling() << ANSWER >> Commit(RECORD, ANSWER) << other >> Outcome(End.NEWER, other)


def test_with_the_store_away_the_answer_is_pending() -> None:
    calling() << ANSWER >> Commit(RECORD, ANSWER) << None >> Outcome(End.PENDING, RECORD)


def test_what_is_newer_is_used_instead() -> None:
    Play(refresh(RECORD, ROTATE, POLICY)) >> Acquire(1) << Stale(2) >> Read() << NEWER >> Outcome(End.NEWER, NEWER)


def test_another_state_is_no_reason_to_use_the_token_less() -> None:
    play = Play(refresh(RECORD, ROTATE, POLICY)) >> Acquire(1) << Stale(2) >> Read() << OTHER_STATE

    play >> Acquire(2) << Granted(1) >> Intend(OTHER_STATE) << True >> Hold() << True >> Call(OTHER_STATE)


def test_a_holder_is_waited_for_until_patience_ends() -> None:
    play = Play(refresh(RECORD, ROTATE, POLICY))
    for _ in range(2):
        play = play >> Acquire(1) << Busy(20.0) >> Pause(0.25) << None >> Read() << RECORD

    play >> Acquire(1) << Busy(20.0) >> Outcome(End.BUSY, RECORD)


def test_a_holder_that_is_done_is_noticed_while_waiting() -> None:
    play = Play(refresh(RECORD, ROTATE, POLICY)) >> Acquire(1) << Busy(0.1) >> Pause(0.1) << None

    play >> Read() << NEWER >> Outcome(End.NEWER, NEWER)


def test_a_lease_that_is_lost_before_the_call_stops_it() -> None:
    play = Play(refresh(RECORD, ROTATE, POLICY)) >> Acquire(1) << Granted(1) >> Intend(RECORD) << True

    play >> Hold() << False >> Outcome(End.BUSY, RECORD)


def test_whoever_used_a_token_gets_a_moment_and_the_spool_is_looked_into() -> None:
    play = Play(refresh(RECORD, ROTATE, POLICY)) >> Acquire(1) << Granted(1) >> Intend(RECORD) << False

    play >> Pause(2.0) << None >> Recover() << None >> Read() << NEWER >> Outcome(End.NEWER, NEWER)


def test_a_transient_failure_forgets_the_intent_and_keeps_everything() -> None:
    failure = TransientFailure("busy", 7.0)

    calling() << failure >> Forget(RECORD) << None >> Outcome(End.LATER, RECORD, 7.0)


def test_a_transient_failure_does_not_forget_the_intent_of_somebody_else() -> None:
    calling(unused=False) << TransientFailure("busy") >> Outcome(End.LATER, RECORD)


def test_an_unknown_outcome_is_tried_once_more_with_the_same_token() -> None:
    play = calling() << OutcomeUnknown("cut") >> Pause(1.0) << None >> Hold() << True >> Call(RECORD)

    play << ANSWER >> Commit(RECORD, ANSWER) << NEWER >> Outcome(End.REFRESHED, NEWER)


def test_an_outcome_that_stays_unknown_is_not_given_up() -> None:
    play = calling() << OutcomeUnknown("cut") >> Pause(1.0) << None >> Hold() << True >> Call(RECORD)

    play << OutcomeUnknown("cut") >> Outcome(End.LATER, RECORD)


def test_an_unused_token_that_is_refused_needs_a_login() -> None:
    play = calling() << InvalidGrant("no") >> Recover() << None >> Read() << RECORD

    play >> Mark(RECORD, "invalid_grant") << MARKED >> Outcome(End.LOGIN_REQUIRED, MARKED)


def test_a_refusal_is_forgotten_when_the_spool_held_the_answer() -> None:
    calling() << InvalidGrant("no") >> Recover() << None >> Read() << NEWER >> Outcome(End.NEWER, NEWER)


def test_a_mark_that_comes_too_late_gives_way() -> None:
    play = calling() << InvalidGrant("no") >> Recover() << None >> Read() << RECORD

    play >> Mark(RECORD, "invalid_grant") << NEWER >> Outcome(End.NEWER, NEWER)


@pytest.mark.parametrize("first", [OutcomeUnknown("cut"), None])
def test_a_token_that_may_have_been_used_is_refused_twice_before_a_login_is_needed(
    first: OutcomeUnknown | None,
) -> None:
    if first is None:
        play = calling(unused=False)
    else:
        play = calling() << first >> Pause(1.0) << None >> Hold() << True >> Call(RECORD)
    play = play << InvalidGrant("no") >> Refused(RECORD) << 0.0
    play = play >> Pause(50.0) << None >> Recover() << None >> Read() << RECORD
    play = play >> Hold() << True >> Call(RECORD) << InvalidGrant("no") >> Recover() << None >> Read() << RECORD

    play >> Mark(RECORD, "invalid_grant") << MARKED >> Outcome(End.LOGIN_REQUIRED, MARKED)


def test_whoever_used_the_token_first_is_waited_for() -> None:
    play = calling(unused=False) << InvalidGrant("no") >> Refused(RECORD) << 0.0 >> Pause(50.0) << None

    play >> Recover() << None >> Read() << NEWER >> Outcome(End.NEWER, NEWER)


def test_the_wait_for_whoever_used_the_token_counts_from_its_first_refusal() -> None:
    """An attempt that lost its lease while it waited goes on from there."""
    play = calling(unused=False) << InvalidGrant("no") >> Refused(RECORD) << 30.0 >> Pause(20.0) << None

    play >> Recover() << None >> Read() << RECORD >> Hold() << False >> Outcome(End.BUSY, RECORD)


def test_who_cannot_be_at_it_any_more_is_not_waited_for() -> None:
    play = calling(unused=False) << InvalidGrant("no") >> Refused(RECORD) << 50.0

    play = play >> Recover() << None >> Read() << RECORD >> Mark(RECORD, "invalid_grant") << MARKED
    play >> Outcome(End.LOGIN_REQUIRED, MARKED)


def test_a_login_that_was_found_lost_since_it_was_read_is_left_alone() -> None:
    play = Play(refresh(RECORD, ROTATE, POLICY)) >> Acquire(1) << Stale(2)

    play >> Read() << MARKED >> Outcome(End.LOGIN_REQUIRED, MARKED)


def test_a_login_that_is_found_lost_while_its_holder_is_waited_for_is_left_alone() -> None:
    play = Play(refresh(RECORD, ROTATE, POLICY)) >> Acquire(1) << Busy(0.1) >> Pause(0.1) << None

    play >> Read() << MARKED >> Outcome(End.LOGIN_REQUIRED, MARKED)


def test_a_login_that_is_found_lost_a_moment_after_its_use_is_left_alone() -> None:
    play = Play(refresh(RECORD, ROTATE, POLICY)) >> Acquire(1) << Granted(1) >> Intend(RECORD) << False

    play >> Pause(2.0) << None >> Recover() << None >> Read() << MARKED >> Outcome(End.LOGIN_REQUIRED, MARKED)


@pytest.mark.parametrize("unused", [True, False])
def test_a_login_that_somebody_else_has_given_up_is_not_given_up_again(unused: bool) -> None:
    play = calling(unused=unused) << InvalidGrant("no")
    if not unused:
        play = play >> Refused(RECORD) << 0.0 >> Pause(50.0) << None

    play >> Recover() << None >> Read() << MARKED >> Outcome(End.LOGIN_REQUIRED, MARKED)


def test_a_person_may_try_a_login_that_was_lost_before() -> None:
    again = msgspec.structs.replace(MARKED, version=3)
    play = Play(refresh(MARKED, ROTATE, POLICY)) >> Acquire(2) << Stale(3) >> Read() << again

    play >> Acquire(3) << Granted(1) >> Intend(again) << True >> Hold() << True >> Call(again)


@pytest.mark.parametrize("step", ["call", "read", "refused"])
def test_an_answer_of_the_wrong_kind_is_a_bug(step: str) -> None:
    reply = True
    play = calling() if step == "call" else Play(refresh(RECORD, ROTATE, POLICY)) << Stale(2)
    if step == "refused":
        play = calling(unused=False) << InvalidGrant("no")

    with pytest.raises(TypeError):
        play << reply


def test_the_moment_is_short_beside_a_lease() -> None:
    assert Policy(lease=5.0).heed == 0.5


def test_the_epoch_is_of_the_secrets_alone() -> None:
    assert epoch(RECORD) == epoch(OTHER_STATE) == epoch(MARKED)
    assert epoch(RECORD) != epoch(NEWER)
    assert epoch(NEWER) != epoch(msgspec.structs.replace(NEWER, refreshed_at=10.0)), "the same key, made anew"


def test_the_epoch_is_the_same_for_a_release_that_knows_of_more_secrets() -> None:
    """Else what one release has spooled would be no answer to the record that another one reads (P-68)."""
    fields = [*Secrets.__struct_fields__, "later"]
    grown = msgspec.defstruct("Grown", [(name, str | None, None) for name in reversed(fields)], frozen=True)
    held = {name: value for name, value in msgspec.structs.asdict(RECORD.secrets).items() if value is not None}

    assert epoch(RECORD) == epoch(msgspec.structs.replace(RECORD, secrets=grown(**held)))
    assert epoch(RECORD) != epoch(msgspec.structs.replace(RECORD, secrets=grown(**held, later="x")))


@pytest.mark.parametrize(
    ("made_from", "fence", "wins", "disputed"),
    [
        ("", 0, True, False),  # nobody has touched it
        ("basis", 6, True, True),  # an older holder was faster
        ("basis", 8, False, True),  # a newer holder was
        ("basis", 7, False, False),  # it is this very answer
        ("other", 6, False, False),  # it has long moved on
    ],
)
def test_which_of_two_answers_prevails(made_from: str, fence: int, wins: bool, disputed: bool) -> None:
    basis = epoch(RECORD)
    record = RECORD if not made_from else msgspec.structs.replace(NEWER, made_from=made_from, fence=fence)
    if made_from == "basis":
        record = msgspec.structs.replace(record, made_from=basis)

    assert (prevails(record, basis, 7), contested(record, basis, 7)) == (wins, disputed)


def test_a_renewed_record_has_the_answer_and_its_own_times() -> None:
    record = renewed(MARKED, ANSWER, 50.0, made_from="e", fence=7)

    assert (record.secrets, record.rotated_at, record.refreshed_at, record.expires_at) == (
        ANSWER.secrets,
        50.0,
        50.0,
        150.0,
    )
    assert (record.state, record.made_from, record.fence) == (State.READY, "e", 7)


def test_a_renewal_with_the_same_secrets_rotates_nothing_and_ends_no_cooling() -> None:
    answer = RefreshedSecrets(secrets=OTHER_STATE.secrets, user_id="u")
    record = renewed(OTHER_STATE, answer, 50.0, made_from="e", fence=7)

    assert (record.rotated_at, record.refreshed_at, record.expires_at) == (0.0, 50.0, None)
    assert (record.state, record.user_id) == (State.COOLING, "u")
