"""What the credentials service counts: events by name, records by state, and records that do not open."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping

from prometheus_client import CollectorRegistry
from prometheus_client import Counter as Total
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from services.credentials.contract import State
from services.credentials.records import Credential
from services.credentials.vault import Trouble


class CredentialsMetrics:
    """An observer that counts. Label values are words of ours, so they are few."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._events = Total(
            "zcode_credential_events",
            "What happened to credentials: refresh.ok, refresh.fail, needs_login, store.degraded and so on.",
            ["event"],
            registry=registry,
        )
        self._unopened = Total(
            "zcode_undecryptable_records",
            "Records that did not open, once per version of a record.",
            ["kind", "why"],
            registry=registry,
        )

    def note(self, event: str, subject: str, detail: str = "") -> None:
        """Count an event."""
        del subject, detail
        self._events.labels(event).inc()

    def unopened(self, trouble: Trouble) -> None:
        """Count a record that did not open."""
        self._unopened.labels(trouble.kind, trouble.why.value).inc()


class Standings(Collector):
    """Gauges over the records of the moment, counted when they are asked for."""

    def __init__(self, records: Callable[[], Mapping[str, Credential]], registry: CollectorRegistry) -> None:
        self._records = records
        registry.register(self)

    def collect(self) -> Iterable[GaugeMetricFamily]:
        """Count the records by provider and state."""
        found = Counter((record.provider, record.state) for record in self._records().values())
        family = GaugeMetricFamily("zcode_credentials", "Credentials by state.", labels=["provider", "state"])
        for provider in sorted({provider for provider, _ in found}):
            for state in State:
                family.add_metric([provider, state.value], found[provider, state])
        yield family
