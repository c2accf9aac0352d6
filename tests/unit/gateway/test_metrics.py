"""What is counted of an exchange, under labels whose number is bounded."""

from typing import Any

from prometheus_client import CollectorRegistry

from services.gateway.metrics import GatewayMetrics
from services.gateway.observation import Observation
from services.gateway.translation.streams.events import Usage


class _Counted:
    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.metrics = GatewayMetrics(self.registry, is_known_model=lambda name: name == "glm-5.1", version="1.2.3")

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


def test_a_gauge_is_read_when_it_is_scraped() -> None:
    counted = _Counted()
    values = [1.0]
    counted.metrics.gauge(counted.registry, "zcode_x", "X.", lambda: values[0])
    values[0] = 7.0

    assert 7.0 == counted("zcode_x")


def test_the_build_is_told() -> None:
    assert 1.0 == _Counted()("zcode_build_info", version="1.2.3")
