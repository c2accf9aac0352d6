"""The admin port: probes and metrics without a key, and what else is put there, on an address gateways do not reach."""

from collections.abc import Awaitable, Callable, Sequence

from litestar import Litestar, Response, get
from litestar.types import ControllerRouterHandler
from prometheus_client import CollectorRegistry
from prometheus_client.openmetrics.exposition import CONTENT_TYPE_LATEST, generate_latest

from services.chassis.clock import Clock, SystemClock
from services.chassis.health import Health


def create_admin(
    health: Health,
    registry: CollectorRegistry,
    look: Callable[[], Awaitable[None]],
    *,
    clock: Clock | None = None,
    more: Sequence[ControllerRouterHandler] = (),
) -> Litestar:
    """Make the admin application; `look` reports to `health` what readiness rests on."""
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
    def metrics() -> Response[bytes]:
        """Everything that is counted, as OpenMetrics text."""
        text = generate_latest(registry)  # type: ignore[no-untyped-call]  # the library has no types here
        return Response(text, headers={"content-type": CONTENT_TYPE_LATEST})

    return Litestar([livez, readyz, metrics, *more], openapi_config=None, logging_config=None)
