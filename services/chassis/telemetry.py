"""
What a process counts, and how it is shown to Prometheus: families that are declared, and series that cost little.

Every family is declared once, as data, so that a page can be made of them (docs/metrics.md) and panels and alerts can
be checked against them. A series is a plain object that belongs to one event loop: an increment takes no lock, which
is what makes it a fifth of the price of the client library's own. The library writes the text.

The number of series of a family is bounded: what comes after the last counts into one series whose labels say `other`,
so that no caller can fill the memory of the scraper with names of his own.
"""

import platform
from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, Generic, Literal, TypeAlias, TypeVar

import msgspec
from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, InfoMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from prometheus_client.samples import Exemplar

S = TypeVar("S")

Readings: TypeAlias = Mapping[tuple[str, ...], float]

MOST_SERIES: Final = 2000  # of one family
OTHER: Final = "other"
_MANY: Final = 512  # values of a histogram's series that are kept before they are sorted in


class Family(msgspec.Struct, frozen=True, kw_only=True):
    """One metric, as it is declared. `name` is without the `_total` that a counter is shown with."""

    name: str
    kind: Literal["counter", "gauge", "histogram", "info"]
    help: str
    unit: str = ""  # in words; shown to Prometheus where the name ends with it
    labels: tuple[str, ...] = ()
    bounds: tuple[float, ...] = ()  # of a histogram's buckets, ascending, without infinity

    @property
    def shown(self) -> str:
        """The name that queries use, for a histogram without its suffixes."""
        return self.name + {"counter": "_total", "info": "_info"}.get(self.kind, "")

    @property
    def shown_unit(self) -> str:
        return self.unit if self.unit and self.name.endswith(f"_{self.unit}") else ""


