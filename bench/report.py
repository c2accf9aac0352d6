"""Writes what a session found: JSON for machines, RESULTS.md for people."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from bench.goals import Verdict, added, median, ratio
from bench.session import Readings

_TITLES: Final = {
    "json_16": "Small JSON, 16 connections",
    "json_128": "Small JSON, 128 connections",
    "json_1": "Small JSON, one connection",
    "open_100": "Small JSON, 100 requests a second (open loop)",
    "large_16": "Request of 64 KB, 16 connections",
    "stream_16": "Streams of 200 events as fast as they go, large writes upstream",
    "single_16": "Streams of 200 events as fast as they go, one write per event upstream",
    "paced_100": "100 streams of one event per 10 ms",
    "most_paced": "Most streams of one event per 10 ms (p99 delay < 50 ms, two thirds delivered)",
    "idle_memory": "Memory",
    "slow_clients": "100 clients that do not read, fast streams",
    "vanished_clients": "Upstream sockets 1 s after 100 clients vanish",
}


class Column(NamedTuple):
    """One column of a table: a value, or a ratio to or a difference from another subject."""

    title: str
    value: str
    form: str = "{:,.0f}"
    over: str | None = None
    extra: bool = False  # over the direct path


_RATE: Final = (Column("req/s", "rate"), Column("x haproxy", "rate", "{:.3f}", over="haproxy"))
_CPU: Final = (Column("CPU us/req", "cpu"), Column("x haproxy", "cpu", "{:.1f}", over="haproxy"))
_TAILS: Final = (Column("p50 us", "p50"), Column("p99 us", "p99"))
_ADDED: Final = (Column("added p50", "p50", extra=True), Column("added p99", "p99", extra=True))
_EVENTS: Final = (
    Column("events/s", "rate"),
    Column("x haproxy", "rate", "{:.3f}", over="haproxy"),
    Column("CPU us/event", "cpu", "{:,.2f}"),
    Column("x haproxy", "cpu", "{:.1f}", over="haproxy"),
)
_COLUMNS: Final[Mapping[str, Sequence[Column]]] = {
    "json_16": (*_RATE, *_CPU, *_TAILS),
    "json_128": (*_RATE, *_CPU, *_TAILS),
    "json_1": (*_TAILS, *_ADDED),
    "open_100": (*_TAILS, *_ADDED, Column("CPU us/req", "cpu")),
    "large_16": (*_RATE, *_CPU, *_TAILS),
    "stream_16": _EVENTS,
    "single_16": _EVENTS,
    "paced_100": (
        Column("CPU us/event", "cpu", "{:,.1f}"),
        Column("x haproxy", "cpu", "{:.2f}", over="haproxy"),
        Column("delay p50 us", "delay_p50"),
        Column("delay p99 us", "delay_p99"),
        Column("delivered", "delivered", "{:.2f}"),
    ),
    "most_paced": (Column("streams", "streams"),),
    "idle_memory": (Column("process MB", "base", "{:,.1f}"), Column("KB a stream", "stream", "{:,.1f}")),
    "slow_clients": (Column("growth MB", "growth", "{:,.1f}"),),
    "vanished_clients": (Column("before", "before"), Column("sockets", "sockets"), Column("streams", "streams")),
}
_QUIET: Final = 0.05
_BUSY: Final = 0.95  # of the harness's core: above it, it limits


class Record(NamedTuple):
    """Everything a session leaves behind."""

    mode: str
    date: str
    command: str
    seconds: float
    rounds: int
    background: tuple[float, float]  # share of the cores that other work took: median, worst decile
    prioritised: bool
    machine: Mapping[str, str]
    subjects: Mapping[str, str]  # name -> title
    left_out: Mapping[str, str]
    readings: Readings
    verdicts: Sequence[Verdict]

    def errors(self) -> dict[str, float]:
        """Return measure/subject -> wrong answers, where there were any."""
        found = {}
        for measure, subjects in self.readings.items():
            for subject, rounds in subjects.items():
                wrong = sum(entry.get("errors", 0) for entry in rounds)
                if wrong:
                    found[f"{measure}/{subject}"] = wrong
        return found


def write_json(record: Record, path: Path) -> None:
    """Write everything, with every round."""
    data: dict[str, Any] = record._asdict()
    data["verdicts"] = [verdict.plain() for verdict in record.verdicts]
    data["errors"] = record.errors()
    path.write_text(json.dumps(data, indent=1) + "\n")


def read_json(path: Path) -> Record:
    """Read what `write_json` wrote."""
    data = json.loads(path.read_text())
    data.pop("errors")
    data["verdicts"] = [Verdict(**each) for each in data["verdicts"]]
    return Record(**data)


def write_report(record: Record, path: Path, *, plot: str, data: str) -> None:
    """Write RESULTS.md."""
    parts = [_opening(record, plot, data), _goals(record), *_tables(record), _footnotes(record)]
    path.write_text("\n\n".join(parts) + "\n")


def _opening(record: Record, plot: str, data: str) -> str:
    machine = "\n".join(f"| {name} | {value} |" for name, value in record.machine.items())
    usual, often = (f"{100 * share:.0f} %" for share in record.background)
    rounds = "one round" if record.rounds == 1 else f"{record.rounds} interleaved rounds, medians"
    noise = "" if record.background[0] < _QUIET else " **The machine was not quiet: measure again before you judge.**"
    priority = (
        "raised" if record.prioritised else "NOT raised (needs root): other work on the machine is measured along"
    )
    return f"""# Results of `{record.command}`

