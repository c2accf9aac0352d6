"""
What is measured of each subject, one function per measure. All of them check every answer.

`ROUNDS` are repeated, interleaved over the subjects; `ONCE` need a fresh process or take long, and run once.
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

from bench.loading import END, Load, Mock, Result
from bench.processes import Process
from bench.requests import Dialect, large, request, small
from bench.subjects import Subject

Values = dict[str, float]

EVENTS: Final = 200  # of an unpaced answer
BODY: Final = 1498  # bytes of the mock's small answer
PACE: Final = 10_000  # microseconds between two events of a paced stream
DELAY_LIMIT: Final = 50_000  # microseconds, at the 99th percentile
LADDER: Final = (100, 150, 200, 300, 400, 500, 600, 700, 850, 1000, 1150, 1300)
_MEGABYTE: Final = 1024 * 1024


class Bench(NamedTuple):
    """What a measure works with."""

    mock: Mock
    load: Path
    window: float  # seconds of one measurement


class Target(NamedTuple):
    """A subject that is running."""

    subject: Subject
    process: Process


def _load(bench: Bench, target: Target, data: bytes) -> Load:
    direct = target.process is bench.mock.process
    pids = [] if direct else target.process.pids
    return Load(bench.load, target.process.port, data, pids=[*pids, *bench.mock.process.pids])


def _request(target: Target, *, stream: bool = False, big: bool = False) -> bytes:
    subject = target.subject
    body = large(subject.dialect, model=subject.model) if big else small(stream=stream, model=subject.model)
    return request(subject.dialect, body, key=subject.key, path=subject.path, extra=subject.headers)


def _common(bench: Bench, target: Target, result: Result, count: int) -> Values:
    """Return what every measure tells: errors, CPU per `count`, and how busy the harness's own core was."""
    mock_cpu = result["cpu"][-1]
    cpu = sum(result["cpu"][:-1])
    window = result["seconds"] * 1e6
    values: Values = {
        "errors": result["errors"] + result["stuck_counts"],
        "busy": cpu / window,
        "harness_busy": (mock_cpu + result["own_cpu"]) / window,
    }
    if result["errors"]:
        values |= {f"{name} errors": number for name, number in result["faults"].items() if number}
        values["status"] = result["status"]
    if target.process is not bench.mock.process and count:
        values["cpu"] = cpu / count
    return values


def _run(bench: Bench, target: Target, data: bytes, *options: object, warm: float, seconds: float) -> Result:
    result = _load(bench, target, data).run("-w", warm, "-t", seconds, *options, seconds=warm + seconds)
    result["stuck_counts"] = 0
    return result


def _batch(bench: Bench, target: Target, connections: int, *, big: bool = False) -> tuple[Result, Values]:
    size = ("-b", BODY) if target.subject.passes_bytes else ()
    data = _request(target, big=big)
    result = _run(bench, target, data, "-c", connections, "-e", 1, *size, warm=0.4, seconds=bench.window)
    return result, _common(bench, target, result, result["answers"])


def warm_up(bench: Bench, target: Target) -> None:
    """Let just-in-time compilers, pools and caches settle; nothing is measured."""
    _run(bench, target, _request(target), "-c", 16, warm=bench.window, seconds=bench.window)


def json_16(bench: Bench, target: Target) -> Values:
    """Small JSON, 16 connections: requests a second, CPU a request."""
    result, values = _batch(bench, target, 16)
    return values | {"rate": result["answers"] / result["seconds"], **_latency(result)}


def json_128(bench: Bench, target: Target) -> Values:
    """Small JSON, 128 connections."""
    result, values = _batch(bench, target, 128)
    return values | {"rate": result["answers"] / result["seconds"], **_latency(result)}


def json_1(bench: Bench, target: Target) -> Values:
    """Small JSON, one connection: latency."""
    result, values = _batch(bench, target, 1)
    return values | {"rate": result["answers"] / result["seconds"], **_latency(result)}


def large_16(bench: Bench, target: Target) -> Values:
    """A coding agent's request of 64 KB, 16 connections: CPU a request."""
    result, values = _batch(bench, target, 16, big=True)
    return values | {"rate": result["answers"] / result["seconds"], **_latency(result)}


def open_100(bench: Bench, target: Target) -> Values:
    """Small JSON, 100 requests a second whatever the answers do: latency from the moment a request was due."""
    data = _request(target)
    seconds = 2 * bench.window
    result = _run(bench, target, data, "-c", 16, "-r", 100, "-e", 1, warm=0.4, seconds=seconds)
    return _common(bench, target, result, result["answers"]) | {"missed": result["missed"], **_latency(result)}


def stream_16(bench: Bench, target: Target) -> Values:
    """Streams of 200 events as fast as they go, sent in large writes."""
    bench.mock.shape(events=EVENTS)
    return _unpaced(bench, target)


def single_16(bench: Bench, target: Target) -> Values:
    """Streams of 200 events as fast as they go, one write each."""
    bench.mock.shape(events=EVENTS, single=True)
    return _unpaced(bench, target)


def _unpaced(bench: Bench, target: Target) -> Values:
    data = _request(target, stream=True)
    end = END[target.subject.dialect]
    result = _run(bench, target, data, "-c", 16, "-e", EVENTS, "-E", end, warm=0.4, seconds=bench.window)
    bench.mock.shape()
    return _common(bench, target, result, result["events"]) | {"rate": result["events"] / result["seconds"]}


def paced_100(bench: Bench, target: Target) -> Values:
    """100 streams of one event per 10 ms each: CPU an event, delay from the mock's write to the client's read."""
    return _paced(bench, target, 100, max(bench.window, 1.0))


