"""What one process is watched with: its registry with the vital signs, and its traces where they are wanted."""

import os
from collections.abc import Mapping
from importlib import metadata
from typing import Any, Final

import msgspec
from prometheus_client import CollectorRegistry

from services.chassis.otlp import Traces, open_traces
from services.chassis.telemetry import Vitals, vitals
from services.chassis.traced_app import TracedApp

_DISTRIBUTION: Final = "zcode-proxy"


class Instruments(msgspec.Struct, frozen=True):
    """Belongs to one process. `close` comes last at its end."""

    vitals: Vitals
    traces: Traces | None

    def traced(self, app: Any) -> Any:
        """Return the application with spans for calls that carry a trace, or as it is."""
        return app if self.traces is None else TracedApp(app, self.traces, self.traces.sampler)

    def close(self) -> None:
        """Send the last spans, within a few seconds."""
        if self.traces is not None:
            self.traces.close()


def instruments(
    service: str, registry: CollectorRegistry, endpoint: str | None = None, environ: Mapping[str, str] = os.environ
) -> Instruments:
    """Export what every process has, and open its traces; `endpoint` is the settings', the variables count as well."""
    version = version_of_this()
    return Instruments(vitals(registry, service, version), open_traces(endpoint, service, version, registry, environ))


def version_of_this() -> str:
    """Return the distribution's version."""
    try:
        return metadata.version(_DISTRIBUTION)
    except metadata.PackageNotFoundError:  # pragma: no cover -- a bare source tree
        return "unknown"
