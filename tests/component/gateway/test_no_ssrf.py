"""
No field, header or query of a request, and no answer of the upstream, makes this process connect anywhere but to the
configured upstream. A canary listens where the payloads point; besides, every address is watched.
"""

import asyncio
import copy
import itertools
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import quote

import pytest

from services.gateway.upstream.factory import make_transport
from services.gateway.upstream.transport import UpstreamTransport
from services.gateway.wire.formats import WireFormat
from services.simulator.script import Script
from tests.support.dialects import ANTHROPIC, OPENAI, PATH, RESPONSES, client_of, small
from tests.support.gateway import RunningGateway, running_gateway
from tests.support.outgoing import outgoing
from tests.support.promises import show
from tests.support.rich_requests import RICH

pytestmark = pytest.mark.promise("P-39")


class _Canary:
    """Listens on loopback and counts who comes."""

    def __init__(self) -> None:
        self.port = 0
        self.visits = 0

    async def visited(self, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.visits += 1
        writer.close()


@asynccontextmanager
async def _canary() -> AsyncIterator[_Canary]:
    canary = _Canary()
    async with await asyncio.start_server(canary.visited, "127.0.0.1", 0) as server:
        canary.port = server.sockets[0].getsockname()[1]
        yield canary


@asynccontextmanager
async def _only_the_upstream(canary: _Canary, gateway: RunningGateway) -> AsyncIterator[None]:
    with outgoing() as seen:
        yield
    upstream = int(gateway.settings.providers["zai"].anthropic_base.split("/")[2].split(":")[1])
    assert {("127.0.0.1", upstream), ("127.0.0.1", gateway.port)} == seen.connected
    assert {"127.0.0.1", b"127.0.0.1"} >= seen.looked_up
    assert 0 == canary.visits


def _transport(kind: str) -> UpstreamTransport:
    return make_transport(kind, proxy=None, ca_file=None, connections=10)


def _addresses(port: int) -> list[str]:
    """Return this machine's canary in the spellings that have got past filters elsewhere."""
    hosts = (
        *("127.0.0.1", "localhost", "LOCALHOST.", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0", "[::]", "127.1", "0"),  # noqa: S104  # an address to send to, not to listen on
        *("2130706433", "0x7f000001", "0x7f.1", "017700000001", "0177.0.0.1", "127.0.0.1.", "127.000.000.001"),
        *(
            "\u2460\u2461\u2466.0.0.1",
            "127\u30020\u30020\u30021",
            "localtest.me",
            "127.0.0.1.nip.io",
            "169.254.169.254",
        ),
        *("metadata.google.internal", "host.docker.internal", "kubernetes.default.svc", "allowed.example@127.0.0.1"),
        *(
            "127.0.0.1#@api.z.ai",
            "api.z.ai\\@127.0.0.1",
            "127.0.0.1%00.api.z.ai",
            "127.0.0.1%2f.api.z.ai",
            "a:b@127.0.0.1",
        ),
    )
    schemes = ("http", "https", "HTTP", "ftp", "gopher", "ws", "dict")
    urls = [f"{scheme}://{host}:{port}/canary" for scheme in schemes for host in hosts]
    others = (
        *(f"//127.0.0.1:{port}/canary", f"http:/127.0.0.1:{port}", f"http:\\\\127.0.0.1:{port}", f"127.0.0.1:{port}"),
        *(f"http://127.0.0.1:{port}/?http://api.z.ai", f" http://127.0.0.1:{port}", f"http://127.0.0.1:{port}\r\nX: y"),
        *(
            "file:///etc/passwd",
            "unix:///var/run/docker.sock",
            "data:text/html,x",
            "jar:http://127.0.0.1!/",
            "\\\\127.0.0.1\\x",
        ),
        f"http://api.z.ai@127.0.0.1:{port}/",
    )
    return [*urls, *others]


_Change = Callable[[dict[str, Any], str], None]


def _member(name: str) -> _Change:
    def change(body: dict[str, Any], url: str) -> None:
        body[name] = url

    return change


def _config(name: str) -> _Change:
    def change(body: dict[str, Any], url: str) -> None:
        row = {"model_name": "glm-5.1", "litellm_params": {"model": "x", "api_base": url}, "base_url": url, "url": url}
        body[name] = {"model_list": [row], "base_url": url, "api_base": url, "url": url}

    return change


def _block(block: Callable[[str], dict[str, Any]]) -> _Change:
    def change(body: dict[str, Any], url: str) -> None:
        body["messages"] = [{"role": "user", "content": [{"type": "text", "text": "see"}, block(url)]}]

    return change


def _part(part: Callable[[str], dict[str, Any]]) -> _Change:
    def change(body: dict[str, Any], url: str) -> None:
        body["input"] = [{"role": "user", "content": [{"type": "input_text", "text": "see"}, part(url)]}]

    return change


def _tool(tool: Callable[[str], dict[str, Any]]) -> _Change:
    def change(body: dict[str, Any], url: str) -> None:
        body["tools"] = [*body["tools"], tool(url)]

    return change


_EVERYWHERE: list[_Change] = [
    *(_member(name) for name in ("api_base", "base_url", "baseURL", "url", "host", "endpoint", "proxy", "webhook")),
    *(_member(name) for name in ("callback_url", "redirect_uri", "upstream", "provider", "custom_host", "model")),
    *(
        _config(name)
        for name in ("user_config", "config", "provider", "metadata", "extra_body", "router", "mcp_servers")
    ),
    *(_config(name) for name in ("web_search_options", "audio", "prediction", "container", "context_management")),
]
_PLACES: dict[WireFormat, list[_Change]] = {
    OPENAI: [
        *_EVERYWHERE,
        _block(lambda url: {"type": "image_url", "image_url": {"url": url}}),
        _block(lambda url: {"type": "image_url", "image_url": url}),
        _block(lambda url: {"type": "file", "file": {"file_data": url, "filename": url}}),
        _block(lambda url: {"type": "video_url", "video_url": {"url": url}}),
        _block(lambda url: {"type": "input_audio", "input_audio": {"data": url, "format": "wav"}}),
        _tool(lambda url: {"type": "mcp", "server_url": url, "server_label": "x"}),
        _tool(lambda url: {"type": "web_search", "web_search": {"search_engine": url}}),
        _tool(lambda url: {"type": "function", "function": {"name": "f", "parameters": {"$ref": url}}}),
    ],
    ANTHROPIC: [
        *_EVERYWHERE,
        _block(lambda url: {"type": "image", "source": {"type": "url", "url": url}}),
        _block(lambda url: {"type": "document", "source": {"type": "url", "url": url}}),
        _block(lambda url: {"type": "document", "source": {"type": "file", "file_id": url}}),
        _block(lambda url: {"type": "search_result", "source": url, "title": "t", "content": []}),
        _tool(lambda url: {"type": "mcp_toolset", "mcp_server_name": url}),
        _tool(lambda url: {"type": "web_fetch_20250910", "name": "web_fetch", "allowed_domains": [url]}),
        _tool(lambda url: {"name": "f", "input_schema": {"$schema": url, "$ref": url}}),
    ],
    RESPONSES: [
        *_EVERYWHERE,
        _part(lambda url: {"type": "input_image", "image_url": url}),
        _part(lambda url: {"type": "input_image", "file_id": url}),
        _part(lambda url: {"type": "input_file", "file_url": url, "filename": url}),
        _part(lambda url: {"type": "input_file", "file_data": url, "filename": url}),
        _tool(lambda url: {"type": "mcp", "server_url": url, "server_label": "x"}),
        _tool(lambda url: {"type": "web_search", "filters": {"allowed_domains": [url]}}),
        _tool(lambda url: {"type": "function", "name": "f", "parameters": {"$ref": url}}),
        _tool(lambda url: {"type": "namespace", "name": url, "tools": [{"type": "function", "name": "f"}]}),
    ],
}


def _requests(port: int) -> Iterator[tuple[WireFormat, dict[str, Any]]]:
    """Yield each place with a few of the addresses, so that every address and every place has its turn."""
    addresses = itertools.cycle(_addresses(port))
    for dialect, places in _PLACES.items():
        for place in places:
            for url in itertools.islice(addresses, 6):
                body = copy.deepcopy(RICH[dialect])
                place(body, url)
                yield dialect, body


@pytest.mark.parametrize("transport", ["pooled", "httpx"])
@pytest.mark.parametrize("upstream_format", ["anthropic", "openai"])
async def test_no_field_of_a_body_chooses_a_host(upstream_format: str, transport: str) -> None:
    async with (
        _canary() as canary,
        running_gateway(
            upstream_format=upstream_format, limits={"retries": 0}, transport=_transport(transport)
        ) as gateway,
        client_of(gateway) as client,
        _only_the_upstream(canary, gateway),
    ):
        sent = 0
        for dialect, body in _requests(canary.port):
            answer = await client.post(PATH[dialect], json=body)
            sent += 1

            assert answer.status_code < 500, (answer.text, body)
        assert sent >= 300
    show("P-39", sent, canary.visits, what="bodies")


_HEADERS = (
    *("X-Forwarded-Host", "X-Forwarded-For", "X-Forwarded-Server", "Forwarded", "X-Host", "X-Original-Host", "Referer"),
    *("X-Original-URL", "X-Rewrite-URL", "X-Proxy-URL", "X-Upstream", "X-Base-URL", "X-API-Base", "X-Custom-Host"),
    *("X-Portkey-Custom-Host", "X-Portkey-Config", "X-Provider", "Helicone-Target-URL", "OpenAI-Base-URL", "Origin"),
    *("X-Callback-URL", "X-Webhook-URL", "Destination", "Location", "Refresh", "Link", "From", "Via", "True-Client-IP"),
    *(
        "Proxy",
        "HTTP-Proxy",
        "X-HTTP-Proxy",
        "Proxy-Host",
        "X-Stainless-Helper",
        "Anthropic-Beta",
        "X-Session-Id",
        "Alt-Svc",
    ),
)


@pytest.mark.parametrize("dialect", [OPENAI, ANTHROPIC])
async def test_no_header_and_no_query_chooses_a_host(dialect: WireFormat) -> None:
    async with (
        _canary() as canary,
        running_gateway(limits={"retries": 0}) as gateway,
        client_of(gateway) as client,
        _only_the_upstream(canary, gateway),
    ):
        addresses = [url for url in _addresses(canary.port) if url.isascii() and "\r" not in url]
        pairs = list(zip(itertools.cycle(_HEADERS), addresses * 2, strict=False))
        for name, url in pairs:
            at = "?" + "&".join(
                f"{key}={quote(url)}" for key in ("url", "api_base", "base_url", "proxy", "host", "next")
            )
            answer = await client.post(PATH[dialect] + at, json=small(dialect), headers={name: url.strip()})

            assert 200 == answer.status_code, (name, url)
            assert gateway.upstream_requests[-1].path.startswith("/api/anthropic/")
            assert b"canary" not in b"".join(value for _, value in gateway.upstream_requests[-1].headers)
    show("P-39", len(pairs), canary.visits, what="headers and queries")


async def test_the_host_of_a_request_is_not_where_it_goes() -> None:
    async with (
        _canary() as canary,
        running_gateway() as gateway,
        client_of(gateway) as client,
        _only_the_upstream(canary, gateway),
    ):
        for host in (f"127.0.0.1:{canary.port}", f"localhost:{canary.port}", f"[::1]:{canary.port}"):
            answer = await client.post("/v1/messages", json=small(ANTHROPIC), headers={"host": host})

            assert 200 == answer.status_code
            assert gateway.upstream_requests[-1].header(b"host") != host.encode()


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("transport", ["pooled", "httpx"])
async def test_no_answer_of_the_upstream_sends_us_elsewhere(transport: str, stream: bool) -> None:
    async with (
        _canary() as canary,
        running_gateway(limits={"retries": 0}, transport=_transport(transport)) as gateway,
        client_of(gateway) as client,
        _only_the_upstream(canary, gateway),
    ):
        url = f"http://127.0.0.1:{canary.port}/canary".encode()
        for status in (b"300", b"301", b"302", b"303", b"307", b"308", b"401", b"407", b"511", b"200"):
            for line in (b"location: ", b"refresh: 0;url=", b"content-location: ", b"alt-svc: h2=", b"link: "):
                raw = b"HTTP/1.1 %s X\r\n%s%s\r\ncontent-length: 0\r\nconnection: close\r\n\r\n" % (status, line, url)
                gateway.simulator.scripts.push(Script(raw=raw))
                answer = await client.post("/v1/messages", json=small(ANTHROPIC, stream=stream))

                assert answer.status_code >= 400
                assert "location" not in answer.headers
