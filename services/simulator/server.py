"""Puts the simulator on a TCP socket for as long as a block runs; `process` makes a whole process of it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from services.simulator.app import Simulator

_BACKLOG = 2048


@asynccontextmanager
async def running(simulator: Simulator) -> AsyncIterator[str]:
    """Listen on the settings' address; give the origin, such as `http://127.0.0.1:8090`, without a trailing slash."""
    settings = simulator.settings
    loop = asyncio.get_running_loop()
    server = await loop.create_server(simulator.connection, settings.host, settings.port, backlog=_BACKLOG)
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    port = server.sockets[0].getsockname()[1]
    try:
        yield f"http://{host}:{port}"
    finally:
        server.close()
        simulator.drop_connections()
        await server.wait_closed()
