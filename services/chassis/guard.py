"""The guard in front of uvicorn's parser; first cut, see server.py for its use."""

import asyncio
from typing import Any

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from services.chassis.http_guard.limits import GuardLimits
from services.chassis.problem import ErrorWriter, write_problem


class Guard:
    """What all connections of one listener share."""

    def __init__(self, limits: GuardLimits, error_writer: ErrorWriter = write_problem) -> None:
        self.limits = limits
        self.error_writer = error_writer
        self.closing = False

    def start(self, loop: asyncio.AbstractEventLoop, connections: set[Any]) -> None:
        """Begin."""

    def stop(self) -> None:
        """End."""


class GuardProtocol(HttpToolsProtocol):
    """One client connection."""

    def __init__(
        self,
        guard: Guard,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        super().__init__(config, server_state, app_state, loop)
        self.guard = guard
