"""Which connections are kept, which are dropped, and who gets the next one."""

import asyncio
import contextlib
from collections.abc import Callable

import pytest

import services.gateway.upstream.transport as port
from services.gateway.upstream.transport import ConnectionLost, Timeouts, TransportError, UpstreamTransport
from tests.support.raw_upstream import Peer, RawUpstream, Script, answer, eventually, replies
from tests.support.transport_client import Collector, ask, fetch, read, settled


async def test_connection_is_used_again(transport: UpstreamTransport) -> None:
    async with RawUpstream(replies(answer())) as upstream:
        for _ in range(5):
            await fetch(transport, ask(upstream.origin))
        assert len(upstream.peers) == 1
        assert upstream.requests == 5
        assert transport.statistics() == port.TransportStatistics(idle=1, active=0, waiting=0)


async def test_busy_connections_are_not_shared(transport: UpstreamTransport) -> None:
    async def script(peer: Peer) -> None:
        while True:
            body = await peer.request()
            await asyncio.sleep(0.02)
            await peer.send(answer(body))

    async with RawUpstream(script) as upstream:
        bodies = [b"%d" % number for number in range(10)]
        assert await asyncio.gather(*[fetch(transport, ask(upstream.origin, body)) for body in bodies]) == bodies
        assert len(upstream.peers) == 10
        assert transport.statistics().idle == 10
        assert all(len(peer.heads) == 1 for peer in upstream.peers)


async def test_cap_holds_and_the_queue_is_first_come_first_served(transport: UpstreamTransport) -> None:
    order: list[bytes] = []
    gate = asyncio.Event()

    async def script(peer: Peer) -> None:
        while True:
            order.append(body := await peer.request())
            await gate.wait()
            await peer.send(answer(body))

    async with RawUpstream(script) as upstream:
        bodies = [b"%02d" % number for number in range(40)]
        calls = []
        for body in bodies:
            calls.append(asyncio.ensure_future(fetch(transport, ask(upstream.origin, body, timeouts=Timeouts()))))
            await asyncio.sleep(0)
        await eventually(lambda: len(order) == 10)
        assert transport.statistics().waiting == 30
        assert transport.statistics().active == 10
        gate.set()
        assert await asyncio.gather(*calls) == bodies
        assert len(upstream.peers) == 10
        assert sorted(order[:10]) == bodies[:10]
        for place, body in enumerate(order):  # ten at a time, so nobody is served more than nine places off
            assert abs(place - bodies.index(body)) < 10


async def test_slot_of_a_failed_request_goes_to_who_waits(single: UpstreamTransport) -> None:
    async def script(peer: Peer) -> None:
        if await peer.request() == b"first":
            await asyncio.sleep(0.05)
            peer.reset()
        else:
            await peer.send(answer(b"served"))
        await peer.gone()

    async with RawUpstream(script) as upstream:
        first = asyncio.ensure_future(fetch(single, ask(upstream.origin, b"first", timeouts=Timeouts())))
        await asyncio.sleep(0.01)
        assert await fetch(single, ask(upstream.origin, b"second", timeouts=Timeouts())) == b"served"
        with pytest.raises(ConnectionLost):
            await first


@pytest.mark.parametrize("end", ["close", "reset", "talk"])
async def test_idle_connection_that_ends_or_speaks_is_not_used(transport: UpstreamTransport, end: str) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(answer(b"%d" % peer.number))
        await asyncio.sleep(0.02)
        if end == "talk":
            await peer.send(b"HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\n\r\n")
            await peer.gone()
        getattr(peer, end, peer.close)()

    async with RawUpstream(script) as upstream:
        assert await fetch(transport, ask(upstream.origin)) == b"0"
        await asyncio.sleep(0.06)
        assert await fetch(transport, ask(upstream.origin)) == b"1"
        assert upstream.requests == 2


def dies_on(request: int, *, after: bytes = b"", how: str = "close") -> Script:
    """Return a script whose every connection dies on its `request`th request, having said `after`."""

    async def script(peer: Peer) -> None:
        for _ in range(request - 1):
            await peer.request()
            await peer.send(answer(b"%d" % peer.number))
        await peer.request()
        await peer.send(after)
        getattr(peer, how)()

    return script


