"""
The second transport: the same port over httpx2, for HTTP proxies, odd networks and as a reference.

It stands on httpx2's transport layer and not on its client, so there is no cookie jar, no redirect, no authentication
and no environment to switch off. Bodies are pulled by an owned task and pushed to the receiver. The waits are bounded
here, by the phase that httpcore2's trace reports, because its own read timeout begins anew with every read.

    phase     from                        bounded by             timeout becomes
    pool      `send`                      httpcore2, `pool`      PoolTimeout
    connect   connect_tcp                 here, `connect`        ConnectFailed (a proxy's CONNECT included)
    write     send_request_headers        httpcore2, `write`     SendFailed
    head      receive_response_headers    here, `first_byte`     FirstByteTimeout
    body      `consume`                   here, `idle`           IdleTimeout
    any                                   here, `total`          TotalTimeout

Where it differs from the pooled transport is listed in tests/contract/upstream_transport/conftest.py.
"""

import asyncio
import contextlib
import operator
import ssl
from collections.abc import AsyncIterator
from typing import Any, Final

import httpx2
from httpcore2 import AsyncConnectionInterface, AsyncNetworkStream

from services.chassis.process import Tasks
from services.gateway.upstream.framing import check_head
from services.gateway.upstream.httpx_answer import HttpxAnswer
from services.gateway.upstream.httpx_errors import translate
from services.gateway.upstream.request_head import announces_length, own_lines
from services.gateway.upstream.transport import (
    ConnectFailed,
    ConnectionLost,
    FirstByteTimeout,
    TotalTimeout,
    TransportError,
    TransportStatistics,
    UpstreamAnswer,
    UpstreamRequest,
)

IDLE_SECONDS: Final = 55.0
_SLICE: Final = 64 * 1024  # of a request's body; the write timeout holds for each

_CONNECT: Final = b"CONNECT"
_TUNNEL: Final = operator.attrgetter("_connection._connection._network_stream")


class _Body(httpx2.AsyncByteStream):
    """A request's body in slices."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for start in range(0, len(self._body), _SLICE):
            yield self._body[start : start + _SLICE]


class _Attempt:
    """One `send`: which phase it is in, and the clock that bounds it."""

    def __init__(self, request: UpstreamRequest, limit: asyncio.Timeout, deadline: float) -> None:
        self.phase = "pool"
        self.transport_closed = False
        self.connecting: AsyncNetworkStream | None = None  # the socket, until TLS is on it
        self._request = request
        self._limit = limit
        self._deadline = deadline

    async def trace(self, event: str, info: dict[str, Any]) -> None:
        """Follow httpcore2's events; a coroutine because it insists."""
        seconds = self._request.timeouts
        if event == "connection.connect_tcp.started":
            self._enter("connect", seconds.connect)
        elif event == "connection.connect_tcp.complete":
            self.connecting = info["return_value"]
        elif event.endswith(".started") and getattr(info.get("request"), "method", _CONNECT) != _CONNECT:
            if event == "http11.send_request_headers.started":
                self._enter("write", None)
                self.connecting = None
            elif event == "http11.receive_response_headers.started":
                self._enter("head", seconds.first_byte)

    def cut(self) -> None:
        """End the attempt now, because the transport closes."""
        self.transport_closed = True
        self._limit.reschedule(0)

    def timeout(self) -> TransportError:
        """Say what ran out."""
        seconds = self._request.timeouts
        host = self._request.origin.host
        if self.transport_closed:
            closed = "the transport is closed"
            return ConnectFailed(closed) if self.phase in {"pool", "connect"} else ConnectionLost(closed)
        if self._limit.when() == self._deadline:
            return TotalTimeout(f"the upstream's answer took longer than {seconds.total:g} s")
        if self.phase == "connect":
            return ConnectFailed(f"cannot connect to {host} within {seconds.connect:g} s")
        return FirstByteTimeout(f"no answer from the upstream within {seconds.first_byte:g} s")

    def _enter(self, phase: str, seconds: float | None) -> None:
        self.phase = phase
        now = asyncio.get_running_loop().time()
        self._limit.reschedule(self._deadline if seconds is None else min(self._deadline, now + seconds))


