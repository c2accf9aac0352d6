"""What must be left of requests that are over: nothing (promises.md P-50)."""

import asyncio

from tests.support.gateway import RunningGateway

_LOOK = 0.01


def held_by(gateway: RunningGateway) -> dict[str, int]:
    """Return everything that a request takes and must give back, and how much of it is taken."""
    parts = gateway.gateway
    statistics = parts.transport.statistics()
    return {
        "slots": parts.slots.running,
        "queue": parts.slots.waiting,
        "kept streams": len(parts.keeper),
        "background tasks": len(parts.tasks),
        "upstream slots": statistics.active,
        "waiting for an upstream slot": statistics.waiting,
        "requests": gateway.server.sites[0].running,
        "answers of the simulator": gateway.simulator.records.open_streams if gateway.simulated else 0,
    }


async def at_rest(gateway: RunningGateway, *, seconds: float = 2.0) -> dict[str, int]:
    """Wait until the gateway holds nothing, so long at most; return what it still holds, which is to be empty."""
    held: dict[str, int] = {}
    for _ in range(int(seconds / _LOOK)):
        held = {name: count for name, count in held_by(gateway).items() if count}
        if not held:
            break
        await asyncio.sleep(_LOOK)
    return held
