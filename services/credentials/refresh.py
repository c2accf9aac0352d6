"""
One refresh of one credential, decided step by step (promises.md C3). Pure: `refresher.py` carries the steps out.

Theory of operation. A refresh token may be good for one use only, and two uses may end the whole login. So whoever
uses one holds the record's lease, has said beforehand that he is about to (the intent), and writes what he got to a
spool on disk before anything else. The lease is a courtesy that saves calls. What keeps newer data from being
overwritten is that an answer is committed only over the very secrets it was got with (`epoch`), or over what an older
holder got with the same ones (`fence`): a holder that was paused, a spool that is replayed late, a report that changed
the record's state meanwhile are all decided by that. Two answers for one token are contested: whichever was kept, the
provider may think that the other one is newest, so what was kept is used again at once, while grace lasts.

    step       asks                                        answers
    Read       the record                                  Credential
    Acquire    the lease, if the record is not newer       Granted | Busy | Stale
    Pause      so many seconds                             -
    Intend     to note that this token is about to be used True: nobody has used it before
    Hold       is the lease still ours                     bool
    Call       the provider                                RefreshedSecrets | ProviderFailure
    Refused    to note that this token was refused         float: seconds since that was noted first
    Recover    commit what any spool at hand still holds   -
    Commit     spool, then commit, then unspool            Credential, ours or a newer one | None: store away, spooled
    Forget     the intent: the token was not used          -
    Mark       login_required                              Credential

    state       event                           next
    waiting     Busy                            Pause, Read; moved on: as below; too long: BUSY
                Stale                           Read; moved on: as below; else again
                Granted                         Intend; calling
    used        somebody noted it before us     Pause a moment, Recover, Read; moved on: as below; else calling
    calling     lease lost                      BUSY: somebody else is at it
                answer                          Commit: REFRESHED, NEWER or, with the store away, PENDING
                transient                       Forget; LATER
                outcome unknown, first time     Pause (at most 5 s), calling: a provider with grace answers the same
                outcome unknown, again          LATER: not known to be spent, so not given up
                invalid grant                   refused
    refused     nobody used the token before us Recover, Read; moved on: as below; else Mark: LOGIN_REQUIRED
                somebody may have, and may      Refused; Pause for as long as he may still be at it, Recover, Read;
                still be at it                  moved on: as below; else calling
                he cannot any more              Recover, Read; moved on: as below; else Mark: LOGIN_REQUIRED
    moved on    newer secrets                   NEWER
                found to need a login meanwhile LOGIN_REQUIRED: the token is dead, and somebody has said so

Invariants: no Call without a lease held a moment before, nor with a token that was read to be dead since the attempt
began (a person may try one that was dead before); no second Commit; every end is reached within a bounded number of
steps; nothing is ever removed. A token that was refused stays so, whoever uses it next: the wait for those who used it
before counts from the first refusal, so that an attempt which loses its lease meanwhile need not begin it anew.
"""

from collections.abc import Generator
from enum import Enum
from hashlib import sha256
from typing import Final, TypeAlias

import msgspec

from services.credentials.contract import State
from services.credentials.records import Credential
from services.credentials.stores.port import Busy, Granted, Stale
from services.credentials.token_provider import (
    InvalidGrant,
    OutcomeUnknown,
    ProviderFailure,
    RefreshedSecrets,
    RefreshMode,
    TransientFailure,
)

UNKNOWN_PAUSE: Final = 1.0  # seconds before the same token is used again; grace periods are short
_HEED: Final = 2.0  # seconds; several tries to commit, by a replica that had to wait for the store
_BUSY_STEP: Final = 0.25  # seconds between two looks whether the holder is done


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """The times a refresh goes by, in seconds."""

    lease: float = 30.0
    provider: float = 10.0  # deadline of one call
    patience: float = 25.0  # how long to wait for another holder
    unknown_pause: float = UNKNOWN_PAUSE

    @property
    def orphan_wait(self) -> float:
        """How long another user of the same token may still be on his way to a commit."""
        return 2 * self.provider + self.lease

    @property
    def heed(self) -> float:
        """How long somebody who has used a token gets to commit what came of it, before it is used again."""
        return min(_HEED, self.lease / 10)


