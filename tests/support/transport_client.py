"""The caller's side of an `UpstreamTransport` in tests: requests, a collecting receiver, and a whole fetch."""

import asyncio
from collections.abc import Sequence

from services.gateway.upstream.transport import (
    AnswerLimits,
    Origin,
    Timeouts,
    TransportError,
    UpstreamAnswer,
    UpstreamRequest,
    UpstreamTransport,
)
from tests.support.raw_upstream import eventually

FAST = Timeouts(pool=0.3, connect=0.5, write=0.5, first_byte=0.5, idle=0.5, total=20)


class Collector:
    """A receiver that keeps what it is given; holds the port to its word on the order of calls."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        self.failure: TransportError | None = None
        self.over = asyncio.Event()

    def on_data(self, data: bytes) -> None:
        assert data, "an empty piece says nothing"
        assert not self.over.is_set(), "data after the end"
        self.pieces.append(data)

    def on_end(self) -> None:
        assert not self.over.is_set(), "two ends"
        self.over.set()

    def on_failure(self, error: TransportError) -> None:
        assert not self.over.is_set(), "two ends"
        self.failure = error
        self.over.set()

    @property
    def data(self) -> bytes:
        return b"".join(self.pieces)

    async def body(self) -> bytes:
        """Return the whole body; raise what broke it off."""
        async with asyncio.timeout(10):
            await self.over.wait()
        if self.failure is not None:
            raise self.failure
        return self.data


def ask(
    origin: Origin,
    body: bytes = b'{"model":"m"}',
    *,
    method: str = "POST",
    path: bytes = b"/v1/messages",
    headers: Sequence[tuple[bytes, bytes]] = ((b"content-type", b"application/json"),),
    timeouts: Timeouts = FAST,
    limits: AnswerLimits = AnswerLimits(),  # noqa: B008 -- frozen
) -> UpstreamRequest:
    """Return a request with short timeouts."""
    return UpstreamRequest(
        method=method, origin=origin, path=path, headers=headers, body=body, timeouts=timeouts, limits=limits
    )


async def read(answer: UpstreamAnswer) -> bytes:
    """Consume an answer to its end and close it."""
    collector = Collector()
    answer.consume(collector)
    try:
        return await collector.body()
    finally:
        answer.close()


async def fetch(transport: UpstreamTransport, request: UpstreamRequest) -> bytes:
    """Send and read; return the body."""
    return await read(await transport.send(request))


async def settled(transport: UpstreamTransport, *, seconds: float = 1.0) -> None:
    """Wait until nothing is active or waiting; fail if that does not come."""
    await eventually(lambda: (now := transport.statistics()).active + now.waiting == 0, seconds=seconds)
