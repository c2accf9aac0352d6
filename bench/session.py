"""One session: starts everything, goes round, ends everything. What comes out is plain data for the report."""

import contextlib
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from bench.loading import LoadFailed, Mock
from bench.machine import others
from bench.measures import Bench, Measure, Target, Values, warm_up
from bench.peers import Unavailable
from bench.places import RUN
from bench.processes import HARNESS_CORE, DidNotStart, Process, free_port
from bench.requests import CLIENT_KEY, UPSTREAM_KEY
from bench.subjects import Direct, Server, Subject

# measure -> subject -> one entry per round
Readings = dict[str, dict[str, list[Values]]]


_SETTLE: Final = 0.15  # seconds between two readings


class Plan(NamedTuple):
    """How thorough a session is."""

    rounds: int
    window: float
    measures: Sequence[Measure]
    once: Sequence[Measure]


class Session:
    """Runs a plan over subjects."""

    def __init__(self, bench: Bench, subjects: Sequence[Subject]) -> None:
        self._bench = bench
        self.subjects = list(subjects)
        self.readings: Readings = {}
        self.left_out: dict[str, str] = {}
        self.prioritised = True
        self.background: list[float] = []  # how busy others keep the cores, sampled before every reading

    def run(self, plan: Plan) -> None:
        """Go through all rounds, then through what runs once."""
        with contextlib.ExitStack() as stack:
            targets = self._started(stack)
            for target in targets:
                warm_up(self._bench, target)
            for number in range(plan.rounds):
                for measure in plan.measures:
                    self._round(measure, targets, f"round {number + 1}/{plan.rounds}")
        for measure in plan.once:
            for target in targets:
                if measure.of(target.subject) and not isinstance(target.subject.server, Direct):
                    with target.subject.server.start() as process:
                        values = self._measure(measure, Target(target.subject, process), "once")
                    self._keep(measure, target.subject.name, [values])

    def _round(self, measure: Measure, targets: Sequence[Target], where: str) -> None:
        """Measure everybody, and those whom a goal compares closely in further turns among themselves."""
        seen: dict[str, list[Values]] = {}
        for turn in range(measure.turns):
            for target in targets:
                name = target.subject.name
                if measure.of(target.subject) and (turn == 0 or name in measure.again):
                    seen.setdefault(name, []).append(self._measure(measure, target, f"{where}, turn {turn + 1}"))
        for name, turns in seen.items():
            self._keep(measure, name, turns)

    def _keep(self, measure: Measure, subject: str, turns: Sequence[Values]) -> None:
        self.readings.setdefault(measure.name, {}).setdefault(subject, []).append(merged(turns))

    def _started(self, stack: contextlib.ExitStack) -> list[Target]:
        running: dict[str, Process] = {}
        targets = []
        for subject in self.subjects:
            server = subject.server
            try:
                if server.name not in running:
                    running[server.name] = self._start(server, stack)
                targets.append(Target(subject, running[server.name]))
            except (Unavailable, DidNotStart, FileNotFoundError) as error:
                self.left_out[subject.name] = str(error)
                say(f"left out: {subject.name}: {error}")
        return targets

    def _start(self, server: Server, stack: contextlib.ExitStack) -> Process:
        if isinstance(server, Direct):
            return self._bench.mock.process
        process = stack.enter_context(server.start())
        self.prioritised &= process.prioritised
        return process

    def _measure(self, measure: Measure, target: Target, where: str) -> Values:
        name = target.subject.name
        self.background.append(others(_SETTLE))
        try:
            values = measure.run(self._bench, target)
        except (LoadFailed, subprocess.TimeoutExpired) as error:
            values = {"errors": 1.0}
            say(f"{measure.name} {name}: {error}")
        time.sleep(target.subject.lingers)
        say(f"{where}  {measure.name:17} {name:16} {_shown(values)}")
        return values


def merged(turns: Sequence[Values]) -> Values:
    """Return one reading for the turns of a round: the median of each value, and every error."""
    names = dict.fromkeys(name for turn in turns for name in turn)
    found = {name: [turn[name] for turn in turns if name in turn] for name in names}
    return {name: sum(each) if name.endswith("errors") else statistics.median(each) for name, each in found.items()}


@contextlib.contextmanager
def mock_upstream(program: Path) -> Iterator[Mock]:
    """Run the mock upstream on the harness's core."""
    port = free_port()
    command = [program, str(port), UPSTREAM_KEY, CLIENT_KEY]
    with Process(command, port, RUN / "mock.log", core=HARNESS_CORE) as process:
        time.sleep(0.1)
        yield Mock(process)


def say(line: str) -> None:
    """Tell the person who waits."""
    print(line, file=sys.stderr, flush=True)


def _shown(values: dict[str, Any]) -> str:
    return "  ".join(f"{name} {value:,.4g}" for name, value in values.items())