@pytest.mark.parametrize("how", ["close", "reset"])
@pytest.mark.parametrize("size", [10, 3_000_000])
async def test_reused_connection_that_dies_silently_is_retried_once(
    transport: UpstreamTransport, differs: Callable[[str], str], how: str, size: int
) -> None:
    async with RawUpstream(dies_on(2, how=how)) as upstream:
        assert await fetch(transport, ask(upstream.origin)) == b"0"
        request = ask(upstream.origin, b"x" * size)
        if differs("stale") == "one retry":
            assert await fetch(transport, request) == b"1"
            assert upstream.requests == 3
            assert len(upstream.peers) == 2
        else:
            with pytest.raises(ConnectionLost):
                await fetch(transport, request)
            assert upstream.requests == 2
        await settled(transport)


async def test_retry_happens_once_only(transport: UpstreamTransport, differs: Callable[[str], str]) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        if peer.number == 0:
            await peer.send(answer())
            await peer.request()
        peer.close()

    async with RawUpstream(script) as upstream:
        await fetch(transport, ask(upstream.origin))
        with pytest.raises(ConnectionLost):
            await fetch(transport, ask(upstream.origin))
        assert upstream.requests == (3 if differs("stale") == "one retry" else 2)
        await settled(transport)


@pytest.mark.parametrize("after", [b"H", b"HTTP/1.1 100 Continue\r\n\r\n"], ids=["one-byte", "interim"])
async def test_no_retry_once_a_byte_has_come(transport: UpstreamTransport, after: bytes) -> None:
    async with RawUpstream(dies_on(2, after=after)) as upstream:
        await fetch(transport, ask(upstream.origin))
        with pytest.raises(ConnectionLost):
            await fetch(transport, ask(upstream.origin))
        assert upstream.requests == 2
        await settled(transport)


async def test_no_retry_on_a_fresh_connection(transport: UpstreamTransport) -> None:
    async with RawUpstream(dies_on(1)) as upstream:
        with pytest.raises(ConnectionLost):
            await fetch(transport, ask(upstream.origin))
        assert upstream.requests == 1


@pytest.mark.parametrize(
    "greeting", [b"", b"220 mail.test ESMTP\r\n", answer(b"not for you")], ids=["none", "smtp", "http"]
)
async def test_upstream_that_does_not_wait_for_the_request(transport: UpstreamTransport, greeting: bytes) -> None:
    async def script(peer: Peer) -> None:
        await peer.send(greeting)
        peer.close()

    async with RawUpstream(script) as upstream:
        for _ in range(10):
            # Whether the greeting comes before or after the request is chance.
            with contextlib.suppress(ConnectionLost, port.ProtocolViolation):
                assert await fetch(transport, ask(upstream.origin)) == b"not for you"
        await settled(transport)


async def test_complete_answer_that_is_never_read_goes_with_its_close(single: UpstreamTransport) -> None:
    async with RawUpstream(replies(answer(b"x" * 1000))) as upstream:
        for _ in range(3):
            (await single.send(ask(upstream.origin))).close()
            await settled(single)
        assert await fetch(single, ask(upstream.origin)) == b"x" * 1000


async def test_two_origins(transport: UpstreamTransport) -> None:
    async with RawUpstream(replies(answer(b"a"))) as one, RawUpstream(replies(answer(b"b"))) as two:
        for _ in range(3):
            assert await fetch(transport, ask(one.origin)) == b"a"
            assert await fetch(transport, ask(two.origin)) == b"b"
        assert len(one.peers) == len(two.peers) == 1


async def test_cap_over_two_origins(single: UpstreamTransport, differs: Callable[[str], str]) -> None:
    async with RawUpstream(replies(answer(b"a"))) as one, RawUpstream(replies(answer(b"b"))) as two:
        for _ in range(2):
            assert await fetch(single, ask(one.origin)) == b"a"
            assert await fetch(single, ask(two.origin)) == b"b"
        assert len(one.peers) == (1 if differs("cap") == "per origin" else 2)


async def test_early_answer_to_an_upload(transport: UpstreamTransport, differs: Callable[[str], str]) -> None:
    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.send(answer(b"too large", status=b"413 Content Too Large"))
        await asyncio.sleep(2)

    async with RawUpstream(script) as upstream:
        request = ask(upstream.origin, b"x" * 20_000_000)
        if differs("early") == "delivered":
            got = await transport.send(request)
            assert got.status == 413
            assert await read(got) == b"too large"
        else:
            with pytest.raises(getattr(port, differs("early"))):
                await transport.send(request)
        await settled(transport)
        assert transport.statistics().idle == 0


