"""
The whole protocol of a refresh in virtual time, by thousands of short histories (promises.md P-10, P-10b, P-11, P-17).

What real processes show in minutes, at moments that chance picks, is tried here at every step between two of them:
the store does what it was asked and does not say so, or does it late; replicas are killed, asked to end, or stopped;
disks are full, or go with their replica. A history follows from its seed: `World(seed, rules)` plays it again.

Shown to fail once by: one try to commit at the end; an answer kept in memory that nobody commits when the disk is full; a
token that is used again as soon as the store is back after more than a lease; a login given up once more, and said to be,
by whoever had read it before; a loss that nobody said because the store was silent when it was written; an attempt that
begins anew whenever it has lost its lease, and never ends (so it was, all six, and is mended); attempts cancelled at the end; a spool that is looked into only for what the process itself has left there.
"""

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.credentials.contract import State
from services.credentials.refresh import Policy
from tests.component.credentials.conftest import show
from tests.support.refresh_world import Outcome, Rules, World

FEW = 10
MANY = 200
_TWICE = 0.1  # of histories: a loss is said by two when the first could not write what would have told the second

# Nobody dies without saying so, and the provider answers: a token is used once, whatever becomes of the store.
CALM = {
    "the store stumbles": Rules(stumbles=0.15),
    "the store goes away": Rules(stumbles=0.05, outages=3, outage=20.0),
    "the store goes away for longer than a lease": Rules(stumbles=0.05, outages=3, outage=90.0, seconds=300.0),
    "the store goes away with the answer": Rules(stumbles=0.02, away_at_answer=0.7, outage=70.0, seconds=300.0),
    "the store goes away with the answer, and replicas end": Rules(away_at_answer=0.7, outage=60.0, ends=2),
    "a replica is cut off from the store": Rules(away_at_answer=0.3, alone=True, outage=25.0, seconds=200.0),
    "replicas end": Rules(stumbles=0.1, ends=4),
    "replicas end, over one spool": Rules(stumbles=0.1, ends=4, outages=1, shared=True),
    "replicas end, and their disks with them": Rules(stumbles=0.05, ends=4, outages=2, outage=15.0, pods=True),
    "no disk takes anything now and then": Rules(stumbles=0.05, ends=2, full_disk=0.5),
}
# Replicas die or sleep over their leases, and the provider takes a used token for a while, or just refuses it.
GRACE = {
    "replicas are killed": Rules(stumbles=0.05, kills=4, grace=120.0, seconds=200.0),
    "replicas are killed, and their disks with them": Rules(stumbles=0.05, kills=4, grace=120.0, pods=True),
    "replicas are stopped": Rules(stumbles=0.05, stops=3, grace=120.0),
    "a replica is cut off from the store for longer than a lease": Rules(
        away_at_answer=0.3, alone=True, outage=200.0, seconds=300.0
    ),
    "answers are cut off": Rules(stumbles=0.05, cut=0.2, unreachable=0.2, grace=120.0),
}
# The provider takes no token any more: that is said once, by who finds it out, and the token is left alone from then on.
REVOKED = {
    "a login is revoked": Rules(revoked=True),
    "a login is revoked while the store stumbles": Rules(revoked=True, stumbles=0.1),
    "a login is revoked while replicas end": Rules(revoked=True, stumbles=0.05, ends=3),
    "a login is revoked while replicas are killed": Rules(revoked=True, stumbles=0.05, kills=4),
    "a login is revoked on a machine that is too slow to keep a lease": Rules(
        revoked=True, replicas=1, kills=2, starved=0.25, policy=Policy(lease=5.0, provider=2.0)
    ),
}
# Sentinels give a master up that is alive: for some seconds it takes what nobody will ever have.
FAILOVER = {
    "a master is given up and goes on answering": Rules(superseded=4, seconds=200.0),
    "a master is given up and goes on answering, and replicas end": Rules(superseded=4, ends=3, seconds=200.0),
    "a master is given up and goes on answering, and stumbles": Rules(superseded=4, stumbles=0.05, seconds=200.0),
}
# And all of it at once, without such grace: then a login may be lost, and is said to be.
ALL = {"everything": Rules(stumbles=0.1, ends=2, kills=2, stops=2, outages=2, unreachable=0.2, cut=0.1, full_disk=0.1)}


