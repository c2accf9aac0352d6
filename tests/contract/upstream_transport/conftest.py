"""Every test here runs against both transports, the pooled one on both event loops."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from services.gateway.upstream.factory import make_transport
from services.gateway.upstream.transport import UpstreamTransport

# Where the two legitimately differ. A test that meets a row asks `differs`; everything not listed is the same.
#
#   row                     what happens                                    pooled          httpx (httpcore2, h11)
DIFFERENCES: dict[str, dict[str, str]] = {
    # A reused connection dies after the request was written, before a byte of the answer came.
    # h11 does not tell "no byte" from "half a head", so a retry there might repeat an answered request.
    "stale": {"pooled": "one retry", "httpx": "ConnectionLost"},
    # An answer that comes while the request's body is still stuck in the socket.
    "early": {"pooled": "delivered", "httpx": "SendFailed"},
    # The same, and its sender hangs up: httpcore2 writes until the reset, which takes the unread answer with it.
    "early hang-up": {"pooled": "delivered", "httpx": "ConnectionLost"},
    # The connection dies while a large body is being sent. httpcore2 hides the write error and reads on.
    "dies": {"pooled": "SendFailed", "httpx": "ConnectionLost"},
    # Lines that end with a bare line feed. llhttp is strict; h11 is not.
    "bare line feed": {"pooled": "ProtocolViolation", "httpx": "accepted"},
    # The same content-length twice. h11 folds the two into one before anybody can see them.
    "same length twice": {"pooled": "ProtocolViolation", "httpx": "accepted"},
    # A chunk of 2**68 bytes. h11 believes it, and the idle timeout or the body limit ends it.
    "huge chunk": {"pooled": "ProtocolViolation", "httpx": "IdleTimeout"},
    # 1xx answers without end. httpcore2 does not count them, so only the first-byte timeout ends them.
    "endless 1xx": {"pooled": "AnswerTooLarge", "httpx": "FirstByteTimeout"},
    # How many connections `connections` is: per origin, or over all of them.
    "cap": {"pooled": "per origin", "httpx": "in all"},
    # Events that arrive in one read: one call of on_data, or one for each chunk.
    "pieces": {"pooled": "per read", "httpx": "per chunk"},
}

_ASYNCIO = ("asyncio", {"use_uvloop": False})
_UVLOOP = ("asyncio", {"use_uvloop": True})


@pytest.fixture(
    params=[("pooled", _UVLOOP), ("pooled", _ASYNCIO), ("httpx", _UVLOOP)],
    ids=["pooled-uvloop", "pooled-asyncio", "httpx-uvloop"],
)
def setup(request: pytest.FixtureRequest) -> tuple[str, Any]:
    combination: tuple[str, Any] = request.param
    return combination


@pytest.fixture
def anyio_backend(setup: tuple[str, Any]) -> Any:
    return setup[1]


@pytest.fixture
def kind(setup: tuple[str, Any]) -> str:
    return setup[0]


@pytest.fixture
def differs(kind: str) -> Callable[[str], str]:
    """Return how this transport behaves in a row of the table above."""
    return lambda row: DIFFERENCES[row][kind]


@pytest.fixture
async def transport(kind: str) -> AsyncIterator[UpstreamTransport]:
    transport = make_transport(kind, None, None, 10)
    yield transport
    await transport.aclose()


@pytest.fixture
async def single(kind: str) -> AsyncIterator[UpstreamTransport]:
    """A transport with one connection."""
    transport = make_transport(kind, None, None, 1)
    yield transport
    await transport.aclose()
