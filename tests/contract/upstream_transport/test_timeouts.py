"""Slow upstreams: every phase has its own limit, and a limit frees what was held."""

import asyncio
import socket
import time

import msgspec
import pytest

from services.gateway.upstream.transport import (
    ConnectFailed,
    FirstByteTimeout,
    IdleTimeout,
    Origin,
    PoolTimeout,
    SendFailed,
    Timeouts,
    TotalTimeout,
    UpstreamTransport,
)
from tests.support.raw_upstream import Peer, RawUpstream, answer, replies, silent
from tests.support.transport_client import FAST, Collector, ask, fetch, settled

OK = b"HTTP/1.1 200 OK\r\n"
LATE = 1.0  # seconds a timeout may be late (promises.md P-45)

pytestmark = pytest.mark.promise("P-45")


class Stopwatch:
    def __init__(self) -> None:
        self._start = time.monotonic()

    @property
    def elapsed(self) -> float:
        return time.monotonic() - self._start

    def shows(self, seconds: float) -> bool:
        return seconds * 0.9 <= self.elapsed <= seconds + LATE


async def test_refused_connection_sends_nothing(transport: UpstreamTransport) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        with pytest.raises(ConnectFailed) as failed:
            await transport.send(ask(Origin("http", "127.0.0.1", unused.getsockname()[1])))
    assert failed.value.nothing_sent
    await settled(transport)


async def test_unknown_host_fails_to_connect(transport: UpstreamTransport) -> None:
    with pytest.raises(ConnectFailed):
        await transport.send(ask(Origin("http", "no-such-host.invalid", 80), timeouts=Timeouts(connect=5)))
    await settled(transport)


async def test_connect_timeout_covers_a_silent_handshake(transport: UpstreamTransport) -> None:
    async with RawUpstream(silent) as upstream:
        origin = Origin("https", "127.0.0.1", upstream.origin.port)
        watch = Stopwatch()
        with pytest.raises(ConnectFailed):
            await transport.send(ask(origin, timeouts=msgspec.structs.replace(FAST, connect=0.3)))
        assert watch.shows(0.3)
        await (await upstream.connected()).gone(0.25)
        await settled(transport)


async def test_pool_timeout_when_every_connection_is_busy(single: UpstreamTransport) -> None:
    async with RawUpstream(replies(OK + b"content-length: 5\r\n\r\n")) as upstream:
        held = await single.send(ask(upstream.origin))
        watch = Stopwatch()
        with pytest.raises(PoolTimeout) as failed:
            await single.send(ask(upstream.origin))
        assert watch.shows(FAST.pool)
        assert failed.value.nothing_sent
        assert single.statistics().active == 1
        assert single.statistics().waiting == 0
        held.close()
        await settled(single)


async def test_write_timeout_when_the_upstream_does_not_read(transport: UpstreamTransport) -> None:
    async def script(peer: Peer) -> None:
        await asyncio.sleep(10)

    async with RawUpstream(script) as upstream:
        watch = Stopwatch()
        with pytest.raises(SendFailed):
            await transport.send(ask(upstream.origin, b"x" * 30_000_000))
        assert watch.shows(FAST.write)
        await settled(transport)


async def test_slow_but_steady_upload_is_not_timed_out(transport: UpstreamTransport) -> None:
    async def script(peer: Peer) -> None:
        await peer.request(pause=0.02)
        await peer.send(answer(b"got it"))

    async with RawUpstream(script) as upstream:
        body = b"x" * 16_000_000
        watch = Stopwatch()
        timeouts = msgspec.structs.replace(FAST, write=1.5, first_byte=20, total=60)
        assert await fetch(transport, ask(upstream.origin, body, timeouts=timeouts)) == b"got it"
        assert watch.elapsed > timeouts.write, "the upload was meant to outlast the timeout"
        assert upstream.peers[0].bodies == [body]


@pytest.mark.parametrize(
    "begun", [b"", b"HTTP/1.1 200 OK\r\nx-half", b"HTTP/1.1 100 Continue\r\n\r\n"], ids=["nothing", "half", "interim"]
)
async def test_first_byte_timeout(transport: UpstreamTransport, begun: bytes) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(begun)
        await peer.gone()

    async with RawUpstream(script) as upstream:
        watch = Stopwatch()
        with pytest.raises(FirstByteTimeout) as failed:
            await transport.send(ask(upstream.origin))
        assert watch.shows(FAST.first_byte)
        assert not failed.value.nothing_sent
        await upstream.peers[0].gone(0.25)
        await settled(transport)