async def test_early_answer_whose_sender_hangs_up(transport: UpstreamTransport, differs: Callable[[str], str]) -> None:
    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.send(answer(b"too large", b"connection: close", status=b"413 Content Too Large"))
        await asyncio.sleep(0.1)
        peer.close()

    async with RawUpstream(script) as upstream:
        request = ask(upstream.origin, b"x" * 20_000_000)
        if differs("early hang-up") == "delivered":
            got = await transport.send(request)
            assert got.status == 413
            assert await read(got) == b"too large"
        else:
            with pytest.raises(getattr(port, differs("early hang-up"))):
                await transport.send(request)
        await settled(transport)


async def test_upstream_dies_during_an_upload(transport: UpstreamTransport, differs: Callable[[str], str]) -> None:
    async def script(peer: Peer) -> None:
        await asyncio.sleep(0.05)
        peer.reset()

    async with RawUpstream(script) as upstream:
        with pytest.raises(TransportError) as failed:
            await transport.send(ask(upstream.origin, b"x" * 20_000_000))
        assert type(failed.value).__name__ == differs("dies")
        await settled(transport)


@pytest.mark.parametrize("size", [0, 1, 65_535, 65_536, 65_537, 262_144, 262_145, 5_000_000])
async def test_request_bodies_of_every_size_arrive_whole(transport: UpstreamTransport, size: int) -> None:
    body = bytes(number * 7 % 251 for number in range(min(size, 1000))) * (size // 1000 + 1)
    async with RawUpstream(replies(answer())) as upstream:
        for _ in range(2):
            await fetch(transport, ask(upstream.origin, body[:size], timeouts=Timeouts()))
        assert upstream.peers[0].bodies == [body[:size]] * 2


async def test_paused_reader_holds_the_upstream_back(transport: UpstreamTransport) -> None:
    total = 40_000_000

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % total)
        for _ in range(total // 100_000):
            await peer.send(b"x" * 100_000)
        await peer.gone()

    async with RawUpstream(script) as upstream:
        got = await transport.send(ask(upstream.origin))

        class Slow(Collector):
            def on_data(self, data: bytes) -> None:
                super().on_data(data)
                got.pause()

        collector = Slow()
        got.consume(collector)
        await asyncio.sleep(0.5)
        held_back = upstream.peers[0].sent
        assert held_back < 12_000_000  # what two kernel buffers and the server's own take
        received = len(collector.data)
        assert received <= 1_000_000
        await asyncio.sleep(0.2)
        assert upstream.peers[0].sent == held_back
        assert len(collector.data) == received
        while not collector.over.is_set():
            got.resume()
            await asyncio.sleep(0)
        assert len(await collector.body()) == total


async def test_nothing_is_delivered_between_pause_and_resume(transport: UpstreamTransport) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\na")
        await asyncio.sleep(0.05)
        await peer.send(b"b")
        await peer.gone()

    async with RawUpstream(script) as upstream:
        got = await transport.send(ask(upstream.origin))
        collector = Collector()
        got.consume(collector)
        await eventually(lambda: collector.data == b"a")
        await asyncio.sleep(0.01)
        got.pause()
        await asyncio.sleep(0.1)
        assert collector.data == b"a"
        got.resume()
        assert await collector.body() == b"ab"


async def test_answer_that_nobody_consumes_holds_the_upstream_back(transport: UpstreamTransport) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(b"HTTP/1.1 200 OK\r\n\r\n")
        while peer.sent < 40_000_000:
            await peer.send(b"x" * 100_000)
        peer.close()

    async with RawUpstream(script) as upstream:
        got = await transport.send(ask(upstream.origin))
        await asyncio.sleep(0.4)
        assert upstream.peers[0].sent < 12_000_000
        assert len(await read(got)) > 40_000_000 - 200


async def test_ipv6(transport: UpstreamTransport) -> None:
    async with RawUpstream(replies(answer()), host="::1") as upstream:
        assert await fetch(transport, ask(upstream.origin)) == b"ok"
        assert b"host: [::1]:%d" % upstream.origin.port in upstream.peers[0].heads[0].lower()


async def test_receiver_that_raises_loses_its_connection(
    transport: UpstreamTransport, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken(Collector):
        def on_data(self, data: bytes) -> None:
            raise RuntimeError("quotes the data")

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n")
        await asyncio.sleep(0.05)
        await peer.send(b"x")
        await peer.gone()

    async with RawUpstream(script) as upstream:
        collector = Broken()
        (await transport.send(ask(upstream.origin))).consume(collector)
        with pytest.raises(ConnectionLost):
            await collector.body()
        await settled(transport)
        await upstream.peers[0].gone(0.25)
    assert "RuntimeError" in caplog.text
    assert "quotes the data" not in caplog.text