class Read(msgspec.Struct, frozen=True):
    pass


class Acquire(msgspec.Struct, frozen=True):
    seen: int


class Pause(msgspec.Struct, frozen=True):
    seconds: float


class Intend(msgspec.Struct, frozen=True):
    record: Credential


class Hold(msgspec.Struct, frozen=True):
    pass


class Call(msgspec.Struct, frozen=True):
    record: Credential


class Refused(msgspec.Struct, frozen=True):
    record: Credential


class Recover(msgspec.Struct, frozen=True):
    pass


class Commit(msgspec.Struct, frozen=True):
    basis: Credential
    answer: RefreshedSecrets


class Forget(msgspec.Struct, frozen=True):
    record: Credential


class Mark(msgspec.Struct, frozen=True):
    basis: Credential
    reason: str


Step: TypeAlias = Read | Acquire | Pause | Intend | Hold | Call | Refused | Recover | Commit | Forget | Mark
Reply: TypeAlias = Credential | Granted | Busy | Stale | bool | float | RefreshedSecrets | ProviderFailure | None


class End(Enum):
    """How a refresh ended."""

    REFRESHED = "refreshed"
    NEWER = "newer"  # somebody else has done it
    PENDING = "pending"  # done, but the store is away: it is in the spool
    LATER = "later"  # nothing changed, because the provider failed; try again, ever more slowly
    BUSY = "busy"  # nothing changed, because somebody else is at it or the store is away; look again soon
    LOGIN_REQUIRED = "login_required"


class Outcome(msgspec.Struct, frozen=True):
    """How a refresh ended, and the record as far as it is known then."""

    end: End
    record: Credential
    retry_after: float | None = None


Steps: TypeAlias = Generator[Step, Reply, Outcome]


def epoch(record: Credential) -> str:
    """
    Name a record's secrets: equal as long as nobody has made them anew, whatever else changes in the record.

    What is not there is not named, so that releases which know of other kinds of secrets agree on those they share.
    """
    held = {name: secret for name, secret in msgspec.structs.asdict(record.secrets).items() if secret is not None}
    text = msgspec.json.encode((sorted(held.items()), record.rotated_at, record.refreshed_at))
    return sha256(text).hexdigest()[:32]


def prevails(record: Credential, epoch_: str, fence: int) -> bool:
    """Say whether an answer got with the secrets of `epoch_`, under a lease of `fence`, replaces a record's."""
    return epoch(record) == epoch_ or (record.made_from == epoch_ and record.fence < fence)


def contested(record: Credential, epoch_: str, fence: int) -> bool:
    """Say whether a record's secrets were got with the same ones as such an answer, by somebody else."""
    return record.made_from == epoch_ and record.fence != fence


def renewed(record: Credential, answer: RefreshedSecrets, now: float, *, made_from: str, fence: int) -> Credential:
    """Return a record with a provider's answer in it; `now` by the store's clock, in seconds since the epoch."""
    changed = answer.secrets != record.secrets
    spent = record.state is State.LOGIN_REQUIRED  # proven wrong by this very answer
    return msgspec.structs.replace(
        record,
        secrets=answer.secrets,
        user_id=answer.user_id or record.user_id,
        rotated_at=now if changed else record.rotated_at,
        refreshed_at=now,
        expires_at=None if answer.expires_in is None else now + answer.expires_in,
        state=State.READY if spent else record.state,
        reason="" if spent else record.reason,
        made_from=made_from,
        fence=fence,
    )


def refresh(record: Credential, mode: RefreshMode, policy: Policy) -> Steps:
    """Make a record anew; every yield is a step to carry out, its value what came of it."""
    got = yield from _acquire(record, policy)
    if isinstance(got, Outcome):
        return got
    # A stored access token is not spent by its use, so it does not matter who has used it.
    unused = mode is not RefreshMode.ROTATE or (yield Intend(got)) is True
    if not unused:
        # What came of it may lie in a spool at hand, or in that of a replica for which the store was away until now,
        # and for longer than its lease lasted: using the token again would be a second use for nothing.
        yield Pause(policy.heed)
        if (moved := _moved_on(got, (yield from _look()))) is not None:
            return moved
    return (yield from _use(got, policy, unused))


