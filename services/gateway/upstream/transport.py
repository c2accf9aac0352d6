"""
The port to the upstream: one request out, one answer back, its body pushed to a receiver.

Two implementations pass one contract suite (`tests/contract/upstream_transport`):
`pooled` (HTTP/1.1 on httptools and asyncio protocols) and `httpx` (httpx2; proxies and odd networks).

Life of an answer: `send` returns when the final status line and headers are there (1xx are swallowed).
Nothing of the body is delivered before `UpstreamAnswer.consume`; from then on the receiver gets `on_data` any
number of times and exactly one of `on_end` and `on_failure`, always on the event loop's thread and possibly before
`consume` returns. After `close` the receiver is never called again.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

import msgspec


class Origin(msgspec.Struct, frozen=True):
    """Where an upstream lives; always from configuration, never from a request."""

    scheme: str  # "http" or "https"
    host: str
    port: int

    @property
    def authority(self) -> str:
        """The value of the `Host` header: the port is left out where it is the scheme's own."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        default = {"http": 80, "https": 443}[self.scheme]
        return host if self.port == default else f"{host}:{self.port}"


class Timeouts(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds. Every wait of a transport is one of these."""

    pool: float = 2.0  # for a free connection slot
    connect: float = 5.0  # DNS, TCP and TLS together
    write: float = 30.0  # without the network taking any of the request's bytes
    first_byte: float = 300.0  # from the request's last byte to the end of the answer's head; 1xx do not count
    idle: float = 300.0  # between two bytes of the body; stands still while paused
    total: float = 1800.0  # from `send` to the last byte


class AnswerLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Bytes. What an answer may cost before it is cut with `AnswerTooLarge`."""

    headers: int = 64 * 1024
    header_count: int = 200
    body: int = 64 * 1024 * 1024  # as transferred; decoded sizes are the reader's business


class HeaderBlock(msgspec.Struct, frozen=True):
    """Headers that many requests share; made by `request_head.header_block`, which has checked them."""

    pairs: tuple[tuple[bytes, bytes], ...] = ()
    lines: bytes = b""  # the same as they go on the wire


NO_HEADERS = HeaderBlock()


class UpstreamRequest(msgspec.Struct, frozen=True, kw_only=True):
    """One request as it goes on the wire. Neither `headers` nor `fixed` hold host, content-length and connection."""

    method: str
    origin: Origin
    path: bytes
    headers: Sequence[tuple[bytes, bytes]]
    fixed: HeaderBlock = NO_HEADERS
    body: bytes
    timeouts: Timeouts
    limits: AnswerLimits


class BodyReceiver(Protocol):
    """
    Takes a body as it arrives. All calls are synchronous and must not block.

    One that raises loses its connection and hears `on_failure`. Calling the answer's methods from inside is fine.
    """

    def on_data(self, data: bytes) -> None:
        """Take the next bytes of the body, with transfer coding removed and content coding untouched."""

    def on_end(self) -> None:
        """Take note that the body is complete as framed."""

    def on_failure(self, error: "TransportError") -> None:
        """Take note that the body broke off: reset, truncated, timed out, too large."""


class UpstreamAnswer(Protocol):
    """The head of an answer and the handle on its body. Belongs to one request; not for sharing."""

    @property
    def status(self) -> int:
        """The final status code."""

    @property
    def headers(self) -> Sequence[tuple[bytes, bytes]]:
        """As received, names in lower case, hop-by-hop headers included."""

    @property
    def fields(self) -> Mapping[bytes, bytes]:
        """The headers by name; of repeated ones the last."""

    @property
    def all_here(self) -> bool:
        """Whether all of the body is known to have come; its end is told right behind what of it is being delivered."""

    def whole(self) -> bytes | None:
        """Return the body if all of it has come, in place of `consume`; None says that it is to be consumed."""

    def consume(self, receiver: BodyReceiver) -> None:
        """Start delivering the body; called at most once."""

    def pause(self) -> None:
        """
        Stop reading from the network, so that a slow client holds the upstream back. Idempotent.

        No `on_data` follows until `resume`, but for what a later `consume` finds already read; the end may follow.
        """

    def resume(self) -> None:
        """Undo `pause`. Idempotent."""

    def close(self) -> None:
        """
        Be done with the answer, at any moment and any number of times.

        A complete body returns the connection to the pool; anything else drops it at once, which is how
        the upstream learns that nobody listens any more.
        """


class UpstreamTransport(Protocol):
    """Sends requests. Safe for concurrent use on one event loop."""

    async def send(self, request: UpstreamRequest) -> UpstreamAnswer:
        """
        Send a request and wait for the head of its answer.

        Raises a `TransportError`. Cancelling the call frees its connection at once. A request on a reused
        connection that dies before any byte of the answer is sent once more on a fresh one, here and nowhere else.
        """

    async def aclose(self) -> None:
        """Drop every connection, idle or not."""

    def statistics(self) -> "TransportStatistics":
        """Return counts for metrics and for leak tests."""


class TransportStatistics(msgspec.Struct, frozen=True):
    """A snapshot of the pool."""

    idle: int
    active: int
    waiting: int


class TransportError(Exception):
    """
    The upstream could not be reached or broke off.

        TransportError
        ├── PoolTimeout        no free connection slot in time             nothing sent
        ├── ConnectFailed      DNS, TCP or TLS; refused or timed out       nothing sent
        │   └── CertificateInvalid                                         nothing sent
        ├── SendFailed         the connection died while sending           outcome unknown
        ├── FirstByteTimeout   sent, but no headers in time                outcome unknown
        ├── ConnectionLost     reset or closed before the framed end       outcome unknown
        ├── IdleTimeout        the body stopped arriving                   outcome unknown
        ├── TotalTimeout       the whole answer took too long              outcome unknown
        ├── ProtocolViolation  not HTTP/1.1, or ambiguous framing          outcome unknown
        └── AnswerTooLarge     headers or body above the limits            outcome unknown

    The message is safe to log and to show: it holds no request data.
    """

    nothing_sent = False


class PoolTimeout(TransportError):
    nothing_sent = True


class ConnectFailed(TransportError):
    nothing_sent = True


class CertificateInvalid(ConnectFailed):
    pass


class SendFailed(TransportError):
    pass


class FirstByteTimeout(TransportError):
    pass


class ConnectionLost(TransportError):
    pass


class IdleTimeout(TransportError):
    pass


class TotalTimeout(TransportError):
    pass


class ProtocolViolation(TransportError):
    pass


class AnswerTooLarge(TransportError):
    pass
