"""What only the pooled transport does; the port's contract is in tests/contract/upstream_transport."""

import asyncio

import pytest

from services.gateway.upstream.pooled import PooledTransport
from services.gateway.upstream.tls import make_tls_context
from services.gateway.upstream.transport import ConnectFailed, Timeouts, TransportStatistics
from tests.support.raw_upstream import Peer, RawUpstream, answer, eventually, replies
from tests.support.transport_client import ask, fetch

EMPTY = TransportStatistics(idle=0, active=0, waiting=0)


def transport(*, connections: int = 10, idle_seconds: float = 55) -> PooledTransport:
    return PooledTransport(connections=connections, tls=make_tls_context(), idle_seconds=idle_seconds)


async def test_idle_connections_are_closed_when_they_are_old() -> None:
    pooled = transport(idle_seconds=0.1)
    async with RawUpstream(replies(answer())) as upstream:
        await asyncio.gather(*[fetch(pooled, ask(upstream.origin)) for _ in range(3)])
        assert pooled.statistics().idle == 3
        for peer in upstream.peers:
            await peer.gone(1)
        assert pooled.statistics() == EMPTY
        assert await fetch(pooled, ask(upstream.origin)) == b"ok"
    await pooled.aclose()


async def test_the_youngest_idle_connection_is_used_first() -> None:
    pooled = transport()

    async def script(peer: Peer) -> None:
        while True:
            await asyncio.sleep(0.01 if await peer.request() == b"slow" else 0)
            await peer.send(answer(b"%d" % peer.number))

    async with RawUpstream(script) as upstream:
        await asyncio.gather(fetch(pooled, ask(upstream.origin, b"slow")), fetch(pooled, ask(upstream.origin, b"fast")))
        last = await fetch(pooled, ask(upstream.origin))
        for _ in range(5):
            assert await fetch(pooled, ask(upstream.origin)) == last
    await pooled.aclose()


async def test_sending_on_a_connection_at_hand_needs_no_turn_of_the_loop() -> None:
    pooled = transport()
    async with RawUpstream(replies(answer())) as upstream:
        await fetch(pooled, ask(upstream.origin))
        sending = pooled.send(ask(upstream.origin))
        waits_for = sending.send(None)  # one step of the coroutine: it has written and waits for the head
        assert asyncio.isfuture(waits_for)
        await eventually(lambda: upstream.requests == 2)
        sending.close()
        assert pooled.statistics().active == 0
    await pooled.aclose()


async def test_connection_that_dies_while_it_is_handed_over_is_replaced() -> None:
    pooled = transport(connections=1)

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(answer(b"%d" % peer.number))
        peer.close()  # the answer did not say so

    async with RawUpstream(script) as upstream:
        calls = [fetch(pooled, ask(upstream.origin, timeouts=Timeouts())) for _ in range(20)]
        assert await asyncio.gather(*calls) == [b"%d" % number for number in range(20)]
        await eventually(lambda: pooled.statistics() == EMPTY)
    await pooled.aclose()


async def test_transport_closed_while_it_dials_does_not_keep_the_connection() -> None:
    pooled = transport()
    async with RawUpstream(replies(answer())) as upstream:
        sending = asyncio.ensure_future(pooled.send(ask(upstream.origin)))
        await asyncio.sleep(0)
        await pooled.aclose()
        with pytest.raises(ConnectFailed):
            await sending
        assert pooled.statistics() == EMPTY
        await (await upstream.connected()).gone(0.25)


async def test_no_timer_is_left_once_there_is_nothing_to_watch() -> None:
    pooled = transport(idle_seconds=0.0)
    async with RawUpstream(replies(answer(b"", b"connection: close"))) as upstream:
        await fetch(pooled, ask(upstream.origin))
        sweeper = pooled._sweeper
        assert sweeper is not None
        assert sweeper._handle is not None
        await eventually(lambda: sweeper._handle is None, seconds=2)
        assert await fetch(pooled, ask(upstream.origin)) == b""
    await pooled.aclose()
