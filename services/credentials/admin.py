"""The admin port: probes and metrics without a key, and the admin API behind its own, where no gateway calls."""

from collections.abc import Awaitable, Callable
from typing import Any

from litestar import Litestar, Request, Response, get
from prometheus_client import CollectorRegistry

from services.chassis.clock import Clock, SystemClock
from services.chassis.health import Health
from services.chassis.telemetry import exposition
from services.credentials.admin_contract import PREFIX


def create_admin(
    health: Health,
    registry: CollectorRegistry,
    look: Callable[[], Awaitable[None]],
    *,
    administration: Any = None,
    clock: Clock | None = None,
) -> "AdminPort":
    """Make the admin application; `look` reports to `health` what readiness rests on. Without an API there is none."""
    watch = clock or SystemClock()

    @get("/livez", sync_to_thread=False)
    def livez() -> Response[dict[str, str]]:
        """Is the event loop turning; depends on nothing else."""
        alive = health.alive(watch.monotonic())
        return Response({"status": "ok" if alive else "stuck"}, status_code=200 if alive else 503)

    @get("/readyz")
    async def readyz() -> Response[dict[str, object]]:
        """Should this process be sent calls."""
        await look()
        verdict = health.readiness()
        body: dict[str, object] = {"status": verdict.status, "degraded": list(verdict.degraded)}
        return Response(body, status_code=200 if verdict.ready else 503)

    @get("/metrics", sync_to_thread=False)
    def metrics(request: Request[Any, Any, Any]) -> Response[bytes]:
        """Everything that is counted, in the format that is asked for."""
        text, content_type = exposition(registry, request.headers.get("accept", ""))
        return Response(text, headers={"content-type": content_type})

    return AdminPort(Litestar([livez, readyz, metrics], openapi_config=None, logging_config=None), administration)


class AdminPort:
    """Hands calls of the admin API to its guard, and everything else to the probes."""

    def __init__(self, probes: Any, administration: Any) -> None:
        self._probes = probes
        self._administration = administration

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve one call."""
        is_api = self._administration is not None and scope["type"] == "http" and scope["path"].startswith(PREFIX)
        await (self._administration if is_api else self._probes)(scope, receive, send)
