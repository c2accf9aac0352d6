"""One event loop is enough here: what differs between loops is proven with the server."""

import pytest


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"
