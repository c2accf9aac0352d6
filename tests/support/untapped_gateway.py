"""A running gateway that keeps no copy of its answers, for tests that measure memory."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from services.chassis.direct import DirectRoute
from services.gateway.app import create_gateway
from services.gateway.routing import UpstreamFormat
from services.gateway.upstream.transport import UpstreamTransport
from services.simulator.app import Simulator
from tests.support.answer_tee import AnswerTee
from tests.support.gateway import RunningGateway, gateway_settings


class _Untapped(AnswerTee):
    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self._app(scope, receive, send)

    def direct(self, routes: Mapping[bytes, DirectRoute]) -> dict[bytes, DirectRoute]:
        return dict(routes)


@asynccontextmanager
async def untapped_gateway(
    upstream: str,
    *,
    simulator: Simulator | None = None,
    upstream_format: str = UpstreamFormat.ANTHROPIC,
    transport: UpstreamTransport | None = None,
    **changes: Any,
) -> AsyncIterator[RunningGateway]:
    """Serve until the block ends; as `running_gateway`, but `answers` stays empty, and an upstream must be running."""
    settings = gateway_settings(upstream, upstream_format=upstream_format, **changes)
    gateway = create_gateway(settings, transport=transport)
    running = RunningGateway(gateway, settings, _Untapped(gateway.entry), simulator)
    await running.server.start()
    try:
        yield running
    finally:
        await running.stop()