class HttpxTransport:
    """Implements `UpstreamTransport` over httpx2. `connections` is for all origins together."""

    def __init__(self, *, connections: int, tls: ssl.SSLContext, proxy: str | None = None) -> None:
        limits = httpx2.Limits(
            max_connections=connections, max_keepalive_connections=connections, keepalive_expiry=IDLE_SECONDS
        )
        self._transport = httpx2.AsyncHTTPTransport(verify=tls, trust_env=False, limits=limits, proxy=proxy)
        self._tasks = Tasks()
        self._attempts: set[_Attempt] = set()
        self._answers: set[HttpxAnswer] = set()
        self._closed = False

    async def send(self, request: UpstreamRequest) -> UpstreamAnswer:
        own_lines(request)  # for its refusals
        if self._closed:
            raise ConnectFailed("the transport is closed")
        deadline = asyncio.get_running_loop().time() + request.timeouts.total
        response = await self._head(request, deadline)
        answer = HttpxAnswer(request, response, deadline, self._tasks, self._answers.discard)
        self._answers.add(answer)
        try:
            version = response.extensions["http_version"].decode().removeprefix("HTTP/")
            check_head(answer.status, version, answer.headers, answer.fields, request.limits)
        except BaseException:
            answer.close()
            raise
        return answer

    async def _head(self, request: UpstreamRequest, deadline: float) -> httpx2.Response:
        limit = asyncio.timeout_at(deadline)
        attempt = _Attempt(request, limit, deadline)
        self._attempts.add(attempt)
        try:
            async with limit:
                return await self._transport.handle_async_request(_build(request, attempt))
        except TimeoutError:
            raise attempt.timeout() from None
        except httpx2.HTTPError as error:
            raise translate(error) from error
        finally:
            self._attempts.discard(attempt)
            if attempt.connecting is not None:
                _ = self._tasks.start(self._abandon(attempt.connecting), name="upstream close")

    async def _abandon(self, connecting: AsyncNetworkStream) -> None:
        """
        Close a socket whose TLS handshake did not come to its end.

        httpcore2 leaves it open where the handshake is cancelled, and where it ran through a proxy's tunnel the
        connection also keeps its place in the pool for ever.
        """
        for connection in self._connections():
            with contextlib.suppress(AttributeError):  # not a tunnel
                if _TUNNEL(connection) is connecting:
                    await connection.aclose()
        await connecting.aclose()

    def _connections(self) -> list[AsyncConnectionInterface]:
        return self._transport._pool.connections  # noqa: SLF001 -- httpx2 shows its pool no other way, and a leak must be seen

    async def aclose(self) -> None:
        self._closed = True
        for attempt in tuple(self._attempts):
            attempt.cut()
        for answer in tuple(self._answers):
            answer.break_off(ConnectionLost("the transport is closed"))
        await self._tasks.aclose()
        await self._transport.aclose()

    def statistics(self) -> TransportStatistics:
        connections = self._connections()
        idle = sum(connection.is_idle() for connection in connections)
        return TransportStatistics(
            idle=idle,
            active=sum(not connection.is_closed() for connection in connections) - idle,
            waiting=sum(attempt.phase == "pool" for attempt in self._attempts),
        )


def _build(request: UpstreamRequest, attempt: _Attempt) -> httpx2.Request:
    origin = request.origin
    headers = [(b"host", origin.authority.encode()), *request.fixed.pairs, *request.headers]
    if announces_length(request):
        headers.append((b"content-length", b"%d" % len(request.body)))
    timeouts = {"pool": request.timeouts.pool, "write": request.timeouts.write}
    return httpx2.Request(
        request.method,
        httpx2.URL(scheme=origin.scheme, host=origin.host, port=origin.port, raw_path=request.path),
        headers=headers,
        stream=_Body(request.body),
        extensions={"timeout": timeouts, "trace": attempt.trace},
    )
