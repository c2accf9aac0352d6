"""
Nobody gets in without the key, whatever the path, its spelling, the Host or what a proxy is said to have forwarded.

The routes come from the running gateway itself: one that has no policy here fails the test.
"""

import itertools
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from services.chassis.secret import Secret
from services.gateway.app import Gateway
from tests.support.gateway import RunningGateway, running_gateway
from tests.support.promises import show
from tests.support.raw_http import Answer, raw_client

pytestmark = pytest.mark.promise("P-35")

_KEY = "the-one-client-key"

# What each route of the data port is, for a caller with the key and for one without.
_POLICY = {
    "/v1/chat/completions": "key",
    "/v1/messages": "key",
    "/v1/responses": "key",
    "/v1/messages/count_tokens": "key",
    "/v1/models": "key",
    "/v1/models/{model_id:path}": "key",
    "/health": "key",
}
_PUBLIC = {("GET", "/"), ("HEAD", "/")}  # and OPTIONS, which tells nothing but the methods

_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "TRACE", "OPTIONS")


def _routes(gateway: Gateway) -> set[str]:
    framework: Any = gateway.entry._framework
    return set(gateway.entry.hot) | {route.path for route in framework.routes}


@pytest.fixture(scope="module")
async def gateway() -> AsyncIterator[RunningGateway]:
    async with running_gateway(auth={"proxy_api_key": Secret(_KEY)}) as running:
        yield running


async def test_every_route_has_a_policy(gateway: RunningGateway) -> None:
    assert set(_POLICY) == _routes(gateway.gateway)


async def _asked(
    gateway: RunningGateway, method: str, target: str, *headers: str, host: str = "gateway.example", body: bytes = b""
) -> Answer:
    lines = [f"{method} {target} HTTP/1.1", f"Host: {host}", *headers, "Connection: close"]
    if body:
        lines.append(f"Content-Length: {len(body)}")
    async with raw_client(gateway.port) as client:
        await client.send("\r\n".join([*lines, "", ""]).encode("latin-1") + body)
        reply = await client.read()
    head, _, rest = reply.data.partition(b"\r\n\r\n")
    status = int(head.split(b" ")[1])
    if method == "HEAD" or status == 204:  # neither has a body, whatever length is named
        return Answer(status, {}, rest)
    [answer] = reply.answers
    return answer


def _plain(route: str) -> str:
    return route.replace("{model_id:path}", "glm-5.1")


def _spellings(path: str) -> Iterator[str]:
    """Yield ways to write a path that some server in a chain might read as the same one."""
    encoded = "".join(f"%{ord(letter):02x}" if letter.isalpha() else letter for letter in path)
    yield from (path, f"{path}/", f"/{path}", path.replace("/", "//"), f"{path}?x=1", f"{path};x=1", f"{path}%20")
    yield from (encoded, encoded.upper().replace("%2F", "%2f"), path.replace("/", "%2f"), f"/.{path}", f"/x/..{path}")
    yield from (
        f"/%2e%2e{path}",
        f"{path}/.",
        f"{path}/..",
        f"{path}%00",
        f"{path}%0d%0aX:1",
        path.upper(),
        f"/%2F{path}",
    )
    yield from (f"/livez/..{path}", f"/health/../..{path}", f"{path}?{path}", f"/static{path}", f"{path}.json")
    yield from (
        f"/%252e%252e{path}",
        f"{path}%3fkey={_KEY}",
        f"{path}?api_key={_KEY}",
        f"{path}?authorization=Bearer+{_KEY}",
    )


_CREDENTIALS: dict[str, tuple[str, ...]] = {
    "none": (),
    "wrong": ("Authorization: Bearer wrong",),
    "wrong x-api-key": ("X-API-Key: wrong",),
    "empty": ("X-API-Key: ",),
    "empty bearer": ("Authorization: Bearer ",),
    "basic": ("Authorization: Basic dGhlLW9uZS1jbGllbnQta2V5",),
    "no scheme": (f"Authorization: {_KEY}",),
    "a prefix of it": (f"Authorization: Bearer {_KEY[:-1]}",),
    "more than it": (f"Authorization: Bearer {_KEY}x",),
    "another case": (f"Authorization: Bearer {_KEY.upper()}",),
    "two that differ": (f"Authorization: Bearer {_KEY}", "X-API-Key: wrong"),
    "the upstream's key": ("X-API-Key: upstream-test-key.secret",),
    "other headers": (f"Proxy-Authorization: Bearer {_KEY}", f"Cookie: key={_KEY}", f"Api-Key: {_KEY}"),
}

_FORGED: dict[str, tuple[str, ...]] = {
    "nothing": (),
    "loopback forwarded": ("X-Forwarded-For: 127.0.0.1", "X-Real-IP: 127.0.0.1", "Forwarded: for=127.0.0.1"),
    "path rewritten": ("X-Original-URL: /", "X-Rewrite-URL: /", "X-Forwarded-Prefix: /", "X-Forwarded-Path: /"),
    "host forwarded": ("X-Forwarded-Host: localhost", "X-Forwarded-Proto: https", "X-Forwarded-Port: 443"),
    "method overridden": ("X-HTTP-Method-Override: OPTIONS", "X-Method-Override: GET"),
    "a health checker": ("User-Agent: kube-probe/1.31", "X-Health-Check: 1"),
}


