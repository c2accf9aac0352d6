"""The admin port: probes and metrics, without a key, on an address that clients do not reach."""

from collections.abc import Callable, Sequence
from typing import Any

from litestar import Litestar, Request, Response, get, post
from litestar.types import ControllerRouterHandler
from prometheus_client import CollectorRegistry

from services.chassis.clock import Clock, SystemClock
from services.chassis.health import Health
from services.chassis.server import ask_to_drain
from services.chassis.telemetry import exposition
from services.gateway.settings_rules import is_loopback


def create_admin(
    health: Health,
    registry: CollectorRegistry,
    clock: Clock | None = None,
    *,
    look: Callable[[], None] = lambda: None,
    freshen: Callable[[], None] = lambda: None,
    more: Sequence[ControllerRouterHandler] = (),
    drain: Callable[[], None] = ask_to_drain,
) -> Litestar:
    """
    Make the admin application of one process; `look` comes before every probe, `freshen` before every scrape.

    `POST /drain` is what a preStop step calls (`zcode-proxy drain`). It is for callers on this machine only: whoever
    may scrape must not be able to send the clients away.
    """
    watch = clock or SystemClock()

    @get("/livez", sync_to_thread=False)
    def livez() -> Response[dict[str, str]]:
        """Is the event loop turning; depends on nothing else."""
        alive = health.alive(watch.monotonic())
        return Response({"status": "ok" if alive else "stuck"}, status_code=200 if alive else 503)

    @get("/readyz", sync_to_thread=False)
    def readyz() -> Response[dict[str, object]]:
        """Should this process be sent traffic."""
        look()
        verdict = health.readiness()
        body: dict[str, object] = {"status": verdict.status, "degraded": list(verdict.degraded)}
        return Response(body, status_code=200 if verdict.ready else 503)

    @get("/metrics", sync_to_thread=False)
    def metrics(request: Request[Any, Any, Any]) -> Response[bytes]:
        """Everything that is counted, in the format that is asked for."""
        freshen()
        text, content_type = exposition(registry, request.headers.get("accept", ""))
        return Response(text, headers={"content-type": content_type})

    @post("/drain", status_code=202, sync_to_thread=False)
    def drain_route(request: Request[Any, Any, Any]) -> Response[dict[str, str]]:
        """Let clients know that this process is about to end, and serve on."""
        if request.client is None or not is_loopback(request.client.host):
            return Response({"status": "refused", "reason": "only from this machine"}, status_code=403)
        drain()
        return Response({"status": "draining"}, status_code=202)

    return Litestar([livez, readyz, metrics, drain_route, *more], openapi_config=None, logging_config=None)
