"""A running gateway that keeps no copy of its answers, for tests that measure memory."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from services.gateway.app import create_gateway
from services.gateway.routing import UpstreamFormat
from tests.support.answer_tee import AnswerTee
from tests.support.gateway import RunningGateway, gateway_settings


class _Untapped(AnswerTee):
    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self._app(scope, receive, send)


@asynccontextmanager
async def untapped_gateway(
    upstream: str, *, upstream_format: str = UpstreamFormat.ANTHROPIC, **changes: Any
) -> AsyncIterator[RunningGateway]:
    """Serve until the block ends; as `running_gateway`, but `answers` stays empty."""
    settings = gateway_settings(upstream, upstream_format=upstream_format, **changes)
    gateway = create_gateway(settings)
    running = RunningGateway(gateway, settings, _Untapped(gateway.entry), None)
    await running.server.start()
    try:
        yield running
    finally:
        await running.stop()
