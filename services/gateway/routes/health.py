"""`GET /health` on the data port, behind the key as the seed has it; probes belong on the admin port."""

from litestar import get
from litestar.di import NamedDependency

from services.chassis.health import Health


@get("/health", sync_to_thread=False)
def health(process_health: NamedDependency[Health]) -> dict[str, str]:
    """Say whether this process serves."""
    return {"status": "ok" if process_health.readiness().ready else process_health.readiness().status}
