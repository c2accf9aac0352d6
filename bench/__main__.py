"""`python -m bench [--quick | --full] [--no-peers]`: one session, from the compiler to the report."""

import argparse
import datetime as dt
import resource
import shutil
import signal
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

from bench import goals, machine, native_build, peers, places, report, subjects
from bench.leased import leased
from bench.loading import Mock
from bench.measures import MORE_ROUNDS, ONCE, ONCE_QUICK, ROUNDS, Bench
from bench.processes import HARNESS_CORE, pinned_here
from bench.session import Plan, Session, mock_upstream, say

_MODES: Final = {
    "quick": Plan(1, 0.5, ROUNDS, ONCE_QUICK),
    "default": Plan(3, 1.0, ROUNDS, ONCE),
    "full": Plan(5, 2.0, (*ROUNDS, *MORE_ROUNDS), ONCE),
}


def main() -> int:
    """Run one session; 0: measured and every answer of ours was right."""
    options = _options()
    reason = machine.usable()
    if reason is not None:
        say(reason)
        return 2
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was started is ended
    programs = native_build.build()
    _prepare()
    began = time.monotonic()
    with pinned_here(HARNESS_CORE), mock_upstream(programs["mock"]) as mock:
        plan = _MODES[options.mode]
        session = Session(Bench(mock, programs["load"], plan.window), _subjects(options, mock))
        session.run(plan)
    record = report.Record(
        mode=options.mode,
        date=dt.datetime.now(dt.UTC).strftime("%Y-%m-%d"),
        command=f"python -m bench{'' if options.mode == 'default' else ' --' + options.mode}",
        seconds=time.monotonic() - began,
        rounds=plan.rounds,
        background=_background(session.background),
        prioritised=session.prioritised and machine.autogroup(),
        machine=machine.describe(),
        subjects={each.name: each.title for each in session.subjects},
        left_out=session.left_out,
        readings=session.readings,
        verdicts=goals.verdicts(session.readings),
    )
    return _conclude(record, options)


def _background(samples: list[float]) -> tuple[float, float]:
    return statistics.median(samples), sorted(samples)[len(samples) * 9 // 10]


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--quick", dest="mode", action="store_const", const="quick", help="2 minutes, no peers")
    parser.add_argument("--full", dest="mode", action="store_const", const="full", help="more and longer rounds")
    parser.add_argument("--no-peers", action="store_true", help="leave other gateways out")
    parser.add_argument("--only", default="", help="names of subjects, comma-separated; no report is written")
    parser.add_argument("--report", action="store_true", help="write RESULTS.md after --quick, too")
    parser.set_defaults(mode="default")
    return parser.parse_args()


def _prepare() -> None:
    shutil.rmtree(places.RUN, ignore_errors=True)
    places.RUN.mkdir(parents=True)
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    wanted = 65536 if hard == resource.RLIM_INFINITY else min(hard, 65536)
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _subjects(options: argparse.Namespace, mock: Mock) -> list[subjects.Subject]:
    quick = options.mode == "quick"
    every = [
        *subjects.yardsticks(mock.port),
        *subjects.gateways(
            mock.port,
            transports=("pooled",) if quick else ("pooled", "httpx"),
            debian=None if quick else peers.debian_python(),
        ),
        leased(mock.port),
        *([] if quick or options.no_peers else peers.peers(mock.port)),
    ]
    wanted = [name for name in options.only.split(",") if name]
    return [each for each in every if not wanted or each.name in wanted]


def _conclude(record: report.Record, options: argparse.Namespace) -> int:
    places.RESULTS.mkdir(exist_ok=True)
    kept = not options.only and (record.mode != "quick" or options.report)
    data = places.RESULTS / f"{record.mode}.json" if kept else places.BUILD / "last.json"
    report.write_json(record, data)
    where = (places.REPORT, places.PLOT) if kept else (places.BUILD / "last.md", places.BUILD / "last.png")
    report.write_report(record, where[0], plot=where[1].name, data=str(data.relative_to(places.HERE)))
    _plot(data, where[1])
    for verdict in record.verdicts:
        mark = {True: "yes", False: "NO", None: "-"}
        print(
            f"{verdict.title:62} {verdict.shown:>16}  goal {verdict.goal:8} {mark[verdict.passed]:4}"
            f" stretch {verdict.stretch:8} {mark[verdict.stretched]}"
        )
    print(f"written: {where[0]}")
    shutil.rmtree(places.RUN, ignore_errors=True)
    wrong = {name: count for name, count in record.errors().items() if "/gw-" in name}
    if wrong:
        say(f"wrong answers: {wrong}")
    return 1 if wrong else 0


def _plot(data: Path, target: Path) -> None:
    """Draw with the interpreter that has matplotlib; `make bench` provides it."""
    python = places.PROJECT / ".venv-bench" / "bin" / "python"
    program = python if python.exists() else Path(sys.executable)
    done = subprocess.run([program, "-m", "bench.plot", data, target], cwd=places.PROJECT, check=False)
    if done.returncode != 0:
        say("no plot: matplotlib is not installed (make bench installs it)")


if __name__ == "__main__":
    sys.exit(main())