async def test_dripping_head_does_not_put_the_first_byte_timeout_off(transport: UpstreamTransport) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.trickle(OK + b"x: " + b"y" * 1000, pause=0.05)

    async with RawUpstream(script) as upstream:
        watch = Stopwatch()
        with pytest.raises(FirstByteTimeout):
            await transport.send(ask(upstream.origin))
        assert watch.shows(FAST.first_byte)


@pytest.mark.parametrize("coding", [b"content-length: 9\r\n\r\n", b"transfer-encoding: chunked\r\n\r\n2\r\nx"])
async def test_idle_timeout_between_two_bytes(transport: UpstreamTransport, coding: bytes) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(OK + coding + b"a")
        await asyncio.sleep(0.3)
        await peer.send(b"b" if b"length" in coding else b"\r\n2\r\nb")
        await peer.gone()

    async with RawUpstream(script) as upstream:
        collector = Collector()
        (await transport.send(ask(upstream.origin))).consume(collector)
        watch = Stopwatch()
        with pytest.raises(IdleTimeout):
            await collector.body()
        assert watch.shows(0.3 + FAST.idle)
        assert collector.data.endswith(b"b")
        await settled(transport)


async def test_paused_answer_does_not_run_into_the_idle_timeout(transport: UpstreamTransport) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(OK + b"content-length: 2\r\n\r\na")
        await asyncio.sleep(1.3)
        await peer.send(b"b")
        await peer.gone()

    async with RawUpstream(script) as upstream:
        got = await transport.send(ask(upstream.origin, timeouts=msgspec.structs.replace(FAST, idle=0.5)))

        class Pausing(Collector):
            def on_data(self, data: bytes) -> None:
                super().on_data(data)
                if data == b"a":
                    got.pause()

        collector = Pausing()
        got.consume(collector)
        await asyncio.sleep(1.2)
        assert not collector.over.is_set()
        got.resume()
        assert await collector.body() == b"ab"


async def drip_body(peer: Peer) -> None:
    await peer.request()
    await peer.trickle(OK + b"\r\n" + b"x" * 1000, pause=0.02)


async def drip_head(peer: Peer) -> None:
    await peer.request()
    await peer.trickle(OK + b"x: " + b"y" * 1000, pause=0.02)


@pytest.mark.parametrize("script", [drip_head, drip_body])
async def test_total_timeout_ends_what_is_never_idle(transport: UpstreamTransport, script: object) -> None:
    timeouts = Timeouts(total=0.6, first_byte=30, idle=30)
    async with RawUpstream(script) as upstream:  # type: ignore[arg-type]  # pytest's parameters are objects
        watch = Stopwatch()
        with pytest.raises(TotalTimeout):
            await fetch(transport, ask(upstream.origin, timeouts=timeouts))
        assert watch.shows(0.6)
        await upstream.peers[0].gone(0.25)
        await settled(transport)


async def test_total_timeout_counts_the_wait_for_a_connection(single: UpstreamTransport) -> None:
    async with RawUpstream(replies(OK + b"content-length: 5\r\n\r\n")) as upstream:
        await single.send(ask(upstream.origin))
        with pytest.raises(TotalTimeout):
            await single.send(ask(upstream.origin, timeouts=Timeouts(pool=5, total=0.3)))
        assert single.statistics().waiting == 0


async def test_timeouts_do_not_touch_other_requests(transport: UpstreamTransport) -> None:
    async def script(peer: Peer) -> None:
        body = await peer.request()
        if body == b"slow":
            await asyncio.sleep(0.9)
        await peer.send(answer(body))
        await peer.gone()

    async with RawUpstream(script) as upstream:
        patient = asyncio.ensure_future(fetch(transport, ask(upstream.origin, b"slow", timeouts=Timeouts())))
        with pytest.raises(FirstByteTimeout):
            await fetch(transport, ask(upstream.origin, b"slow"))
        assert await patient == b"slow"
