"""What the credentials service counts: events by name, records by state and age, and records that do not open."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from prometheus_client import CollectorRegistry

from services.chassis.telemetry import Counter as Total
from services.chassis.telemetry import Family, Gauge, Readings
from services.credentials.contract import State
from services.credentials.records import Credential
from services.credentials.vault import Trouble

EVENTS: Final = Family(
    name="zcode_credential_events",
    kind="counter",
    help="What happened to credentials: refresh.ok, refresh.fail, needs_login, store.degraded and so on.",
    labels=("event",),
)
UNOPENED: Final = Family(
    name="zcode_undecryptable_records",
    kind="counter",
    help="Records that did not open, once per version of a record.",
    labels=("kind", "why"),
)
BY_STATE: Final = Family(
    name="zcode_credentials", kind="gauge", help="Credentials by state.", labels=("provider", "state")
)
ROTATED: Final = Family(
    name="zcode_credential_rotated_timestamp_seconds",
    kind="gauge",
    help="When the oldest secret of a provider was last changed, seconds since the epoch.",
    unit="seconds",
    labels=("provider",),
)
EXPIRES: Final = Family(
    name="zcode_credential_expiry_timestamp_seconds",
    kind="gauge",
    help="When the first secret of a provider ends, seconds since the epoch; absent where none does.",
    unit="seconds",
    labels=("provider",),
)
FAMILIES: Final = (EVENTS, UNOPENED, BY_STATE, ROTATED, EXPIRES)

# Alerts look at how these grow, so they are there from the start, at nought.
_AWAITED: Final = ("refresh.ok", "refresh.fail", "needs_login", "store.degraded")


class CredentialsMetrics:
    """An observer that counts. Label values are words of ours, so they are few."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._events = Total(EVENTS, registry)
        self._unopened = Total(UNOPENED, registry)
        for event in _AWAITED:
            self._events.labels(event)

    def note(self, event: str, subject: str, detail: str = "") -> None:
        """Count an event."""
        del subject, detail
        self._events.labels(event).inc()

    def unopened(self, trouble: Trouble) -> None:
        """Count a record that did not open."""
        self._unopened.labels(trouble.kind, trouble.why.value).inc()


class Standings:
    """Gauges over the records of the moment, counted when they are asked for."""

    def __init__(self, records: Callable[[], Mapping[str, Credential]], registry: CollectorRegistry) -> None:
        self._records = records
        Gauge(BY_STATE, registry, self._by_state)
        Gauge(ROTATED, registry, self._rotated)
        Gauge(EXPIRES, registry, self._expires)

    def _by_state(self) -> Readings:
        found = Counter((record.provider, record.state) for record in self._records().values())
        providers = sorted({provider for provider, _ in found})
        return {(provider, state.value): found[provider, state] for provider in providers for state in State}

    def _rotated(self) -> Readings:
        return _earliest((record.provider, record.rotated_at) for record in self._records().values())

    def _expires(self) -> Readings:
        return _earliest((record.provider, record.expires_at) for record in self._records().values())


def _earliest(times: Iterable[tuple[str, float | None]]) -> Readings:
    found: dict[tuple[str, ...], float] = {}
    for provider, time in times:
        if time is not None:
            found[provider,] = min(time, found.get((provider,), time))
    return found
