"""
The real server, in the test's own event loop, on loopback.

    async with running_server(app) as server:
        ... f"{server.url}/v1/models" ...
"""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

from services.chassis.direct import DirectRoute
from services.chassis.health import Health
from services.chassis.http_guard.limits import GuardLimits
from services.chassis.problem import ErrorWriter, write_problem
from services.chassis.server import Server
from services.chassis.server_tls import ServerTls
from services.chassis.site import Listener, Site


class RunningServer:
    """A server that answers. `stop()` may be called before the block ends; it is called at its end otherwise."""

    def __init__(self, server: Server, scheme: str) -> None:
        self.server = server
        self.scheme = scheme
        self.host = "127.0.0.1"
        self._stopped = False

    @property
    def port(self) -> int:
        return self.server.ports[0]

    @property
    def url(self) -> str:
        return f"{self.scheme}://{self.host}:{self.port}"

    @property
    def site(self) -> Site:
        """The first listener: its guard, and how many connections and requests it has."""
        return self.server.sites[0]

    @property
    def health(self) -> Health:
        return self.server.health

    async def stop(self) -> bool:
        """Drain and end, once; returns whether every request ended by itself."""
        if self._stopped:
            return True
        self._stopped = True
        return await self.server.stop()


@asynccontextmanager
async def running_server(
    app: Any,
    *more: Listener,
    direct: Mapping[bytes, DirectRoute] | None = None,
    limits: GuardLimits = GuardLimits(),  # noqa: B008 -- frozen
    error_writer: ErrorWriter = write_problem,
    uds: str | None = None,
    tls: ServerTls | None = None,
    forwarded_allow_ips: tuple[str, ...] = (),
    lifespan: str = "auto",
    drain_seconds: float = 0.5,
    health: Health | None = None,
    on_drain: Callable[[], None] | None = None,
    on_deadline: Callable[[], None] | None = None,
) -> AsyncIterator[RunningServer]:
    """Serve `app` (and `more` listeners) on a free port until the block ends."""
    first = Listener(
        app=app,
        direct=direct or {},
        limits=limits,
        error_writer=error_writer,
        uds=uds,
        tls=tls,
        forwarded_allow_ips=forwarded_allow_ips,
        lifespan=lifespan,
    )
    server = Server(
        [first, *more], drain_seconds=drain_seconds, health=health, on_drain=on_drain, on_deadline=on_deadline
    )
    await server.start()
    running = RunningServer(server, "http" if tls is None else "https")
    try:
        yield running
    finally:
        await running.stop()
