"""What the captcha service counts: ends of requests, waits, banked and refused tokens, and each account's bank."""

from typing import Final

from prometheus_client import CollectorRegistry

from services.captcha.banks.port import Standing
from services.captcha.contract import Outcome
from services.captcha.provider_config import ProviderConfigs
from services.chassis.clock import Clock, SystemClock
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
_STALE: Final = 10.0  # seconds

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

    def __init__(self, configs: ProviderConfigs, registry: CollectorRegistry, clock: Clock | None = None) -> None:
        self._configs = configs
        self._clock: Clock = clock or SystemClock()
        self._standings: dict[str, tuple[float, Standing]] = {}  # by provider: when it was learnt, monotonic
        Gauge(BANK, registry, self._bank)
        Gauge(LINE, registry, self._line)
        Gauge(CONFIG, registry, self._config)

    def learn(self, provider: str, standing: Standing) -> None:
        """Take note of a bank's state."""
        self._standings[provider] = self._clock.monotonic(), standing

    def _bank(self) -> Readings:
        now = self._clock.monotonic()
        return {
            (provider,): sum(life > now - at for life in standing.lives)
            for provider, (at, standing) in self._standings.items()
        }

    def _line(self) -> Readings:
        # Whoever waits here looks at the line twice a second; when nobody has, nobody waits here.
        now = self._clock.monotonic()
        return {
            (provider,): standing.waiting if now - at < _STALE else 0
            for provider, (at, standing) in self._standings.items()
        }

    def _config(self) -> Readings:
        known = self._configs.known
        return {(source,): known.source == source for source in ("provider", "last", "settings", "nothing")}