LAG: Final = Family(
    name="zcode_event_loop_lag_seconds",
    kind="histogram",
    help="How late the event loop came round, looked at once a second.",
    unit="seconds",
    bounds=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
BUILD: Final = Family(name="zcode_build", kind="info", help="What is running.", labels=("service", "version", "python"))
CHASSIS: Final = (LAG, BUILD)
PROCESS: Final = tuple(  # exported by the client library, on Linux only
    Family(name=name, kind="counter" if name == "process_cpu_seconds" else "gauge", help=help_, unit=unit)
    for name, unit, help_ in (
        ("process_cpu_seconds", "seconds", "Processor time, user and system."),
        ("process_resident_memory_bytes", "bytes", "Memory that is resident."),
        ("process_virtual_memory_bytes", "bytes", "Memory that is mapped."),
        ("process_open_fds", "", "Open file descriptors."),
        ("process_max_fds", "", "How many may be open."),
        ("process_start_time_seconds", "seconds", "When the process started, seconds since the epoch."),
    )
)


class Count:
    """A series that only grows."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value = 0.0

    def inc(self, by: float = 1.0) -> None:
        self.value += by


class Spread:
    """
    A series of a histogram: how many values fell between which bounds, and their sum.

    `add` only keeps a value, at the cost of a list's append; who calls it calls `sort_in` from time to time.
    """

    __slots__ = ("_bounds", "_counts", "_sum", "_values", "add", "examples")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0
        self._values: list[float] = []  # that are not in the counts yet
        self.add: Final = self._values.append
        self.examples: dict[int, Exemplar] = {}  # the newest of each bucket that has one

    def observe(self, value: float) -> None:
        """Count a value."""
        self.add(value)
        if len(self._values) >= _MANY:
            self.sort_in()

    def show(self, value: float, trace_id: str, at: float | None = None) -> None:
        """Name a trace that shows a value which was counted, at that time (seconds since the epoch)."""
        self.examples[bisect_left(self._bounds, value)] = Exemplar({"trace_id": trace_id}, value, at)

    def sort_in(self) -> None:
        """Put what is kept where it belongs."""
        bounds, counts = self._bounds, self._counts
        for value in self._values:
            counts[bisect_left(bounds, value)] += 1
        self._sum += sum(self._values)
        self._values.clear()

    def read(self) -> tuple[Sequence[int], float]:
        """Return how many values there are in each bucket, and their sum."""
        self.sort_in()
        return self._counts, self._sum


class _Instrument(Collector, Generic[S]):
    """The series of one family, made when first asked for."""

    def __init__(self, family: Family, registry: CollectorRegistry, make: Callable[[], S]) -> None:
        self.family = family
        self._make = make
        self._series: dict[tuple[str, ...], S] = {} if family.labels else {(): make()}
        registry.register(self)

    def labels(self, *values: str) -> S:
        """Return the series of these label values, in the order of the declaration."""
        found = self._series.get(values)
        if found is None:
            if len(values) != len(self.family.labels):
                raise ValueError(f"{self.family.name} has the labels {self.family.labels}")
            if len(self._series) >= MOST_SERIES:
                values = (OTHER,) * len(values)
            found = self._series.setdefault(values, self._make())
        return found

    @property
    def only(self) -> S:
        """The series of a family without labels."""
        return self._series[()]

    def describe(self) -> Iterable[Metric]:
        """Name the family, without reading anything."""
        yield Metric(self.family.name, self.family.help, self.family.kind, self.family.shown_unit)


class Counter(_Instrument[Count]):
    """A family of counters."""

    def __init__(self, family: Family, registry: CollectorRegistry) -> None:
        super().__init__(family, registry, Count)

    def inc(self, by: float = 1.0) -> None:
        self.only.inc(by)

    def collect(self) -> Iterable[Metric]:
        """Return every series."""
        family = self.family
        shown = CounterMetricFamily(family.name, family.help, labels=family.labels, unit=family.shown_unit)
        for values, series in self._series.items():
            shown.add_metric(values, series.value)
        yield shown


class Histogram(_Instrument[Spread]):
    """A family of histograms."""

    def __init__(self, family: Family, registry: CollectorRegistry) -> None:
        super().__init__(family, registry, lambda: Spread(family.bounds))
        self._bounds = [*(f"{float(bound)}" for bound in family.bounds), "+Inf"]

    def observe(self, value: float) -> None:
        self.only.observe(value)

    def sort_in(self) -> None:
        """Put what is kept where it belongs, in every series."""
        for series in self._series.values():
            series.sort_in()

    def collect(self) -> Iterable[Metric]:
        """Return every series."""
        family = self.family
        shown = HistogramMetricFamily(family.name, family.help, labels=family.labels, unit=family.shown_unit)
        for values, series in self._series.items():
            counts, total = series.read()
            shown.add_metric(values, self._buckets(counts, series.examples), total)
        yield shown

    def _buckets(
        self, counts: Sequence[int], examples: Mapping[int, Exemplar]
    ) -> Sequence[tuple[str, float] | tuple[str, float, Exemplar]]:
        buckets: list[tuple[str, float] | tuple[str, float, Exemplar]] = []
        total = 0
        for at, (bound, count) in enumerate(zip(self._bounds, counts, strict=True)):
            total += count
            example = examples.get(at)
            buckets.append((bound, total) if example is None else (bound, total, example))
        return buckets


class Gauge(Collector):
    """A family that is read when it is scraped: one number, or a number by label values."""

    def __init__(
        self, family: Family, registry: CollectorRegistry, read: Callable[[], float | Readings | None]
    ) -> None:
        self.family = family
        self._read = read
        registry.register(self)

    def describe(self) -> Iterable[Metric]:
        """Name the family, without reading anything."""
        yield Metric(self.family.name, self.family.help, "gauge", self.family.shown_unit)

    def collect(self) -> Iterable[Metric]:
        """Read it; None says that there is nothing to tell."""
        family = self.family
        shown = GaugeMetricFamily(family.name, family.help, labels=family.labels, unit=family.shown_unit)
        read = self._read()
        readings: Readings = {(): read} if isinstance(read, (int, float)) else read or {}
        for values, value in list(readings.items())[:MOST_SERIES]:
            shown.add_metric(values, value)
        yield shown


class Build(Collector):
    """What is running, as labels of a constant."""

    def __init__(self, registry: CollectorRegistry, service: str, version: str) -> None:
        self._values = {"service": service, "version": version, "python": platform.python_version()}
        registry.register(self)

    def collect(self) -> Iterable[Metric]:
        """Return the one series."""
        yield InfoMetricFamily(BUILD.name, BUILD.help, value=self._values)


class Vitals(msgspec.Struct, frozen=True):
    """What every process tells of itself."""

    lag: Histogram

    def note_lag(self, seconds: float) -> None:
        """Take note that a turn of the event loop came so late."""
        self.lag.observe(seconds)


def vitals(registry: CollectorRegistry, service: str, version: str) -> Vitals:
    """Export what every process has: what it is, what it uses, how late its event loop turns."""
    Build(registry, service, version)
    ProcessCollector(registry=registry)
    return Vitals(Histogram(LAG, registry))


def exposition(registry: CollectorRegistry, accept: str) -> tuple[bytes, str]:
    """Return the text and its type: OpenMetrics, with exemplars, where it is asked for, else the plain format."""
    encode, content_type = choose_encoder(accept)
    return encode(registry), content_type
