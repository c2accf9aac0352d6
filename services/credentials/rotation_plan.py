"""
The order of a master-key rotation, decided from facts. Pure; `rotation.py` does what is decided.

Theory of operation. A rotation has no state of its own: what has been done can be seen in the keyring, in what the
replicas report and in the records. So a rotation that was killed anywhere goes on when it is started again, and doing a
step twice does nothing. No replica ever meets a record that it cannot open, because the key is everywhere before
anything is sealed with it, and stays until nothing is.

    target key is   replicas                       records               next step
    absent          -                              -                     ADD          as `decrypt`: opens only
    decrypt         some do not have it yet        -                     DISTRIBUTE   wait for them
    decrypt         all have it                    -                     PROMOTE      it seals from now on
    primary         some seal with another key     -                     SETTLE       wait for them
    primary         all seal with it               some under others     REENCRYPT    one by one, by compare-and-swap
    primary         all seal with it               all under it          RETIRE       all others open only backups
    primary         -                              -, no other key left  DONE

A replica counts as having a key when it reports the same fingerprint, not the same number. Source: promises.md C1.4.
"""

from collections.abc import Mapping, Sequence
from enum import Enum

import msgspec

from services.credentials.keyring import Keyring, KeyState


class Step(Enum):
    """What is to be done next."""

    ADD = "add"
    DISTRIBUTE = "distribute"
    PROMOTE = "promote"
    SETTLE = "settle"
    REENCRYPT = "re-encrypt"
    RETIRE = "retire"
    DONE = "done"


class Replica(msgspec.Struct, frozen=True):
    """What a running replica says of its keyring."""

    id: str
    primary: int
    fingerprints: dict[int, str]


class Facts(msgspec.Struct, frozen=True):
    """What can be seen from outside. `counts` is records per key id; None while nobody needs to count."""

    keyring: Keyring
    target: int
    replicas: tuple[Replica, ...] = ()
    at_least: int = 0  # so many replicas must report, because somebody knows how many run
    counts: Mapping[int, int] | None = None


def target_of(keyring: Keyring) -> int:
    """Return the key that an unfinished rotation was heading for, else the number of the key to be added."""
    ahead = [key.kid for key in keyring if key.state is KeyState.DECRYPT]
    if not ahead:
        return max(key.kid for key in keyring) + 1
    return max(*ahead, keyring.primary.kid)


def next_step(facts: Facts) -> Step:
    """Return the next step by the table above."""
    target = facts.keyring.find(facts.target)
    if target is None:
        return Step.ADD
    if target.state is not KeyState.PRIMARY:
        return Step.DISTRIBUTE if without_key(facts) else Step.PROMOTE
    if not former(facts.keyring):
        return Step.DONE
    if unsettled(facts):
        return Step.SETTLE
    if facts.counts is None or remaining(facts.counts, facts.target):
        return Step.REENCRYPT
    return Step.RETIRE


def former(keyring: Keyring) -> list[int]:
    """Return the keys that are on their way out."""
    return [key.kid for key in keyring if key.state is KeyState.DECRYPT]


def without_key(facts: Facts) -> list[str]:
    """Name the replicas that do not have the target key; a replica that is expected and silent is called `?`."""
    wanted = facts.keyring.fingerprints()[facts.target]
    return [
        *(replica.id for replica in facts.replicas if replica.fingerprints.get(facts.target) != wanted),
        *_silent(facts),
    ]


def unsettled(facts: Facts) -> list[str]:
    """Name the replicas that may still seal with another key than the target."""
    lacking = without_key(facts)
    return [*lacking, *(each.id for each in facts.replicas if each.primary != facts.target and each.id not in lacking)]


def remaining(counts: Mapping[int, int], target: int) -> int:
    """Return how many records are not under the target key."""
    return sum(count for kid, count in counts.items() if kid != target)


def _silent(facts: Facts) -> Sequence[str]:
    return "?" * max(0, facts.at_least - len(facts.replicas))