def _histories(rules: Rules, directory: Path, runs: int) -> Iterator[tuple[int, Outcome]]:
    for seed in range(runs):
        random.seed(seed)  # what the broker itself draws
        (here := directory / str(seed)).mkdir()
        yield seed, World(seed, rules).run(here)


def _played(promise: str, rules: Rules, directory: Path, runs: int) -> None:
    calls = reused = given_up = twice = 0
    wrong = []
    for seed, outcome in _histories(rules, directory, runs):
        calls, reused = calls + outcome.calls, reused + outcome.reused
        given_up += outcome.state is State.LOGIN_REQUIRED
        twice += outcome.said > outcome.losses
        if not outcome.settled or _wrong(rules, outcome):
            wrong.append(seed)
    show(promise, runs, len(wrong), calls=calls, reused=reused, given_up=given_up, said_twice=twice)
    assert wrong == [], f"seeds {wrong[:10]}"
    assert calls >= 2 * runs, "too little was going on to mean anything"
    assert twice <= _TWICE * runs


def _wrong(rules: Rules, outcome: Outcome) -> bool:
    """Say whether it ended otherwise than it may under these rules."""
    calm = not (rules.kills or rules.ends or rules.stumbles)  # else what was said may not get written: see _TWICE
    said = outcome.said == outcome.losses if calm else outcome.said >= outcome.losses
    calm_enough = (*CALM.values(), *FAILOVER.values())
    again = rules in calm_enough and outcome.reused
    gone = rules in (*calm_enough, *GRACE.values()) and outcome.lost
    vain = rules in REVOKED.values() and not rules.starved and outcome.vain
    return bool(not said or again or gone or vain)


CASES = [
    pytest.param(promise, rules, id=name, marks=pytest.mark.promise(promise))
    for promise, cases in (("P-11", CALM), ("P-10", GRACE), ("P-16", FAILOVER), ("P-10b", REVOKED), ("P-10b", ALL))
    for name, rules in cases.items()
]


@pytest.mark.parametrize(("promise", "rules"), CASES)
def test_histories_end_well(promise: str, rules: Rules, tmp_path: Path) -> None:
    _played(promise, rules, tmp_path, FEW)


@pytest.mark.soak
@pytest.mark.timeout(900)
@pytest.mark.parametrize(("promise", "rules"), CASES)
def test_hundreds_of_histories_end_well(promise: str, rules: Rules, tmp_path: Path) -> None:
    _played(promise, rules, tmp_path, MANY)


def _in_time(directory: Path, runs: int) -> None:
    """A store that fails one call in twenty, and a login of 10 to 40 s that is due 2 s or more before its end."""
    shares = [outcome.expired for _, outcome in _histories(Rules(stumbles=0.05), directory, runs)]
    share = sum(shares) / runs

    show("P-12", runs, sum(share > 0 for share in shares), share=round(share, 5), worst=round(max(shares), 4))
    assert share < 0.005


@pytest.mark.promise("P-12")
def test_a_store_that_stumbles_keeps_no_refresh_waiting(tmp_path: Path) -> None:
    """Shown to fail once by: leaving leases that nobody has to their end (1.4 % of the time past the end)."""
    _in_time(tmp_path, 40)


@pytest.mark.soak
@pytest.mark.timeout(900)
@pytest.mark.promise("P-12")
def test_a_store_that_stumbles_keeps_no_refresh_waiting_in_hundreds_of_histories(tmp_path: Path) -> None:
    _in_time(tmp_path, MANY)
