"""The admin port tells probes the truth and scrapers the numbers."""

import pytest
from prometheus_client import CollectorRegistry, Counter

from services.chassis.health import Health, Needs
from services.gateway.admin import create_admin
from tests.support.asgi_end import AsgiEnd
from tests.support.clock import ManualClock


class _Admin:
    def __init__(self) -> None:
        self.health = Health(Needs(groups=(("lease",),), optional=("redis",)), {"lease": True, "redis": False})
        self.clock = ManualClock()
        self.registry = CollectorRegistry()
        self.freshened = 0
        self._app = create_admin(self.health, self.registry, self.clock, freshen=self._freshen)

    def _freshen(self) -> None:
        self.freshened += 1

    async def get(self, path: str, **headers: str) -> AsgiEnd:
        end = AsgiEnd("GET", path, headers=headers)
        await self._app(end.scope, end.receive, end.send)  # type: ignore[arg-type]  # the scope is one of ASGI's
        return end


async def test_a_process_is_alive_while_its_loop_turns() -> None:
    admin = _Admin()
    admin.health.tick(admin.clock.monotonic())
    assert (200, {"status": "ok"}) == ((end := await admin.get("/livez")).status, end.json)

    admin.clock.advance(11)
    assert (503, {"status": "stuck"}) == ((end := await admin.get("/livez")).status, end.json)


async def test_readiness_follows_the_life_of_the_process_and_names_what_is_missing() -> None:
    admin = _Admin()
    assert 503 == (await admin.get("/readyz")).status

    admin.health.started()
    assert (200, {"status": "ready", "degraded": ["redis"]}) == ((end := await admin.get("/readyz")).status, end.json)

    admin.health.drain()
    assert (503, "draining") == ((end := await admin.get("/readyz")).status, end.json["status"])
    assert 200 == (await admin.get("/livez")).status


async def test_metrics_come_in_the_format_that_is_asked_for() -> None:
    admin = _Admin()
    Counter("zcode_x", "X.", registry=admin.registry).inc(3)
    end = await admin.get("/metrics")
    assert (end.header("content-type") or "").startswith("text/plain")
    assert b"zcode_x_total 3.0" in end.body

    end = await admin.get("/metrics", accept="application/openmetrics-text;version=1.0.0")
    assert (end.header("content-type") or "").startswith("application/openmetrics-text")
    assert b"zcode_x_total 3.0" in end.body
    assert end.body.endswith(b"# EOF\n")


async def test_what_waits_is_counted_before_a_scrape() -> None:
    admin = _Admin()
    await admin.get("/metrics")
    await admin.get("/readyz")

    assert 1 == admin.freshened


@pytest.mark.parametrize("path", ["/", "/v1/models", "/health", "/schema", "/livez/x"])
async def test_there_is_nothing_else(path: str) -> None:
    assert 404 == (await _Admin().get(path)).status


@pytest.mark.parametrize(("host", "status", "drained"), [("127.0.0.1", 202, 1), ("::1", 202, 1), ("10.0.0.7", 403, 0)])
async def test_only_this_machine_may_send_the_clients_away(host: str, status: int, drained: int) -> None:
    calls: list[bool] = []
    app = create_admin(Health(), CollectorRegistry(), ManualClock(), drain=lambda: calls.append(True))
    end = AsgiEnd("POST", "/drain")
    end.scope["client"] = (host, 1)
    await app(end.scope, end.receive, end.send)  # type: ignore[arg-type]  # the scope is one of ASGI's

    assert (status, drained) == (end.status, len(calls))
