"""What the captcha service counts: ends of requests, waits, banked and refused tokens, and each account's bank."""

from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from services.captcha.banks.port import Standing
from services.captcha.contract import Outcome
from services.captcha.provider_config import ProviderConfigs

_WAITS = (0.5, 1, 2, 5, 10, 20, 40, 60, 120, 300)


class CaptchaMetrics:
    """Counts. Label values are words of ours, so they are few."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._answers = Counter(
            "zcode_captcha_answers",
            "Requests for a token by end: banked, none_wanted, none_banked, timeout, full, left, unavailable.",
            ["end"],
            registry=registry,
        )
        self._waits = Histogram(
            "zcode_captcha_wait_seconds",
            "Seconds that requests stood in line for a captcha, by end.",
            ["end"],
            buckets=_WAITS,
            registry=registry,
        )
        self._outcomes = Counter(
            "zcode_captcha_outcomes", "How tries ended at the provider.", ["outcome"], registry=registry
        )
        self._page = Counter(
            "zcode_captcha_page_events",
            "What happened on the page: banked, repeated, signed_in, refused, and the widget's failures.",
            ["event"],
            registry=registry,
        )

    def answered(self, how: str) -> None:
        """Count a request's end."""
        self._answers.labels(how).inc()

    def waited(self, seconds: float, how: str) -> None:
        """Count a wait."""
        self._waits.labels(how).observe(seconds)

    def reported(self, outcome: Outcome) -> None:
        """Count how a try ended."""
        self._outcomes.labels(outcome.value).inc()

    def happened(self, event: str) -> None:
        """Count something on the page."""
        self._page.labels(event).inc()


class Standings(Collector):
    """Gauges of the last known state; nothing is asked for a scrape."""

    def __init__(self, configs: ProviderConfigs, registry: CollectorRegistry) -> None:
        self._configs = configs
        self._standings: dict[str, Standing] = {}  # by provider
        registry.register(self)

    def learn(self, provider: str, standing: Standing) -> None:
        """Take note of a bank's state."""
        self._standings[provider] = standing

    def collect(self) -> Iterable[GaugeMetricFamily]:
        """Tell the state."""
        bank = GaugeMetricFamily("zcode_captcha_bank", "Unused captcha tokens.", labels=["provider"])
        line = GaugeMetricFamily("zcode_captcha_waiting", "Requests that wait for a captcha.", labels=["provider"])
        for provider, standing in self._standings.items():
            bank.add_metric([provider], len(standing.lives))
            line.add_metric([provider], standing.waiting)
        known = self._configs.known
        config = GaugeMetricFamily(
            "zcode_captcha_config", "Where the provider's configuration comes from.", labels=["source"]
        )
        for source in ("provider", "last", "settings", "nothing"):
            config.add_metric([source], float(known.source == source))
        yield from (bank, line, config)
