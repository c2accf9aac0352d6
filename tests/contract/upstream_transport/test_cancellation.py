"""Nobody listens any more: at every phase the connection goes at once, and nothing is left behind."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable

import pytest

from services.gateway.upstream.transport import (
    ConnectFailed,
    ConnectionLost,
    Origin,
    Timeouts,
    TransportError,
    UpstreamTransport,
)
from tests.support.raw_upstream import Peer, RawUpstream, answer, chunked, eventually, replies, silent
from tests.support.transport_client import Collector, ask, fetch, settled

OK = b"HTTP/1.1 200 OK\r\n"
HANG_UP = 0.25  # seconds until the upstream has seen the close (promises.md P-50)
REPEAT = 5

pytestmark = pytest.mark.promise("P-50")

CalledOff = Callable[[UpstreamTransport, Origin], Awaitable[None]]


def says(data: bytes) -> Callable[[Peer], Awaitable[None]]:
    """Return a script that says `data` to a request and then waits for the hang-up."""

    async def script(peer: Peer) -> None:
        body = await peer.request()
        if body == b"good":
            await peer.send(answer(b"good", b"connection: close"))
        else:
            await peer.send(data)
        await peer.gone(60)

    return script


def cancelled_after(seconds: float, body: bytes = b"bad") -> CalledOff:
    """Return a call that is cancelled while it waits for the head."""

    async def call(transport: UpstreamTransport, origin: Origin) -> None:
        task = asyncio.ensure_future(transport.send(ask(origin, body, timeouts=Timeouts())))
        await asyncio.sleep(seconds)
        assert not task.done()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    return call


async def closed_before_consuming(transport: UpstreamTransport, origin: Origin) -> None:
    (await transport.send(ask(origin, b"bad"))).close()


async def closed_right_after_consuming(transport: UpstreamTransport, origin: Origin) -> None:
    got = await transport.send(ask(origin, b"bad"))
    got.consume(Collector())
    got.close()


async def closed_in_the_body(transport: UpstreamTransport, origin: Origin) -> None:
    got = await transport.send(ask(origin, b"bad"))
    collector = Collector()
    got.consume(collector)
    await eventually(lambda: bool(collector.pieces))
    got.close()
    await asyncio.sleep(0.01)
    assert not collector.over.is_set(), "the receiver heard something after close"


async def closed_while_paused(transport: UpstreamTransport, origin: Origin) -> None:
    got = await transport.send(ask(origin, b"bad"))
    got.consume(Collector())
    got.pause()
    await asyncio.sleep(0.01)
    got.close()


async def closed_by_the_receiver(transport: UpstreamTransport, origin: Origin) -> None:
    got = await transport.send(ask(origin, b"bad"))

    class Closing(Collector):
        def on_data(self, data: bytes) -> None:
            super().on_data(data)
            got.close()
            got.close()

    collector = Closing()
    got.consume(collector)
    await eventually(lambda: bool(collector.pieces))
    await asyncio.sleep(0.01)
    assert len(collector.pieces) == 1
    assert not collector.over.is_set()


HALF_BODY = OK + b"transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n"

PHASES = {
    "at the first turn of the loop": (b"", cancelled_after(0)),
    "while connecting": (b"", cancelled_after(0.001)),
    "while a large body is written": (None, cancelled_after(0.05, b"x" * 20_000_000)),
    "before a byte of the answer": (b"", cancelled_after(0.03)),
    "in the head": (OK + b"x-half: ", cancelled_after(0.03)),
    "after 100 Continue": (b"HTTP/1.1 100 Continue\r\n\r\n", cancelled_after(0.03)),
    "after the head": (HALF_BODY, closed_before_consuming),
    "after the head, consuming": (HALF_BODY, closed_right_after_consuming),
    "in the body": (HALF_BODY, closed_in_the_body),
    "in a chunk header": (HALF_BODY + b"ff", closed_in_the_body),
    "while paused": (HALF_BODY, closed_while_paused),
    "inside on_data": (HALF_BODY, closed_by_the_receiver),
    "in a flood": (HALF_BODY + b"2000\r\n" + b"x" * 0x2000 + b"\r\n", closed_in_the_body),
}


@pytest.mark.parametrize("phase", PHASES)
async def test_upstream_sees_the_close_and_the_connection_is_free(single: UpstreamTransport, phase: str) -> None:
    data, call = PHASES[phase]

    async def deaf(peer: Peer) -> None:
        await asyncio.sleep(1)

    script = deaf if data is None else says(data)
    async with RawUpstream(script) as upstream:
        for _ in range(REPEAT):
            await call(single, upstream.origin)
            began = time.monotonic()
            await settled(single, seconds=HANG_UP)
            await asyncio.sleep(0.01)
            for peer in upstream.peers:
                await peer.gone(1)
                assert peer.gone_at - began < HANG_UP
            if data is not None:
                assert await fetch(single, ask(upstream.origin, b"good")) == b"good"
        assert single.statistics().idle == 0


async def test_cancelled_in_the_handshake(single: UpstreamTransport) -> None:
    async with RawUpstream(silent) as upstream:
        for _ in range(REPEAT):
            await cancelled_after(0.02)(single, Origin("https", "127.0.0.1", upstream.origin.port))
            await settled(single, seconds=HANG_UP)
        for peer in upstream.peers:
            await peer.gone(HANG_UP)
        assert len(upstream.peers) == REPEAT


async def test_cancelled_in_the_queue(single: UpstreamTransport) -> None:
    async with RawUpstream(says(HALF_BODY)) as upstream:
        held = await single.send(ask(upstream.origin))
        for _ in range(REPEAT):
            await cancelled_after(0.01)(single, upstream.origin)
            assert single.statistics().waiting == 0
        held.close()
        assert await fetch(single, ask(upstream.origin, b"good")) == b"good"
        assert len(upstream.peers) == 2


async def test_cancelled_in_the_moment_the_connection_is_handed_over(single: UpstreamTransport) -> None:
    async with RawUpstream(replies(answer())) as upstream:
        for _ in range(REPEAT):
            held = await single.send(ask(upstream.origin))
            task = asyncio.ensure_future(single.send(ask(upstream.origin)))
            await asyncio.sleep(0.01)
            collector = Collector()
            held.consume(collector)
            await collector.body()
            held.close()
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            if not task.cancelled():
                task.result().close()
            await settled(single)
        assert await fetch(single, ask(upstream.origin)) == b"ok"


async def test_cancelled_when_the_head_has_just_come(single: UpstreamTransport) -> None:
    async with RawUpstream(says(HALF_BODY)) as upstream:
        for turns in range(12):
            task = asyncio.ensure_future(single.send(ask(upstream.origin, timeouts=Timeouts())))
            peer = await upstream.connected(turns + 1)
            await eventually(lambda peer=peer: peer.sent > 0)  # type: ignore[misc]  # mypy cannot infer a lambda with a default
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            if not task.cancelled():
                task.result().close()
            await settled(single)
            await peer.gone(HANG_UP)


async def test_d1_a_thousand_cancelled_requests_leave_the_pool_alive(transport: UpstreamTransport) -> None:
    async def script(peer: Peer) -> None:
        while True:
            body = await peer.request()
            if body != b"good":
                await asyncio.sleep(0.003)
            await peer.send(chunked(body))

    chance = random.Random(2)

    async def called_off(origin: Origin) -> None:
        task = asyncio.ensure_future(fetch(transport, ask(origin, b"bad", timeouts=Timeouts())))
        await asyncio.sleep(chance.random() * 0.01)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    async with RawUpstream(script) as upstream:
        for _ in range(25):
            await asyncio.gather(*[called_off(upstream.origin) for _ in range(40)])
        await settled(transport)
        assert transport.statistics().idle <= 10
        for _ in range(5):
            assert await fetch(transport, ask(upstream.origin, b"good")) == b"good"
        await eventually(lambda: sum(not peer.gone_at for peer in upstream.peers) <= 10)


async def test_close_is_idempotent_and_a_closed_answer_stays_silent(transport: UpstreamTransport) -> None:
    async with RawUpstream(replies(answer(b"x" * 100))) as upstream:
        got = await transport.send(ask(upstream.origin))
        got.close()
        got.close()
        collector = Collector()
        got.consume(collector)
        got.pause()
        got.resume()
        await asyncio.sleep(0.02)
        assert collector.pieces == []
        assert not collector.over.is_set()
        await settled(transport)


async def test_closing_the_transport_ends_everything(kind: str, single: UpstreamTransport) -> None:
    async with RawUpstream(says(HALF_BODY)) as upstream:
        got = await single.send(ask(upstream.origin, timeouts=Timeouts()))
        collector = Collector()
        got.consume(collector)
        queued = asyncio.ensure_future(single.send(ask(upstream.origin, timeouts=Timeouts())))
        await asyncio.sleep(0.02)
        await single.aclose()
        with pytest.raises(ConnectionLost):
            await collector.body()
        with pytest.raises(ConnectFailed):
            await queued
        with pytest.raises(ConnectFailed):
            await single.send(ask(upstream.origin))
        await upstream.peers[0].gone(HANG_UP)
        await single.aclose()
        await settled(single)


async def test_closing_the_transport_ends_who_waits_for_a_head(transport: UpstreamTransport) -> None:
    async with RawUpstream(says(b"")) as upstream:
        waiting = asyncio.ensure_future(transport.send(ask(upstream.origin, timeouts=Timeouts())))
        await upstream.connected()
        await asyncio.sleep(0.02)
        await transport.aclose()
        with pytest.raises(TransportError):
            await waiting
        await upstream.peers[0].gone(HANG_UP)
