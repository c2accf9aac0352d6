"""The order of a rotation: every line of the table, and what is waited for."""

import re
from collections.abc import Mapping

import pytest

from services.credentials import rotation_plan
from services.credentials.keyring import Keyring, KeyState, MasterKey
from services.credentials.rotation_plan import Facts, Replica, Step

FIRST = Keyring.generate(bytes(range(32)))
ADDED = FIRST.added(bytes(range(32, 64)))
PROMOTED = ADDED.promoted(2)
RETIRED = PROMOTED.retired([1])


def replica(keyring: Keyring, name: str = "a") -> Replica:
    return Replica(name, keyring.primary.kid, keyring.fingerprints())


def step(keyring: Keyring, *others: Keyring, at_least: int = 0, counts: Mapping[int, int] | None = None) -> Step:
    replicas = tuple(replica(other, str(number)) for number, other in enumerate(others))
    return rotation_plan.next_step(Facts(keyring, 2, replicas, at_least, counts))


def fixed(keyring: Keyring, *others: Keyring, counts: Mapping[int, int] | None = None) -> Facts:
    """A keyring that is somebody else's to change."""
    replicas = tuple(replica(other, str(number)) for number, other in enumerate(others))
    return Facts(keyring, rotation_plan.target_of(keyring, fixed=True), replicas, 0, counts, fixed=True)


CASES = {
    "the key is not there": (step(FIRST), Step.ADD),
    "the key is not there, replicas are": (step(FIRST, FIRST), Step.ADD),
    "one replica lacks it": (step(ADDED, ADDED, FIRST), Step.DISTRIBUTE),
    "one of two replicas is silent": (step(ADDED, ADDED, at_least=2), Step.DISTRIBUTE),
    "the only replica is silent": (step(ADDED, at_least=1), Step.DISTRIBUTE),
    "nobody else runs": (step(ADDED), Step.PROMOTE),
    "all have it": (step(ADDED, ADDED, ADDED, at_least=2), Step.PROMOTE),
    "one still seals with the former": (step(PROMOTED, PROMOTED, ADDED), Step.SETTLE),
    "one came back without it": (step(PROMOTED, FIRST), Step.SETTLE),
    "one went silent": (step(PROMOTED, PROMOTED, at_least=2, counts={2: 5}), Step.SETTLE),
    "nobody counted": (step(PROMOTED, PROMOTED), Step.REENCRYPT),
    "one record is left": (step(PROMOTED, PROMOTED, counts={1: 1, 2: 9}), Step.REENCRYPT),
    "one record is unreadable": (step(PROMOTED, counts={0: 1, 2: 9}), Step.REENCRYPT),
    "no record is left": (step(PROMOTED, PROMOTED, counts={2: 9}), Step.RETIRE),
    "there are no records": (step(PROMOTED, counts={}), Step.RETIRE),
    "retired, a replica is late": (step(RETIRED, PROMOTED), Step.DONE),
    "retired": (step(RETIRED), Step.DONE),
}


@pytest.mark.parametrize("case", CASES)
def test_the_next_step_is_that_of_the_table(case: str) -> None:
    found, expected = CASES[case]

    assert found is expected


@pytest.mark.parametrize(
    ("keyring", "target"),
    [
        (FIRST, 2),
        (ADDED, 2),
        (PROMOTED, 2),
        (RETIRED, 3),
        (RETIRED.without(1), 3),
        (RETIRED.added(b"c" * 31 + b"d"), 3),
        (Keyring([MasterKey(9, bytes(range(32)), KeyState.PRIMARY)]), 10),
    ],
    ids=lambda value: str(value).replace("MasterKey", ""),
)
def test_an_unfinished_rotation_is_gone_on_with_and_a_new_one_takes_the_next_number(
    keyring: Keyring, target: int
) -> None:
    assert rotation_plan.target_of(keyring) == target


FIXED = {
    "no rotation, nobody counted": (fixed(FIRST, FIRST), Step.REENCRYPT, "0 of 0 records"),
    "no rotation": (fixed(FIRST, FIRST, counts={1: 9}), Step.DONE, "`zcode-proxy keyring add` begins one"),
    "added, not everywhere": (fixed(ADDED, ADDED, FIRST), Step.DISTRIBUTE, "key 2 has not come everywhere.*not to 1$"),
    "added": (fixed(ADDED, ADDED, ADDED), Step.PROMOTE, r"every running process \(2\) has master key 2: promote it"),
    "promoted, not everywhere": (fixed(PROMOTED, ADDED), Step.SETTLE, "seals with master key 2 yet: 0 does not"),
    "promoted": (fixed(PROMOTED, PROMOTED, counts={1: 2, 2: 3}), Step.REENCRYPT, "2 of 5 records are not under .* 2"),
    "sealed anew": (fixed(PROMOTED, PROMOTED, counts={2: 5}), Step.RETIRE, "needs master key 1 any longer: retire it"),
    "retired too early": (fixed(RETIRED, RETIRED, counts={1: 2, 2: 3}), Step.REENCRYPT, "2 of 5 records"),
    "retired": (fixed(RETIRED, RETIRED, counts={2: 5}), Step.DONE, "no rotation is under way"),
}


@pytest.mark.parametrize("case", FIXED)
def test_whoever_keeps_the_keyring_is_told_what_is_next(case: str) -> None:
    facts, expected, words = FIXED[case]

    assert rotation_plan.next_step(facts) is expected
    assert re.search(words, rotation_plan.what_next(expected, facts))


@pytest.mark.parametrize(
    ("keyring", "others", "seals"),
    [
        (FIRST, (), 1),
        (PROMOTED, (), 2),
        (PROMOTED, (PROMOTED, ADDED), 2),
        (PROMOTED, (PROMOTED, FIRST), 1),
        (RETIRED, (FIRST,), 1),
        (RETIRED.without(1), (FIRST,), 2),
        (PROMOTED, (FIRST.added(b"x" * 31 + b"y"),), 1),
        (PROMOTED, (FIRST.added(b"x" * 31 + b"y").promoted(2),), 2),
    ],
    ids=str,
)
def test_a_new_primary_seals_once_every_replica_can_open_it(
    keyring: Keyring, others: tuple[Keyring, ...], seals: int
) -> None:
    assert rotation_plan.sealing_key(keyring, [replica(other) for other in others]) == seals


def test_a_replica_whose_report_does_not_open_says_nothing_of_which_key_seals() -> None:
    assert rotation_plan.sealing_key(PROMOTED, [Replica("a", 0, {})]) == 2


def test_a_replica_with_another_key_of_the_same_number_does_not_have_the_key() -> None:
    impostor = FIRST.added(b"x" * 31 + b"y")

    assert step(ADDED, ADDED, impostor) is Step.DISTRIBUTE
    assert step(PROMOTED, impostor.promoted(2), counts={2: 1}) is Step.SETTLE


def test_who_is_waited_for_is_named_once_and_the_silent_are_counted() -> None:
    facts = Facts(PROMOTED, 2, (replica(FIRST, "old"), replica(ADDED, "late"), replica(PROMOTED, "good")), at_least=5)

    assert rotation_plan.without_key(facts) == ["old", "?", "?"]
    assert rotation_plan.unsettled(facts) == ["old", "?", "?", "late"]


def test_what_remains_is_every_record_that_is_not_under_the_target() -> None:
    assert rotation_plan.remaining({1: 3, 2: 100, 0: 1}, 2) == 4
    assert rotation_plan.former(PROMOTED) == [1]
    assert rotation_plan.former(RETIRED) == []
