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

Where the keyring is somebody else's to change, as a Kubernetes Secret is, the table is the same, but ADD, PROMOTE and
RETIRE are theirs: `what_next` says it to them. No key that is asked for is ADD then, and DONE comes only when every
record has been counted under the primary.

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
    fixed: bool = False  # the keyring is not ours to change


def target_of(keyring: Keyring, *, fixed: bool = False) -> int:
    """
    Return the key that an unfinished rotation was heading for, else the number of the key to be added.

    In a keyring that is `fixed` nothing is added: there it is the primary.
    """
    ahead = former(keyring)
    if not ahead and not fixed:
        return max(key.kid for key in keyring) + 1
    return max([*ahead, keyring.primary.kid])


def next_step(facts: Facts) -> Step:
    """Return the next step by the table above."""
    target = facts.keyring.find(facts.target)
    if target is None:
        return Step.ADD
    if target.state is not KeyState.PRIMARY:
        return Step.DISTRIBUTE if without_key(facts) else Step.PROMOTE
    if not former(facts.keyring) and not facts.fixed:
        return Step.DONE
    if unsettled(facts):
        return Step.SETTLE
    if facts.counts is None or remaining(facts.counts, facts.target):
        return Step.REENCRYPT
    return Step.RETIRE if former(facts.keyring) else Step.DONE


def what_next(step: Step, facts: Facts) -> str:
    """Say to whoever keeps the keyring what stands between here and the end of a rotation, and what to do about it."""
    key = f"master key {facts.target}"
    match step:
        case Step.DISTRIBUTE:
            lacking = ", ".join(without_key(facts))
            return f"{key} has not come everywhere yet, which takes a cluster up to two minutes: not to {lacking}"
        case Step.PROMOTE:
            count = len(facts.replicas)
            return f"every running process ({count}) has {key}: promote it, with `zcode-proxy keyring promote`"
        case Step.SETTLE:
            return f"not every running process seals with {key} yet: {', '.join(unsettled(facts))} does not"
        case Step.REENCRYPT:
            left, total = remaining(facts.counts or {}, facts.target), sum((facts.counts or {}).values())
            return f"{left} of {total} records are not under {key} yet: `zcode-proxy rotate master` seals them anew"
        case Step.RETIRE:
            keys = ", ".join(map(str, former(facts.keyring)))
            return f"no record needs master key {keys} any longer: retire it, with `zcode-proxy keyring retire`"
        case _:
            return "no rotation is under way; `zcode-proxy keyring add` begins one"


def sealing_key(keyring: Keyring, replicas: Sequence[Replica]) -> int:
    """
    Return which key of a new keyring may seal now: the primary, once every replica can open what it seals.

    Until then it is what another replica seals with, if that is here; so a keyring that came in one piece, without the
    steps in between, cuts nobody off.
    """
    primary = keyring.primary.kid
    fingerprints = keyring.fingerprints()
    if all(each.fingerprints.get(primary) == fingerprints[primary] for each in replicas):
        return primary
    theirs = {
        each.primary for each in replicas if each.fingerprints.get(each.primary) == fingerprints.get(each.primary)
    }
    return max((kid for kid in theirs if kid in fingerprints and kid != primary), default=primary)


def former(keyring: Keyring) -> list[int]:
    """Return the keys that are on their way out, or not in yet."""
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
