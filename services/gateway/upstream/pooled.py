"""
The default transport: HTTP/1.1 over a keep-alive pool, on asyncio protocols and httptools.

With an idle connection at hand `send` finds it, writes the request and awaits one future; everything else here is for
when there is none. It does not follow redirects, keep cookies or read the environment.
"""

import asyncio
import ssl
from typing import Final

from services.gateway.upstream.answer import PooledAnswer, StaleConnection
from services.gateway.upstream.connection import Connection
from services.gateway.upstream.dial import dial
from services.gateway.upstream.pool import OriginPool
from services.gateway.upstream.sweeper import Sweeper, Work
from services.gateway.upstream.transport import (
    ConnectFailed,
    Origin,
    PoolTimeout,
    TotalTimeout,
    TransportStatistics,
    UpstreamAnswer,
    UpstreamRequest,
)

IDLE_SECONDS: Final = 55.0  # below the 60 s after which common load balancers hang up


class PooledTransport:
    """Implements `UpstreamTransport`; belongs to the event loop it first sends on. `connections` is per origin."""

    def __init__(self, *, connections: int, tls: ssl.SSLContext, idle_seconds: float = IDLE_SECONDS) -> None:
        self._cap = connections
        self._tls = tls
        self._idle_seconds = idle_seconds
        self._pools: dict[Origin, OriginPool] = {}
        self._loop: asyncio.AbstractEventLoop | None = None  # asking which one runs is a call into the system
        self._sweeper: Sweeper | None = None
        self._closed = False

    async def send(self, request: UpstreamRequest) -> UpstreamAnswer:
        loop = self._loop
        if loop is None:
            loop = self._loop = asyncio.get_running_loop()
        pool = self._pools.get(request.origin) or self._open_pool(request.origin)
        head = pool.head.write(request)
        answer = PooledAnswer(pool, request, loop.time() + request.timeouts.total)
        self._sweep_soon(loop)
        try:
            if not pool.enter(answer):
                await self._queue(answer, pool)
            connection = answer.connection
            if connection is None or connection.dead:
                connection = await self._dial(answer, pool)
            try:
                await answer.start(connection, head, loop)
            except StaleConnection:
                await answer.start(await self._dial(answer, pool), head, loop)
        except BaseException:
            answer.close()
            raise
        return answer

    async def aclose(self) -> None:
        self._closed = True
        if self._sweeper is not None:
            self._sweeper.stop()
        for pool in self._pools.values():
            await pool.shut()

    def statistics(self) -> TransportStatistics:
        pools = self._pools.values()
        return TransportStatistics(
            idle=sum(len(pool.idle) for pool in pools),
            active=sum(len(pool.live) for pool in pools),
            waiting=sum(pool.waiting for pool in pools),
        )

    def _open_pool(self, origin: Origin) -> OriginPool:
        pool = self._pools[origin] = OriginPool(origin, self._cap)
        return pool

    async def _queue(self, answer: PooledAnswer, pool: OriginPool) -> None:
        timeouts = answer.request.timeouts
        limit = _limit(timeouts.pool, answer)
        try:
            async with limit:
                await pool.wait(answer)
        except TimeoutError:
            _raise_if_total(limit, answer)
            raise PoolTimeout(f"no free connection to the upstream within {timeouts.pool:g} s") from None

    async def _dial(self, answer: PooledAnswer, pool: OriginPool) -> Connection:
        loop = asyncio.get_running_loop()
        timeouts = answer.request.timeouts
        limit = _limit(timeouts.connect, answer)
        try:
            async with limit:
                connection = await dial(pool.origin, self._tls, lambda: Connection(pool, loop.time, pool.buffer))
        except TimeoutError:
            _raise_if_total(limit, answer)
            raise ConnectFailed(f"cannot connect to {pool.origin.host} within {timeouts.connect:g} s") from None
        pool.keep(connection)
        if self._closed:
            connection.drop()
            raise ConnectFailed("the transport is closed")
        return connection

    def _sweep_soon(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._closed:
            raise ConnectFailed("the transport is closed")
        if self._sweeper is None:
            self._sweeper = Sweeper(loop, self._sweep)
        self._sweeper.hurry()

    def _sweep(self, now: float) -> Work:
        work = Work.NONE
        for pool in self._pools.values():
            for answer in tuple(pool.live):
                error = None if answer.connection is None else answer.connection.overdue(now)
                if error is not None:
                    answer.fail(error)
            pool.expire(now - self._idle_seconds)
            if pool.live:
                work = Work.LIVE
            elif pool.idle and work is Work.NONE:
                work = Work.IDLE
        return work


def _limit(seconds: float, answer: PooledAnswer) -> asyncio.Timeout:
    return asyncio.timeout_at(min(asyncio.get_running_loop().time() + seconds, answer.deadline))


def _raise_if_total(limit: asyncio.Timeout, answer: PooledAnswer) -> None:
    if limit.when() == answer.deadline:
        raise TotalTimeout(f"the upstream's answer took longer than {answer.request.timeouts.total:g} s") from None
