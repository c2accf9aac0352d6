"""TLS: whom we trust, whom we do not, and that all the rest holds under it."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from services.gateway.upstream.factory import make_transport
from services.gateway.upstream.transport import (
    CertificateInvalid,
    ConnectFailed,
    ConnectionLost,
    Origin,
    Timeouts,
    UpstreamTransport,
)
from tests.support.certificates import Authority
from tests.support.raw_upstream import Peer, RawUpstream, answer, chunked, replies
from tests.support.transport_client import Collector, ask, fetch, settled


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
async def trusting(kind: str, authority: Authority) -> AsyncIterator[UpstreamTransport]:
    """A transport that trusts the test's authority besides the machine's."""
    transport = make_transport(kind, None, str(authority.file), 10)
    yield transport
    await transport.aclose()


async def test_requests_over_one_verified_connection(trusting: UpstreamTransport, authority: Authority) -> None:
    protocols: list[str | None] = []

    async def script(peer: Peer) -> None:
        protocols.append(peer.protocol)
        while True:
            body = await peer.request()
            await peer.send(chunked(body[:1], body[1:]))

    async with RawUpstream(script, tls=authority.server("127.0.0.1")) as upstream:
        for body in (b"small", b"x" * 3_000_000, b"after"):
            assert await fetch(trusting, ask(upstream.origin, body, timeouts=Timeouts())) == body
        assert protocols == ["http/1.1"]


async def test_certificate_for_another_host_is_refused(trusting: UpstreamTransport, authority: Authority) -> None:
    async with RawUpstream(replies(answer()), tls=authority.server("elsewhere.test")) as upstream:
        with pytest.raises(CertificateInvalid) as failed:
            await trusting.send(ask(upstream.origin))
        assert failed.value.nothing_sent
        assert upstream.requests == 0
        await settled(trusting)


async def test_expired_certificate_is_refused(trusting: UpstreamTransport, authority: Authority) -> None:
    async with RawUpstream(replies(answer()), tls=authority.server("127.0.0.1", days=-1)) as upstream:
        with pytest.raises(CertificateInvalid, match="expired"):
            await trusting.send(ask(upstream.origin))


async def test_unknown_authority_is_refused(transport: UpstreamTransport, authority: Authority) -> None:
    async with RawUpstream(replies(answer()), tls=authority.server("127.0.0.1")) as upstream:
        with pytest.raises(CertificateInvalid):
            await transport.send(ask(upstream.origin))
        await settled(transport)


async def test_server_without_tls_is_a_failed_connect(trusting: UpstreamTransport) -> None:
    async def plain(peer: Peer) -> None:
        await peer.send(answer())
        await peer.gone()

    async with RawUpstream(plain) as upstream:
        with pytest.raises(ConnectFailed) as failed:
            await trusting.send(ask(Origin("https", "127.0.0.1", upstream.origin.port)))
        assert not isinstance(failed.value, CertificateInvalid)


async def test_handshake_cut_short_is_a_failed_connect(trusting: UpstreamTransport) -> None:
    async def hang_up(peer: Peer) -> None:
        await asyncio.sleep(0.01)
        peer.reset()

    async with RawUpstream(hang_up) as upstream:
        with pytest.raises(ConnectFailed):
            await trusting.send(ask(Origin("https", "127.0.0.1", upstream.origin.port)))
        await settled(trusting)


async def test_close_in_the_body_reaches_the_upstream(trusting: UpstreamTransport, authority: Authority) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(b"HTTP/1.1 200 OK\r\n\r\nbegun")
        await peer.gone()

    async with RawUpstream(script, tls=authority.server("127.0.0.1")) as upstream:
        for number in range(3):
            got = await trusting.send(ask(upstream.origin))
            got.consume(Collector())
            got.close()
            await settled(trusting, seconds=0.25)
            await upstream.peers[number].gone(0.25)


async def test_body_cut_short_is_lost(trusting: UpstreamTransport, authority: Authority) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nshort")
        peer.abandon()

    async with RawUpstream(script, tls=authority.server("127.0.0.1")) as upstream:
        with pytest.raises(ConnectionLost):
            await fetch(trusting, ask(upstream.origin))
        await settled(trusting)


async def test_paused_reader_holds_the_upstream_back(trusting: UpstreamTransport, authority: Authority) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(b"HTTP/1.1 200 OK\r\ncontent-length: 30000000\r\n\r\n")
        for _ in range(300):
            await peer.send(b"x" * 100_000)
        await peer.gone()

    async with RawUpstream(script, tls=authority.server("127.0.0.1")) as upstream:
        got = await trusting.send(ask(upstream.origin))
        got.pause()
        collector = Collector()
        got.consume(collector)
        await asyncio.sleep(0.4)
        assert upstream.peers[0].sent < 15_000_000
        assert len(collector.data) < 1_000_000
        got.resume()
        assert len(await collector.body()) == 30_000_000


@pytest.mark.parametrize("content", [None, "not a certificate"])
def test_authority_file_that_is_no_use_is_found_at_start(kind: str, tmp_path: Path, content: str | None) -> None:
    file = tmp_path / "ca.pem"
    if content is not None:
        file.write_text(content)
    with pytest.raises((OSError, ssl.SSLError)):
        make_transport(kind, None, str(file), 10)