{record.date}, mode {record.mode}: {rounds}, {record.seconds / 60:.0f} minutes.
Other work kept the cores busy to {usual} (median), {often} in the worst tenth of the samples.{noise}
Priority of the measured sessions: {priority}.
Ratios are taken within a round. Differences under 10 % are noise. Every round is in `{data}`; how it is measured is in
[README.md](README.md).

![requests and events a second, CPU and delays]({plot})

| | |
|---|---|
{machine}"""


def _goals(record: Record) -> str:
    lines = [
        "## Against the goals",
        "",
        "| check | measured | goal | | stretch | | |",
        "|---|---|---|---|---|---|---|",
    ]
    for each in record.verdicts:
        row = (each.title, each.shown, each.goal, _mark(each.passed), each.stretch, _mark(each.stretched), each.detail)
        lines.append("| " + " | ".join(row) + " |")
    return "\n".join(lines)


def _mark(passed: bool | None) -> str:
    return "" if passed is None else "yes" if passed else "**no**"


def _tables(record: Record) -> list[str]:
    return [_table(record, measure) for measure in _TITLES if measure in record.readings]


def _table(record: Record, measure: str) -> str:
    columns = _COLUMNS[measure]
    lines = [f"## {_TITLES[measure]}", "", "| | " + " | ".join(column.title for column in columns) + " |"]
    lines.append("|---" * (len(columns) + 1) + "|")
    for subject, title in record.subjects.items():
        if subject in record.readings[measure]:
            cells = [_cell(record.readings, measure, subject, column) for column in columns]
            lines.append(f"| {title}{_remark(record, measure, subject)} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _cell(readings: Readings, measure: str, subject: str, column: Column) -> str:
    if column.over is not None:
        value = ratio(readings, measure, subject, column.over, column.value)
    elif column.extra:
        value = None if subject == "direct" else added(readings, measure, subject, column.value)
    else:
        value = median(readings, measure, subject, column.value)
    return "" if value is None else column.form.format(value)


def _remark(record: Record, measure: str, subject: str) -> str:
    if f"{measure}/{subject}" in record.errors():
        return " (errors)"
    busy = median(record.readings, measure, subject, "harness_busy")
    return " *" if busy is not None and busy > _BUSY else ""


def _footnotes(record: Record) -> str:
    lines = ["`*`: the harness's own core was busy; the subject may be faster than shown."]
    lines += [f"Left out: {name}: {reason.splitlines()[-1]}" for name, reason in record.left_out.items()]
    lines += [f"Wrong answers: {where}: {count:.0f}" for where, count in record.errors().items()]
    return "\n\n".join(lines)