async def test_no_route_answers_without_the_key(gateway: RunningGateway) -> None:
    gateway.simulator.records.reset()
    cases = list(itertools.product(_routes(gateway.gateway), _CREDENTIALS.items(), _METHODS))
    for route, (name, headers), method in cases:
        answer = await _asked(gateway, method, _plain(route), *headers)

        expected = 204 if method == "OPTIONS" else 401
        assert expected == answer.status, (method, route, name)
    assert [] == gateway.upstream_requests
    show("P-35", len(cases), 0, what="credentials")


async def test_no_spelling_of_a_path_gets_around_the_key(gateway: RunningGateway) -> None:
    spellings = [spelling for route in _routes(gateway.gateway) for spelling in _spellings(_plain(route))]
    for spelling, method in itertools.product(spellings, ("GET", "POST")):
        answer = await _asked(gateway, method, spelling)

        expected = 401 if spelling.startswith("/") else 400
        assert expected == answer.status, (method, spelling, answer.body)
    show("P-35", 2 * len(spellings), 0, what="spellings")


@pytest.mark.parametrize("forged", list(_FORGED))
async def test_no_header_of_a_proxy_gets_around_the_key(gateway: RunningGateway, forged: str) -> None:
    hosts = ("gateway.example", "localhost", "127.0.0.1", "127.0.0.1:9090", "[::1]", "metadata.internal")
    cases = list(itertools.product(_routes(gateway.gateway), hosts, ("GET", "POST")))
    for route, host, method in cases:
        answer = await _asked(gateway, method, _plain(route), *_FORGED[forged], host=host)

        assert 401 == answer.status, (method, route, host)
    show("P-35", len(cases), 0, what="forged")


@pytest.mark.parametrize("host", ["", "a b", "a/b", "a,b", "a@b", "http://a", "a:port", "a\tb", "[::1", "ä"])
async def test_a_host_that_is_none_is_a_400(gateway: RunningGateway, host: str) -> None:
    assert 400 == (await _asked(gateway, "GET", "/health", f"Authorization: Bearer {_KEY}", host=host)).status


@pytest.mark.parametrize(
    "path", ["/livez", "/readyz", "/metrics", "/admin", "/docs", "/schema", "/openapi.json", "/.env"]
)
async def test_what_is_not_there_is_not_told_without_the_key(gateway: RunningGateway, path: str) -> None:
    assert 401 == (await _asked(gateway, "GET", path)).status
    assert 404 == (await _asked(gateway, "GET", path, f"X-API-Key: {_KEY}")).status


async def test_only_the_root_and_options_answer_everybody(gateway: RunningGateway) -> None:
    for method in _METHODS:
        answer = await _asked(gateway, method, "/")

        public = (method, "/") in _PUBLIC or method == "OPTIONS"
        assert public == (answer.status in (200, 204)), method
        assert not public or b"" == answer.body


@pytest.mark.parametrize(
    "header", [f"Authorization: Bearer {_KEY}", f"X-API-Key: {_KEY}", f"authorization: bearer {_KEY}"]
)
async def test_the_key_opens_every_route(gateway: RunningGateway, header: str) -> None:
    body = b'{"model":"glm-5.1","max_tokens":5,"messages":[{"role":"user","content":"hi"}],"input":"hi"}'
    for route in _routes(gateway.gateway):
        posted = route in gateway.gateway.entry.hot
        answer = await _asked(gateway, "POST" if posted else "GET", _plain(route), header, body=body if posted else b"")

        assert 200 == answer.status, (route, answer.body)


async def test_with_the_key_odd_spellings_reach_no_other_route(gateway: RunningGateway) -> None:
    for route in _routes(gateway.gateway):
        for spelling in _spellings(_plain(route)):
            answer = await _asked(gateway, "GET", spelling, f"X-API-Key: {_KEY}")

            assert answer.status in (200, 400, 404, 405), (spelling, answer.status)


async def test_only_listed_hosts_are_served_where_there_is_a_list() -> None:
    async with running_gateway(
        server={"port": 0, "admin_port": 0, "allowed_hosts": ("ok.example", "ok.example:1")}
    ) as gateway:
        for host, status in (
            ("ok.example", 200),
            ("ok.example:1", 200),
            ("OK.example", 421),
            ("ok.example:2", 421),
            ("ok.example.evil", 421),
            ("evil.ok.example", 421),
            ("127.0.0.1", 421),
        ):
            for method, path in (("GET", "/health"), ("GET", "/")):
                answer = await _asked(gateway, method, path, "X-Forwarded-Host: ok.example", host=host)

                assert status == answer.status, (host, path)


async def test_the_admin_port_offers_the_probes_and_nothing_of_the_data_port(gateway: RunningGateway) -> None:
    port = gateway.server.ports[1]
    async with raw_client(port) as client:
        await client.send(b"POST /v1/messages HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}")
        [answer] = (await client.read()).answers

    assert 404 == answer.status
