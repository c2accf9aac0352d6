"""P-23: a rotation that is killed anywhere goes on when it is run again. Real processes, real kills, a real file."""

import random
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from services.credentials.rotation import Rotation
from tests.support.promises import show
from tests.support.rotating import Outcome, Trial

RECORDS = 6
PLACES = (
    "rotate.before_add",
    "rotate.added",
    "rotate.before_promote",
    "rotate.promoted",
    "rotate.before_sweep",
    "rotate.mid_sweep",
    "rotate.swept",
    "rotate.before_retire",
    "rotate.retired",
)
ROOT = Path(__file__).parents[3]


@pytest.mark.promise("P-23")
@pytest.mark.timeout(600)
@pytest.mark.parametrize("runs", [5, pytest.param(50, marks=pytest.mark.soak)])
def test_a_rotation_that_is_killed_at_any_failpoint_is_finished_by_the_next(runs: int, tmp_path: Path) -> None:
    chance = random.Random(23)
    trials = [
        Trial(str(tmp_path / f"{place}-{run}"), RECORDS, place, chance.randint(1, RECORDS) if "mid" in place else 1)
        for place in PLACES
        for run in range(runs)
    ]

    done = subprocess.run(
        [sys.executable, "-m", "tests.support.rotating", "crash"],
        input=msgspec.json.encode(trials),
        capture_output=True,
        check=False,
        cwd=ROOT,
        timeout=500,
    )

    assert done.returncode == 0, done.stderr.decode()[-2000:]
    outcomes = [msgspec.json.decode(line, type=Outcome) for line in done.stdout.splitlines()]
    show("P-23", len(outcomes), sum(not outcome.killed for outcome in outcomes))
    assert len(outcomes) == len(PLACES) * runs
    for outcome in outcomes:
        # A rotation that was killed after its last step is over: the next one is a new one, to the next key.
        last = 3 if outcome.trial.place == "rotate.retired" else 2
        assert outcome.killed, outcome
        assert outcome.counts == {last: RECORDS + 2}, outcome
        assert outcome.states == {**dict.fromkeys(range(1, last), "retired"), last: "primary"}, outcome
        assert outcome.opened == RECORDS, outcome


def test_no_failpoint_of_a_rotation_is_left_out() -> None:
    source = Path(sys.modules[Rotation.__module__].__file__ or "").read_text()

    assert source.count("failpoint(") == len(PLACES)
    assert [place for place in PLACES if f'"{place}"' not in source] == []
