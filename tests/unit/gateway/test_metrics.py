"""What is counted of an exchange, under labels whose number is bounded."""

from collections.abc import Iterator
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from services.gateway.metrics import FAMILIES, GatewayMetrics, Load, export_load
from services.gateway.observation import Observation
from services.gateway.translation.streams.events import Usage


class _Counted:
    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.metrics = GatewayMetrics(self.registry, is_known_model=lambda name: name == "glm-5.1")

    def __call__(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(name, labels)


def _seen(**fields: Any) -> Observation:
    seen = Observation("POST", "/v1/messages", "id", 100.0)
    seen.provider, seen.plan, seen.model, seen.status, seen.ended_at = "zai", "coding-plan", "glm-5.1", 200, 103.0
    for name, value in fields.items():
        setattr(seen, name, value)
    return seen


def _request(counted: _Counted, *, model: str = "glm-5.1", status: str = "2xx", code: str = "") -> float | None:
    return counted(
        "zcode_requests_total",
        route="/v1/messages",
        provider="zai",
        plan="coding-plan",
        model=model,
        status_class=status,
        upstream_code=code,
    )


def test_a_request_is_counted_once_with_its_times() -> None:
    counted = _Counted()
    counted.metrics.observe(_seen(first_byte_at=101.0, stream=True))
    counted.metrics.observe(_seen())

    assert 2 == _request(counted)
    model = {"gen_ai_request_model": "glm-5.1"}
    assert 3.0 == counted("gen_ai_client_operation_duration_seconds_sum", stream="true", **model)
    assert 3.0 == counted("gen_ai_client_operation_duration_seconds_sum", stream="false", **model)
    assert 1.0 == counted("gen_ai_server_time_to_first_token_seconds_sum", **model)
    assert 1.0 == counted("gen_ai_server_time_to_first_token_seconds_count", **model)


def test_tokens_are_counted_by_kind() -> None:
    counted = _Counted()
    counted.metrics.observe(_seen(usage=Usage(input=10, cache_read=20, output=30, reasoning=5)))
    counted.metrics.observe(_seen(usage=Usage(input=1)))
    counted.metrics.observe(_seen(usage=Usage()))
    counted.metrics.observe(_seen())

    def tokens(kind: str) -> float | None:
        return counted("gen_ai_client_token_usage_sum", gen_ai_request_model="glm-5.1", gen_ai_token_type=kind)

    assert [11, 20, 30, 5] == [tokens(kind) for kind in ("input", "cached", "output", "reasoning")]


def test_retries_and_dropped_hints_are_counted() -> None:
    counted = _Counted()
    counted.metrics.observe(_seen(attempts=3, dropped=("seed", "n")))
    counted.metrics.observe(_seen(attempts=1))

    assert (2, 2) == (counted("zcode_upstream_retries_total"), counted("zcode_translation_dropped_params_total"))


def test_labels_come_from_our_own_tables() -> None:
    counted = _Counted()
    counted.metrics.observe(_seen(model="whatever a client sends", status=429, upstream_code="1302"))
    counted.metrics.observe(_seen(model="another", status=405, upstream_code="3012"))
    counted.metrics.observe(_seen(status=502, upstream_code="whatever an upstream says"))

    assert 1 == _request(counted, model="other", status="4xx", code="1302")
    assert 1 == _request(counted, model="other", status="4xx", code="3012")
    assert 1 == _request(counted, status="5xx")


def test_any_number_of_model_names_is_counted_and_not_kept() -> None:
    counted = _Counted()
    for number in range(5000):
        counted.metrics.observe(_seen(model=f"m{number}"))

    assert 5000 == _request(counted, model="other")
    assert 4096 == len(counted.metrics._kept)


def test_the_time_is_split_into_ours_the_upstreams_and_the_streams() -> None:
    counted = _Counted()
    stream = {"sent_at": 100.5, "head_at": 101.5, "first_byte_at": 102.0, "ended_at": 104.0, "stream": True}
    counted.metrics.take([_seen(**stream, overhead=0.002, usage=Usage(output=101)), _seen(**stream, usage=Usage())])

    model = {"gen_ai_request_model": "glm-5.1"}
    assert 0.002 == counted("zcode_overhead_seconds_sum")
    assert 2.0 == counted("zcode_upstream_response_seconds_sum", **model)
    assert 4.0 == counted("zcode_answer_seconds_sum", **model)
    assert (0.02, 1) == (
        counted("gen_ai_server_time_per_output_token_seconds_sum", **model),
        counted("gen_ai_server_time_per_output_token_seconds_count", **model),
    )


def test_a_failure_is_counted_by_our_code_and_a_client_that_left_is_none() -> None:
    counted = _Counted()
    counted.metrics.take([_seen(code="overloaded"), _seen(code="overloaded"), _seen(code="x", cancelled=True)])

    assert 2 == counted("zcode_request_failures_total", code="overloaded")
    assert counted("zcode_request_failures_total", code="x") is None
    assert 1 == counted("zcode_requests_abandoned_total")


def test_codes_cannot_grow_without_end() -> None:
    counted = _Counted()
    counted.metrics.take([_seen(code=f"c{number}") for number in range(1000)])

    assert 1000 - 64 == counted("zcode_request_failures_total", code="other")


def test_a_wait_for_a_slot_is_counted() -> None:
    counted = _Counted()
    counted.metrics.waited(0.2)

    assert 0.2 == counted("zcode_queue_seconds_sum")


@pytest.mark.promise("P-51")
def test_ten_thousand_names_of_clients_leave_the_number_of_series_bounded() -> None:
    counted = _Counted()
    counted.metrics.take([_seen(code="bad", upstream_code="1302")])
    before = len(list(_samples(counted.registry)))
    for number in range(10_000):
        counted.metrics.take([_seen(model=f"m{number}", upstream_code=f"u{number}", key_id=f"k{number}")])

    assert len(list(_samples(counted.registry))) < 3 * before


def test_the_load_is_read_when_it_is_scraped() -> None:
    counted = _Counted()
    states = {"idle": 3, "active": 2, "waiting": 1}
    load = Load(in_flight=lambda: 4, waiting=lambda: 5, slots=200, streams=lambda: 6, connections=states.__getitem__)
    export_load(counted.registry, load)

    assert [4, 5, 200, 6] == [
        counted(f"zcode_{name}") for name in ("requests_in_flight", "requests_waiting", "request_slots", "streams_open")
    ]
    assert 3 == counted("zcode_upstream_connections", state="idle")


def test_what_is_declared_is_what_is_exported() -> None:
    counted = _Counted()
    load = Load(in_flight=int, waiting=int, slots=1, streams=int, connections=lambda _: 0)
    export_load(counted.registry, load)

    assert {family.name for family in FAMILIES} == {metric.name for metric in counted.registry.collect()}


def _samples(registry: CollectorRegistry) -> Iterator[object]:
    for metric in registry.collect():
        yield from metric.samples


def test_times_that_nobody_reads_do_not_heap_up() -> None:
    """Shown to fail by: never sorting them in."""
    counted = _Counted()
    seen = [_seen(first_byte_at=101.0, stream=True, sent_at=100.1, head_at=100.9, overhead=0.2, usage=Usage(output=9))]
    for _ in range(1200):
        counted.metrics.take(seen)

    kept = [len(series._values) for histogram in counted.metrics._timed for series in histogram._series.values()]
    assert 0 < max(kept) < 512
    assert 1200 == counted("zcode_overhead_seconds_count")
