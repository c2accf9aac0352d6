"""What only the httpx transport does: proxies. The port's contract is in tests/contract/upstream_transport."""

import asyncio
from pathlib import Path

import pytest

from services.gateway.upstream.factory import make_transport
from services.gateway.upstream.transport import ConnectFailed, Origin, Timeouts, UpstreamTransport
from tests.support.certificates import Authority
from tests.support.raw_upstream import Peer, RawUpstream, Script, answer, eventually, replies
from tests.support.transport_client import ask, fetch, settled


def through(proxy: RawUpstream, ca_file: Path | None = None) -> UpstreamTransport:
    address = f"http://{proxy.origin.authority}"
    return make_transport("pooled", address, None if ca_file is None else str(ca_file), 2)


def tunnel_to(upstream: RawUpstream) -> Script:
    """Return the script of a proxy that connects everything to `upstream`."""

    async def pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        writer.close()

    async def script(peer: Peer) -> None:
        assert (await peer.head()).startswith(b"CONNECT api.test:443 HTTP/1.1\r\n")
        await peer.send(b"HTTP/1.1 200 Connection established\r\n\r\n")
        reader, writer = await asyncio.open_connection("127.0.0.1", upstream.origin.port)
        try:
            await asyncio.gather(pipe(peer.reader, writer), pipe(reader, peer.writer))
        finally:
            writer.transport.abort()

    return script


async def test_http_goes_to_the_proxy_in_absolute_form() -> None:
    async with RawUpstream(replies(answer(b"proxied"))) as proxy:
        transport = through(proxy)
        assert await fetch(transport, ask(Origin("http", "api.test", 80))) == b"proxied"
        assert proxy.peers[0].heads[0].startswith(b"POST http://api.test/v1/messages HTTP/1.1\r\n")
        await transport.aclose()


async def test_https_goes_through_a_tunnel_and_the_connection_is_kept(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    async with (
        RawUpstream(replies(answer(b"tunnelled")), tls=authority.server("api.test")) as upstream,
        RawUpstream(tunnel_to(upstream)) as proxy,
    ):
        transport = through(proxy, authority.file)
        for _ in range(3):
            assert await fetch(transport, ask(Origin("https", "api.test", 443))) == b"tunnelled"
        assert len(proxy.peers) == 1
        assert upstream.requests == 3
        await transport.aclose()


async def test_proxy_that_refuses_is_a_failed_connect() -> None:
    async with RawUpstream(replies(answer(status=b"407 Proxy Authentication Required"))) as proxy:
        transport = through(proxy)
        with pytest.raises(ConnectFailed) as failed:
            await transport.send(ask(Origin("https", "api.test", 443)))
        assert failed.value.nothing_sent
        await settled(transport)
        await transport.aclose()


@pytest.mark.parametrize(
    "greeting", [b"", b"HTTP/1.1 200 Connection established\r\n\r\n"], ids=["connect", "handshake"]
)
async def test_request_cancelled_in_the_tunnel_leaves_the_pool_alive(greeting: bytes) -> None:
    async def script(peer: Peer) -> None:
        if (await peer.head()).startswith(b"CONNECT"):
            await peer.send(greeting)
            await peer.gone(60)
        else:
            await peer.send(answer(b"alive"))

    async with RawUpstream(script) as proxy:
        transport = through(proxy)
        for number in range(4):
            task = asyncio.ensure_future(transport.send(ask(Origin("https", "api.test", 443), timeouts=Timeouts())))
            peer = await proxy.connected(number + 1)
            await eventually(lambda peer=peer: peer.sent == len(greeting))  # type: ignore[misc]  # a lambda with a default
            await asyncio.sleep(0.02)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await settled(transport)
            await peer.gone(0.25)
        assert await fetch(transport, ask(Origin("http", "api.test", 80))) == b"alive"
        await transport.aclose()


async def test_connect_timeout_covers_the_tunnel() -> None:
    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.gone(60)

    async with RawUpstream(script) as proxy:
        transport = through(proxy)
        with pytest.raises(ConnectFailed):
            await transport.send(ask(Origin("https", "api.test", 443), timeouts=Timeouts(connect=0.3)))
        await settled(transport)
        await transport.aclose()