def _use(record: Credential, policy: Policy, unused: bool) -> Steps:
    """Use the token, at most three times: once, once more after an unknown outcome, once more after an orphan."""
    answer = yield from _call(record)
    if isinstance(answer, OutcomeUnknown):
        unused = False  # it may have been used by ourselves
        yield Pause(policy.unknown_pause)
        answer = yield from _call(record)
    if (
        isinstance(answer, InvalidGrant)
        and not unused
        and (left := policy.orphan_wait - (yield from _since(record))) > 0
    ):
        # Whoever used it before us may be about to commit.
        yield Pause(left)
        if (moved := _moved_on(record, (yield from _look()))) is not None:
            return moved
        answer = yield from _call(record)
    if isinstance(answer, InvalidGrant):
        return (yield from _give_up(record))
    if isinstance(answer, RefreshedSecrets):
        return (yield from _commit(record, answer))
    if isinstance(answer, TransientFailure):
        if unused:
            yield Forget(record)
        return Outcome(End.LATER, record, answer.retry_after)
    return Outcome(End.BUSY if answer is None else End.LATER, record)


def _acquire(record: Credential, policy: Policy) -> Generator[Step, Reply, Credential | Outcome]:
    """Get the lease over this record, or find that it is not needed any more."""
    waited = 0.0
    while True:
        got = yield Acquire(record.version)
        if isinstance(got, Granted):
            return record
        if isinstance(got, Busy):
            if waited >= policy.patience:
                return Outcome(End.BUSY, record)
            pause = min(got.seconds, _BUSY_STEP)
            yield Pause(pause)
            waited += max(pause, 0.01)
        newer = _record((yield Read()))
        if (moved := _moved_on(record, newer)) is not None:
            return moved
        record = newer


def _commit(basis: Credential, answer: RefreshedSecrets) -> Generator[Step, Reply, Outcome]:
    committed = yield Commit(basis, answer)
    if committed is None:
        return Outcome(End.PENDING, basis)
    record = _record(committed)
    return Outcome(End.REFRESHED if record.secrets == answer.secrets else End.NEWER, record)


def _call(record: Credential) -> Generator[Step, Reply, RefreshedSecrets | ProviderFailure | None]:
    """Call the provider, if the lease is still ours; None when it is not."""
    if (yield Hold()) is not True:
        return None
    answer = yield Call(record)
    if not isinstance(answer, (RefreshedSecrets, ProviderFailure)):
        raise TypeError(f"a provider does not answer with {type(answer).__name__}")
    return answer


def _moved_on(record: Credential, newer: Credential) -> Outcome | None:
    """Return how it ends when somebody else has made the secrets anew, or has found them dead, since we read them."""
    if epoch(newer) != epoch(record):
        return Outcome(End.NEWER, newer)
    if newer.state is State.LOGIN_REQUIRED and record.state is not State.LOGIN_REQUIRED:
        return Outcome(End.LOGIN_REQUIRED, newer)
    return None


def _since(record: Credential) -> Generator[Step, Reply, float]:
    """Note a refusal; return how many seconds ago the first one of this token was."""
    seconds = yield Refused(record)
    if not isinstance(seconds, float):
        raise TypeError(f"a number of seconds was asked for, not {type(seconds).__name__}")
    return seconds


def _look() -> Generator[Step, Reply, Credential]:
    """Commit what a spool still holds, then read."""
    yield Recover()
    return _record((yield Read()))


def _give_up(record: Credential) -> Steps:
    if (moved := _moved_on(record, (yield from _look()))) is not None:
        return moved
    marked = _record((yield Mark(record, "invalid_grant")))
    return Outcome(End.LOGIN_REQUIRED if epoch(marked) == epoch(record) else End.NEWER, marked)


def _record(reply: Reply) -> Credential:
    if not isinstance(reply, Credential):
        raise TypeError(f"a record was asked for, not {type(reply).__name__}")
    return reply
