"""What the captcha service counts: ends of requests, waits, banked and refused tokens, and each account's bank."""

from typing import Final

from prometheus_client import CollectorRegistry

from services.captcha.banks.port import Standing
from services.captcha.contract import Outcome
from services.captcha.provider_config import ProviderConfigs
from services.chassis.telemetry import Counter, Family, Gauge, Histogram, Readings

ANSWERS: Final = Family(
    name="zcode_captcha_answers",
    kind="counter",
    help="Requests for a token by end: banked, none_wanted, none_banked, timeout, full, left, unavailable.",
    labels=("end",),
)
WAITS: Final = Family(
    name="zcode_captcha_wait_seconds",
    kind="histogram",
    help="Time that requests stood in line for a captcha, by end.",
    unit="seconds",
    labels=("end",),
    bounds=(0.5, 1, 2, 5, 10, 20, 40, 60, 120, 300),
)
OUTCOMES: Final = Family(
    name="zcode_captcha_outcomes", kind="counter", help="How tries ended at the provider.", labels=("outcome",)
)
PAGE: Final = Family(
    name="zcode_captcha_page_events",
    kind="counter",
    help="What happened on the page: banked, repeated, signed_in, refused, and the widget's failures.",
    labels=("event",),
)
BANK: Final = Family(name="zcode_captcha_bank", kind="gauge", help="Unused captcha tokens.", labels=("provider",))
LINE: Final = Family(
    name="zcode_captcha_waiting", kind="gauge", help="Requests that wait for a captcha.", labels=("provider",)
)
CONFIG: Final = Family(
    name="zcode_captcha_config",
    kind="gauge",
    help="Where the provider's configuration comes from.",
    labels=("source",),
)
FAMILIES: Final = (ANSWERS, WAITS, OUTCOMES, PAGE, BANK, LINE, CONFIG)


class CaptchaMetrics:
    """Counts. Label values are words of ours, so they are few."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._answers = Counter(ANSWERS, registry)
        self._waits = Histogram(WAITS, registry)
        self._outcomes = Counter(OUTCOMES, registry)
        self._page = Counter(PAGE, registry)

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


class Standings:
    """Gauges of the last known state; nothing is asked for a scrape."""

    def __init__(self, configs: ProviderConfigs, registry: CollectorRegistry) -> None:
        self._configs = configs
        self._standings: dict[str, Standing] = {}  # by provider
        Gauge(BANK, registry, lambda: {(name,): len(found.lives) for name, found in self._standings.items()})
        Gauge(LINE, registry, lambda: {(name,): found.waiting for name, found in self._standings.items()})
        Gauge(CONFIG, registry, self._config)

    def learn(self, provider: str, standing: Standing) -> None:
        """Take note of a bank's state."""
        self._standings[provider] = standing

    def _config(self) -> Readings:
        known = self._configs.known
        return {(source,): known.source == source for source in ("provider", "last", "settings", "nothing")}