def _paced(bench: Bench, target: Target, streams: int, seconds: float) -> Values:
    ramp = max(0.5, streams / 600)
    length = int((ramp + 1 + seconds + 5) * 1e6 / PACE)
    bench.mock.shape(events=length, pace=PACE)
    data = _request(target, stream=True)
    load = _load(bench, target, data)
    options = ("-c", streams, "-R", ramp, "-w", 1, "-t", seconds)
    result = load.run(*options, seconds=ramp + 1 + seconds)
    result["stuck_counts"] = 0
    bench.mock.shape()
    offered = streams * result["seconds"] * 1e6 / PACE
    delay = result["delay"] or {"p50": float("inf"), "p99": float("inf")}
    return _common(bench, target, result, result["events"]) | {
        "delivered": result["events"] / offered,
        "delay_p50": delay["p50"],
        "delay_p99": delay["p99"],
    }


def most_paced(bench: Bench, target: Target) -> Values:
    """The most streams of one event per 10 ms with a p99 delay under 50 ms and two thirds delivered, on a ladder."""
    low, high = -1, len(LADDER)
    while high - low > 1:
        middle = (low + high) // 2
        seen = _paced(bench, target, LADDER[middle], max(bench.window, 1.0))
        good = seen["delay_p99"] < DELAY_LIMIT and seen["delivered"] >= 2 / 3 and not seen["errors"]
        low, high = (middle, high) if good else (low, middle)
    return {"streams": LADDER[low] if low >= 0 else 0, "errors": 0}


def idle_memory(bench: Bench, target: Target) -> Values:
    """Memory of a process per open stream that is silent after its first event."""
    streams = 1000
    _run(bench, target, _request(target), "-c", 16, "-e", 1, warm=0.1, seconds=0.5)
    time.sleep(0.3)
    base = target.process.memory()
    bench.mock.shape(events=EVENTS, hold=True)
    with _load(bench, target, _request(target, stream=True)).held("-c", streams, "-R", 1.5, wait=20):
        time.sleep(1.0)
        full = target.process.memory()
    bench.mock.shape()
    return {"base": base / _MEGABYTE, "stream": (full - base) / streams / 1024, "errors": 0}


def slow_clients(bench: Bench, target: Target) -> Values:
    """Memory that 100 clients which do not read make a process take, on streams as fast as they go."""
    _run(bench, target, _request(target), "-c", 16, "-e", 1, warm=0.1, seconds=0.5)
    base = most = target.process.memory()
    bench.mock.shape(events=200_000)
    with _load(bench, target, _request(target, stream=True)).held("-c", 100, "-R", 0.2, "-N", wait=20):
        until = time.monotonic() + max(4.0, 4 * bench.window)
        while time.monotonic() < until:
            most = max(most, target.process.memory())
            time.sleep(0.1)
    bench.mock.shape()
    return {"growth": (most - base) / _MEGABYTE, "errors": 0}


def vanished_clients(bench: Bench, target: Target) -> Values:
    """Upstream sockets one second after 100 clients of running streams hung up."""
    bench.mock.shape(events=6000, pace=PACE)
    with _load(bench, target, _request(target, stream=True)).held("-c", 100, "-R", 0.3, wait=20):
        time.sleep(0.5)
        before = bench.mock.statistics()["connections"]
    time.sleep(1.0)
    after = bench.mock.statistics()
    bench.mock.shape()
    return {"before": before, "sockets": after["connections"], "streams": after["streams"], "errors": 0}


def _latency(result: Result) -> Values:
    latency = result["latency"] or {}
    return {name: latency[name] for name in ("p50", "p99") if name in latency}


def _streaming(subject: Subject) -> bool:
    return subject.streams


class Measure(NamedTuple):
    """
    One measure: its function, and which subjects it makes sense for.

    Those that are named in `again` are compared by a few percent, or by the difference of two differences; they are
    measured in so many `turns` of each round.
    """

    name: str
    run: Callable[[Bench, Target], Values]
    of: Callable[[Subject], bool] = lambda _: True
    turns: int = 1
    again: tuple[str, ...] = ()


ROUNDS: Final = (
    Measure("json_16", json_16, turns=3, again=("haproxy", "gw-aa", "gw-aa-cred")),
    Measure("json_1", json_1),
    Measure("large_16", large_16),
    Measure("open_100", open_100, turns=5, again=("direct", "haproxy", "floor", "gw-aa")),
    Measure("stream_16", stream_16, _streaming),
    Measure("single_16", single_16, _streaming),
    Measure("paced_100", paced_100, lambda subject: subject.streams and subject.name != "litellm"),
)
MORE_ROUNDS: Final = (Measure("json_128", json_128),)

_CORE: Final = ("haproxy", "nginx", "gw-aa", "gw-oo", "gw-oa", "gw-ao")
_PACED: Final = ("haproxy", "nginx", "gw-aa", "gw-oa")
_QUICK: Final = ("haproxy", "gw-aa", "gw-oa")


def once(core: tuple[str, ...], paced: tuple[str, ...]) -> tuple[Measure, ...]:
    """Return the measures that need a fresh process or take long, for these subjects."""
    return (
        Measure("most_paced", most_paced, lambda subject: subject.name in paced),
        Measure("idle_memory", idle_memory, lambda subject: subject.name in core),
        Measure("slow_clients", slow_clients, lambda subject: subject.name in core),
        Measure("vanished_clients", vanished_clients, lambda subject: subject.name in core),
    )


ONCE: Final = once(_CORE, _PACED)
ONCE_QUICK: Final = once(_QUICK, _QUICK[:2])

__all__ = ["MORE_ROUNDS", "ONCE", "ONCE_QUICK", "ROUNDS", "Bench", "Dialect", "Measure", "Target", "Values"]
