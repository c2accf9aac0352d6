"""Families as declared, series that are bounded, and the text that Prometheus gets."""

import pytest
from prometheus_client import CollectorRegistry

from services.chassis.telemetry import (
    BUILD,
    CHASSIS,
    MOST_SERIES,
    PROCESS,
    Counter,
    Family,
    Gauge,
    Histogram,
    Readings,
    exposition,
    vitals,
)

OPENMETRICS = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5"
CALLS = Family(name="zcode_calls", kind="counter", help="Calls.", labels=("who",))
TIMES = Family(name="zcode_times_seconds", kind="histogram", help="Times.", unit="seconds", bounds=(0.1, 1))


def _text(registry: CollectorRegistry, accept: str = "") -> str:
    return exposition(registry, accept)[0].decode()


def test_a_counter_is_shown_by_its_labels() -> None:
    registry = CollectorRegistry()
    calls = Counter(CALLS, registry)
    calls.labels("a").inc()
    calls.labels("a").inc(2)
    calls.labels("b").inc()

    text = _text(registry)
    assert "# HELP zcode_calls_total Calls.\n# TYPE zcode_calls_total counter\n" in text
    assert 'zcode_calls_total{who="a"} 3.0\n' in text
    assert 'zcode_calls_total{who="b"} 1.0\n' in text


def test_a_family_without_labels_is_there_from_the_start() -> None:
    registry = CollectorRegistry()
    Counter(Family(name="zcode_x", kind="counter", help="X."), registry)

    assert 0 == registry.get_sample_value("zcode_x_total")


def test_values_are_counted_between_their_bounds() -> None:
    registry = CollectorRegistry()
    times = Histogram(TIMES, registry)
    for value in (0.05, 0.1, 0.5, 7):
        times.observe(value)

    found = {
        bound: registry.get_sample_value("zcode_times_seconds_bucket", {"le": bound})
        for bound in ("0.1", "1.0", "+Inf")
    }
    assert {"0.1": 2, "1.0": 3, "+Inf": 4} == found
    assert 7.65 == registry.get_sample_value("zcode_times_seconds_sum")
    assert 4 == registry.get_sample_value("zcode_times_seconds_count")


def test_a_trace_is_shown_where_openmetrics_is_asked_for() -> None:
    registry = CollectorRegistry()
    series = Histogram(TIMES, registry).only
    series.observe(0.5)
    series.show(0.5, "a" * 32, 12.5)

    text, content_type = exposition(registry, OPENMETRICS)
    assert content_type.startswith("application/openmetrics-text")
    assert f'le="1.0"}} 1.0 # {{trace_id="{"a" * 32}"}} 0.5 12.5\n' in text.decode()
    assert "# UNIT zcode_times_seconds seconds\n" in text.decode()
    text, content_type = exposition(registry, "text/plain")
    assert content_type.startswith("text/plain")
    assert b"trace_id" not in text


def test_the_number_of_series_is_bounded() -> None:
    registry = CollectorRegistry()
    calls = Counter(CALLS, registry)
    for number in range(10_000):
        calls.labels(f"n{number}").inc()

    lines = [line for line in _text(registry).splitlines() if line.startswith("zcode_calls_total{")]
    assert MOST_SERIES + 1 == len(lines)
    assert 10_000 - MOST_SERIES == registry.get_sample_value("zcode_calls_total", {"who": "other"})


def test_as_many_labels_as_declared_are_asked_for() -> None:
    with pytest.raises(ValueError, match="zcode_calls"):
        Counter(CALLS, CollectorRegistry()).labels("a", "b")


def test_a_gauge_is_read_when_it_is_scraped() -> None:
    registry = CollectorRegistry()
    values: list[float | Readings | None] = [3]
    Gauge(Family(name="zcode_plain", kind="gauge", help="Plain."), registry, lambda: values[0])
    assert 3 == registry.get_sample_value("zcode_plain")

    values[0] = None
    assert registry.get_sample_value("zcode_plain") is None


def test_a_gauge_may_have_labels() -> None:
    registry = CollectorRegistry()
    family = Family(name="zcode_by_state", kind="gauge", help="By state.", labels=("state",))
    Gauge(family, registry, lambda: {("on",): 1, ("off",): 2})

    assert 2 == registry.get_sample_value("zcode_by_state", {"state": "off"})


def test_every_process_tells_what_it_is_and_how_late_its_loop_turns() -> None:
    registry = CollectorRegistry()
    vitals(registry, "gateway", "1.2.3").note_lag(0.003)

    text = _text(registry)
    assert 'service="gateway",version="1.2.3"' in text.split("zcode_build_info{")[1]
    assert 1 == registry.get_sample_value("zcode_event_loop_lag_seconds_bucket", {"le": "0.005"})
    assert all(family.shown in text for family in (*CHASSIS, *PROCESS))
    assert "zcode_build_info" == BUILD.shown
