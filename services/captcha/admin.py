"""The admin port: probes and metrics without a key, on an address that neither gateways nor browsers reach."""

from typing import Any

from litestar import Litestar, Request, Response, get
from prometheus_client import CollectorRegistry

from services.chassis.clock import Clock, SystemClock
from services.chassis.health import Health
from services.chassis.telemetry import exposition


def create_admin(health: Health, registry: CollectorRegistry, *, clock: Clock | None = None) -> Litestar:
    """Make the admin application."""
    watch = clock or SystemClock()

    @get("/livez", sync_to_thread=False)
    def livez() -> Response[dict[str, str]]:
        """Is the event loop turning; depends on nothing else."""
        alive = health.alive(watch.monotonic())
        return Response({"status": "ok" if alive else "stuck"}, status_code=200 if alive else 503)

    @get("/readyz", sync_to_thread=False)
    def readyz() -> Response[dict[str, object]]:
        """Should this process be sent calls. An empty bank is a metric, not a reason to say no (promises.md C11)."""
        verdict = health.readiness()
        body: dict[str, object] = {"status": verdict.status, "degraded": list(verdict.degraded)}
        return Response(body, status_code=200 if verdict.ready else 503)

    @get("/metrics", sync_to_thread=False)
    def metrics(request: Request[Any, Any, Any]) -> Response[bytes]:
        """Everything that is counted, in the format that is asked for."""
        text, content_type = exposition(registry, request.headers.get("accept", ""))
        return Response(text, headers={"content-type": content_type})

    return Litestar([livez, readyz, metrics], openapi_config=None, logging_config=None)
