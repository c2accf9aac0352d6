"""What the gate shows: circuits that are not closed, limits that were found, and who waits because of them."""

from collections.abc import Callable
from typing import Final

from prometheus_client import CollectorRegistry

from services.chassis.telemetry import Family, Gauge, Readings
from services.gateway.breakers import State
from services.gateway.gate import Gate

BREAKERS: Final = Family(
    name="zcode_breaker_state",
    kind="gauge",
    help="Circuits that have seen failures, of a credential or a model: 0 closed, 1 probing, 2 open.",
    labels=("kind", "name"),
)
LIMITS: Final = Family(
    name="zcode_upstream_concurrency_limit",
    kind="gauge",
    help="How many calls may run at once, where the upstream has said that it was too many.",
    labels=("credential", "model"),
)
WAITING: Final = Family(name="zcode_upstream_waiting", kind="gauge", help="Requests that wait because of such a limit.")
FAMILIES: Final = (BREAKERS, LIMITS, WAITING)

_VALUE: Final = {State.CLOSED: 0.0, State.PROBING: 1.0, State.OPEN: 2.0}


def export_gate(registry: CollectorRegistry, gate: Gate, is_known_model: Callable[[str], bool]) -> None:
    """Export the gate's state, read when it is scraped. Unknown models are `other`; the worst of them shows."""

    def name_of(model: str) -> str:
        return model if is_known_model(model) else "other"

    def breakers() -> Readings:
        found: dict[tuple[str, ...], float] = {}
        for (kind, name), state in gate.states().items():
            key = (kind, name_of(name) if kind == "model" else name)
            found[key] = max(_VALUE[state], found.get(key, 0.0))
        return found

    def limits() -> Readings:
        found: dict[tuple[str, ...], float] = {}
        for (credential, model), allowed in gate.limits().items():
            key = (credential, name_of(model))
            found[key] = min(float(allowed), found.get(key, float(allowed)))
        return found

    Gauge(BREAKERS, registry, breakers)
    Gauge(LIMITS, registry, limits)
    Gauge(WAITING, registry, gate.waiting)
