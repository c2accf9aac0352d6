"""
The real gateway on real sockets, with the simulator (or any other origin) as its upstream.

    async with running_gateway() as gateway:                                 a simulator of its own, no pacing
        await client.post(f"{gateway.url}/v1/messages", …)
        [request] = gateway.upstream_requests
    async with running_gateway(upstream="http://127.0.0.1:9", limits={"ping": 0.05}) as gateway: ...
    with gateway_thread(upstream_format="openai") as gateway: ...            on a loop of its own, for clients that block

It is put together as `services.gateway.process` does it: `create_gateway`, `listeners`, `chassis.server.Server`.
Keywords are fields of `GatewaySettings`; a mapping changes single fields of a nested struct.
"""

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import msgspec

from services.captcha.client import CaptchaService
from services.chassis import process
from services.chassis.clock import Clock
from services.chassis.secret import Secret
from services.chassis.server import Server
from services.gateway.app import Gateway, create_gateway
from services.gateway.guard import ClientKeys
from services.gateway.leases import Leases
from services.gateway.process import end_streams, listeners
from services.gateway.routing import UpstreamFormat
from services.gateway.settings import GatewaySettings
from services.gateway.upstream.transport import UpstreamTransport
from services.simulator.app import Simulator
from services.simulator.records import Request
from tests.support.answer_tee import Answer, AnswerTee
from tests.support.simulated import TEST_SETTINGS, running_simulator

UPSTREAM_KEY = Secret("upstream-test-key.secret")  # what the upstream is called with
DRAIN_SECONDS = 0.5
STARTED_WITHIN = 10.0


class RunningGateway:
    """A gateway that answers. All attributes may be read from other threads."""

    def __init__(
        self, gateway: Gateway, settings: GatewaySettings, tee: AnswerTee, simulator: Simulator | None
    ) -> None:
        self.gateway = gateway
        self.settings = settings
        self._tee = tee
        self._simulator = simulator
        public, admin = listeners(settings, gateway)
        self.server = Server(
            [msgspec.structs.replace(public, app=tee, direct=tee.direct(public.direct)), admin],
            drain_seconds=settings.limits.drain,
            health=gateway.health,
            on_deadline=lambda: end_streams(gateway),
        )
        self._stopped = False

    @property
    def port(self) -> int:
        return self.server.ports[0]

    @property
    def url(self) -> str:
        """The public origin, without a trailing slash: the Anthropic base URL. OpenAI clients append /v1."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def admin_url(self) -> str:
        return f"http://127.0.0.1:{self.server.ports[1]}"

    @property
    def answers(self) -> list[Answer]:
        """What clients were sent, request by request, in the order in which they came."""
        return self._tee.answers

    @property
    def simulated(self) -> bool:
        """Whether the upstream is a simulator in this process."""
        return self._simulator is not None

    @property
    def simulator(self) -> Simulator:
        """The simulator started for this gateway, or handed to it."""
        assert self._simulator is not None, "this gateway has another upstream"
        return self._simulator

    @property
    def upstream_requests(self) -> list[Request]:
        """What the simulator was asked, oldest first."""
        return list(self.simulator.records.requests)

    async def stop(self) -> bool:
        """Drain and end, once; returns whether every request ended by itself."""
        if self._stopped:
            return True
        self._stopped = True
        return await self.server.stop()


@asynccontextmanager
async def running_gateway(
    upstream: str | None = None,
    *,
    simulator: Simulator | None = None,
    upstream_format: UpstreamFormat | str = UpstreamFormat.ANTHROPIC,
    transport: UpstreamTransport | None = None,
    leases: Leases | None = None,
    keys: ClientKeys | None = None,
    captcha_service: CaptchaService | None = None,
    clock: Clock | None = None,
    **changes: Any,
) -> AsyncIterator[RunningGateway]:
    """Serve until the block ends. `upstream` is an origin; without it a simulator is started (`simulator`, or a new one)."""
    async with contextlib.AsyncExitStack() as stack:
        if upstream is None:
            simulator = simulator or Simulator(TEST_SETTINGS)
            upstream = await stack.enter_async_context(running_simulator(simulator))
        settings = gateway_settings(upstream, upstream_format=upstream_format, **changes)
        gateway = create_gateway(
            settings, transport=transport, leases=leases, keys=keys, captcha=captcha_service, clock=clock
        )
        running = RunningGateway(gateway, settings, AnswerTee(gateway.entry), simulator)
        await running.server.start()
        try:
            yield running
        finally:
            await running.stop()


@contextmanager
def gateway_thread(upstream: str | None = None, **changes: Any) -> Iterator[RunningGateway]:
    """Serve on a thread and an event loop of its own; takes what `running_gateway` takes."""
    started = threading.Event()
    found: list[RunningGateway] = []
    failed: list[BaseException] = []
    ends: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []

    async def serve() -> None:
        stop = asyncio.Event()
        ends.append((asyncio.get_running_loop(), stop))
        async with running_gateway(upstream, **changes) as gateway:
            found.append(gateway)
            started.set()
            await stop.wait()

    def run() -> None:
        try:
            process.run(serve())  # uvloop, as in production
        except BaseException as error:  # noqa: BLE001 -- raised again in the test's thread
            failed.append(error)
        finally:
            started.set()

    thread = threading.Thread(target=run, name="gateway")
    thread.start()
    assert started.wait(STARTED_WITHIN)
    try:
        if found:
            yield found[0]
    finally:
        loop, stop = ends[0]
        with contextlib.suppress(RuntimeError):  # the loop is closed: serving has failed
            loop.call_soon_threadsafe(stop.set)
        thread.join(STARTED_WITHIN)
    if failed:
        raise failed[0]


def gateway_settings(
    upstream: str, *, upstream_format: UpstreamFormat | str = UpstreamFormat.ANTHROPIC, **changes: Any
) -> GatewaySettings:
    """Return settings for free loopback ports, the coding plan at `upstream` and a short drain, with `changes` applied."""
    plan = {"upstream_format": UpstreamFormat(upstream_format)}
    bases = {"anthropic_base": f"{upstream}/api/anthropic", "openai_base": f"{upstream}/api/coding/paas/v4"}
    base = _changed(
        GatewaySettings(),
        {
            "server": {"port": 0, "admin_port": 0, "host": "127.0.0.1"},
            "auth": {"api_key": UPSTREAM_KEY},
            "providers": {name: _changed(row, bases) for name, row in GatewaySettings().providers.items()},
            "coding_plan": plan,
            "start_plan": {"base": upstream},
            # Tests break the upstream more often than a gateway would put up with.
            "limits": {"drain": DRAIN_SECONDS, "breaker": 0},
        },
    )
    settings: GatewaySettings = _changed(base, changes)
    return settings


def _changed(struct: Any, changes: Mapping[str, Any]) -> Any:
    """Return the struct with fields replaced; a mapping for a field that is a struct changes fields of that one."""
    new = {}
    for name, value in changes.items():
        old = getattr(struct, name)
        nested = isinstance(old, msgspec.Struct) and isinstance(value, Mapping)
        new[name] = _changed(old, value) if nested else value
    return msgspec.structs.replace(struct, **new)
