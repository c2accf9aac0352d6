"""Draws a session: `python -m bench.plot results/default.json results.png`. The only part that needs matplotlib."""

import sys
from pathlib import Path
from typing import Any, Final

import matplotlib as mpl

mpl.use("Agg")

from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, NullLocator

from bench.goals import median
from bench.report import Record, read_json

_COLOURS: Final = {
    "other proxies": "#8a8f98",
    "this gateway, passed through": "#1f6feb",
    "this gateway, translating": "#0f9d8a",
    "other gateways": "#e08a2e",
}
_PAPER: Final = {"facecolor": "white", "edgecolor": "none", "pad": 0.8}
_PEERS: Final = ("ccr", "portkey", "litellm")
_YARDSTICKS: Final = ("direct", "haproxy", "nginx", "envoy", "floor")
_SHORT: Final = {
    "direct": "upstream, asked directly",
    "floor": "a bare relay in Python",
    "ccr": "claude-code-router (A to O)",
    "portkey": "Portkey (O)",
    "litellm": "LiteLLM (O to A)",
    "gw-aa-debian": "gateway A, Debian's Python",
    "gw-aa-quiet": "gateway A, nothing counted",
    "gw-aa-traced": "gateway A, all traced",
    "gw-aa-cred": "gateway A, leased",
}
_ROUTES: Final = {"aa": "A", "oo": "O", "oa": "O to A", "ao": "A to O"}


def _kind(name: str) -> str:
    if name in _YARDSTICKS:
        return "other proxies"
    if name in _PEERS:
        return "other gateways"
    return "this gateway, translating" if name[3:5] in ("oa", "ao") else "this gateway, passed through"


def _label(name: str) -> str:
    if name in _SHORT or not name.startswith("gw-"):
        return _SHORT.get(name, name)
    return f"gateway {_ROUTES[name[3:5]]}" + (", httpx" if name.endswith("httpx") else "")


def _short(value: float) -> str:
    if value == 0:
        return "0"
    for size, mark in ((1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:.3g}{mark}"
    return f"{value:.3g}"


def _values(record: Record, measure: str, value: str) -> list[tuple[str, float]]:
    seen = ((name, median(record.readings, measure, name, value)) for name in record.subjects)
    return [(name, found) for name, found in seen if found is not None]


def _frame(axes: Axes, names: list[str], title: str) -> None:
    axes.set_title(title, loc="left", fontsize=11, fontweight="bold")
    axes.set_yticks(range(len(names)), [_label(name) for name in names], fontsize=9)
    axes.invert_yaxis()
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", color="#e4e6ea", linewidth=0.8)
    axes.set_axisbelow(True)


def _bars(
    axes: Axes, record: Record, measure: str, value: str, title: str, *, goal: float, logarithmic: bool = True
) -> None:
    rows = _values(record, measure, value)
    names = [name for name, _ in rows]
    _frame(axes, names, title)
    axes.barh(
        range(len(rows)), [seen for _, seen in rows], color=[_COLOURS[_kind(name)] for name in names], height=0.72
    )
    low, high = min(seen for _, seen in rows), max(seen for _, seen in rows)
    if logarithmic:
        axes.set_xscale("log")
        axes.xaxis.set_minor_locator(NullLocator())
        axes.set_xlim(low / 2.5, high * 2.6)
    else:
        axes.set_xlim(0, high * 1.12)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: _short(x)))
    for at, (_, seen) in enumerate(rows):
        where = seen * 1.07 if logarithmic else seen + high * 0.012
        axes.text(where, at, _short(seen), va="center", fontsize=8.5, color="#30343a", bbox=_PAPER)
    haproxy = dict(rows).get("haproxy")
    if haproxy is not None:
        axes.axvline(haproxy * goal, color="#c0362c", linewidth=1.2, linestyle=(0, (4, 3)))
        axes.annotate(
            f"goal: {goal:g}x haproxy",
            (haproxy * goal, 1.01),
            xycoords=("data", "axes fraction"),
            color="#c0362c",
            fontsize=8.5,
            ha="center",
        )


def _delays(axes: Axes, record: Record, title: str) -> None:
    middle, late = (_values(record, "paced_100", value) for value in ("delay_p50", "delay_p99"))
    names = [name for name, _ in middle]
    _frame(axes, names, title)
    for at, ((name, fast), (_, slow)) in enumerate(zip(middle, late, strict=True)):
        colour = _COLOURS[_kind(name)]
        axes.plot([fast, slow], [at, at], color=colour, linewidth=2, alpha=0.45, zorder=2)
        axes.scatter([fast], [at], color=colour, s=34, zorder=3)
        axes.scatter([slow], [at], facecolor="white", edgecolor=colour, linewidth=1.6, s=34, zorder=3)
        axes.text(slow * 1.16, at, f"{_short(fast)} / {_short(slow)} us", va="center", fontsize=8.5, color="#30343a")
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: _short(x)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlim(min(seen for _, seen in middle) / 1.8, max(seen for _, seen in late) * 6)


def draw(record: Record, target: Path) -> None:
    """Draw four panels."""
    plt.rcParams["font.family"] = "DejaVu Sans"
    figure, ((requests, events), (paced, delays)) = plt.subplots(
        2, 2, figsize=(14, 10.5), height_ratios=_heights(record), layout="constrained"
    )
    _bars(requests, record, "json_16", "rate", "Small JSON, 16 connections: requests a second\n", goal=0.2)
    _bars(events, record, "stream_16", "rate", "Streams at full speed: events a second\n", goal=0.4)
    _bars(
        paced,
        record,
        "paced_100",
        "cpu",
        "100 streams, one event per 10 ms each: CPU per event, us\n",
        goal=1.8,
        logarithmic=False,
    )
    _delays(delays, record, "The same: delay, p50 (full) and p99 (hollow), us\n")
    kinds = {_kind(name) for name in record.subjects}
    handles: list[Any] = [Patch(color=colour, label=name) for name, colour in _COLOURS.items() if name in kinds]
    figure.legend(handles=handles, loc="outside lower center", ncols=4, frameon=False, fontsize=9.5)
    machine = record.machine
    rounds = f"{record.rounds} interleaved rounds, medians" if record.rounds > 1 else "one round"
    figure.suptitle(
        f"One core each, {rounds}. A: Anthropic, O: OpenAI.\n"
        f"{machine.get('machine', '')}; Python {machine.get('Python', '')}; {record.date}, {machine.get('commit', '')}",
        fontsize=10.5,
        x=0.01,
        ha="left",
    )
    figure.savefig(target, dpi=110)


def _heights(record: Record) -> tuple[int, int]:
    return max(3, len(_values(record, "json_16", "rate"))), max(3, len(_values(record, "paced_100", "delay_p50")))


if __name__ == "__main__":
    draw(read_json(Path(sys.argv[1])), Path(sys.argv[2]))
