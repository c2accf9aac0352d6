"""An upstream in memory: `MemoryTransport` hands out the answers it was given, and the test says when they go on."""

import asyncio
from collections.abc import Sequence

from services.gateway.upstream.transport import (
    BodyReceiver,
    TransportError,
    TransportStatistics,
    UpstreamAnswer,
    UpstreamRequest,
)

_Headers = Sequence[tuple[bytes, bytes]]

EVENTS: _Headers = ((b"content-type", b"text/event-stream"),)
JSON: _Headers = ((b"content-type", b"application/json"),)


class MemoryAnswer:
    """Implements `UpstreamAnswer`. With a `body` it is complete from the start, else the test calls what follows."""

    all_here = False

    def __init__(self, status: int = 200, headers: _Headers = EVENTS, body: bytes | None = None) -> None:
        self.status = status
        self.headers = headers
        self.fields = dict(headers)
        self._body = body
        self._receiver: BodyReceiver | None = None
        self.paused = False
        self.closed = False

    def whole(self) -> bytes | None:
        return None

    def consume(self, receiver: BodyReceiver) -> None:
        assert self._receiver is None, "a body is consumed once"
        self._receiver = receiver
        if self._body is not None:
            self.data(self._body)
            self.end()

    def pause(self) -> None:
        self.paused = True

    def resume(self) -> None:
        self.paused = False

    def close(self) -> None:
        self.closed = True

    # The upstream's side.

    @property
    def consumed(self) -> bool:
        """Whether somebody has asked for the body."""
        return self._receiver is not None

    def data(self, data: bytes) -> None:
        if self._receiver is not None and not self.closed:
            self._receiver.on_data(data)

    def end(self) -> None:
        if self._receiver is not None and not self.closed:
            self._receiver.on_end()

    def fail(self, error: TransportError) -> None:
        if self._receiver is not None and not self.closed:
            self._receiver.on_failure(error)


class MemoryTransport:
    """Implements `UpstreamTransport`. An answer that is None never comes; an error is raised."""

    def __init__(self, *answers: MemoryAnswer | TransportError | None) -> None:
        self._answers = list(answers)
        self.requests: list[UpstreamRequest] = []
        self.cancelled = 0

    async def send(self, request: UpstreamRequest) -> UpstreamAnswer:
        self.requests.append(request)
        answer = self._answers.pop(0)
        if isinstance(answer, TransportError):
            raise answer
        if answer is None:
            try:
                await asyncio.Event().wait()
            finally:
                self.cancelled += 1
        assert answer is not None
        return answer

    async def aclose(self) -> None:
        self._answers.clear()

    def statistics(self) -> TransportStatistics:
        return TransportStatistics(idle=0, active=0, waiting=0)
