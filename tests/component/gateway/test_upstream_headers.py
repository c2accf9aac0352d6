"""
The exact set of headers that goes upstream, whatever a client sends: an allow-list, told by the simulator's record.
"""

import itertools
import re
from collections.abc import AsyncIterator, Iterator

import pytest

from services.gateway.app import this_platform
from services.gateway.wire.formats import WireFormat
from services.simulator.records import Request
from services.simulator.script import Script
from tests.support.dialects import ANTHROPIC, OPENAI, PATH, RESPONSES, client_of, small
from tests.support.gateway import UPSTREAM_KEY, RunningGateway, running_gateway
from tests.support.promises import show
from tests.support.raw_http import raw_client

pytestmark = pytest.mark.promise("P-40")

_UUID = re.compile(rb"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
_FRESH = (b"x-request-id", b"x-zcode-trace-id", b"x-query-id", b"x-session-id")
_PLATFORM = this_platform()

_BODY = {
    OPENAI: b'{"model":"glm-5.1","messages":[{"role":"user","content":"hi"}]}',
    ANTHROPIC: b'{"model":"glm-5.1","max_tokens":9,"messages":[{"role":"user","content":"hi"}]}',
}


@pytest.fixture(scope="module")
async def serving() -> AsyncIterator[RunningGateway]:
    async with running_gateway(upstream_format="native") as running:
        yield running


@pytest.fixture
def gateway(serving: RunningGateway) -> RunningGateway:
    serving.simulator.records.reset()
    return serving


def _expected(gateway: RunningGateway, dialect: WireFormat, body: bytes) -> dict[bytes, bytes]:
    """Return every header but the fresh ids, for a batch call whose client offers no coding."""
    key = UPSTREAM_KEY.reveal().encode()
    auth = {b"x-api-key": key, b"anthropic-version": b"2023-06-01"}
    return {
        b"host": _upstream_host(gateway),
        b"content-type": b"application/json",
        b"content-length": b"%d" % len(body),
        b"accept": b"application/json",
        b"accept-encoding": b"identity",
        **(auth if dialect is ANTHROPIC else {b"authorization": b"Bearer " + key}),
        b"user-agent": b"ZCode/3.2.2",
        b"x-title": b"Z Code@cli",
        b"http-referer": b"https://zcode.z.ai",
        b"x-zcode-app-version": b"3.2.2",
        b"x-zcode-agent": b"glm",
        b"x-platform": _PLATFORM.platform.encode(),
        b"x-os-category": _PLATFORM.category.encode(),
        b"x-os-version": _PLATFORM.release.encode(),
    }


def _upstream_host(gateway: RunningGateway) -> bytes:
    return gateway.settings.providers["zai"].anthropic_base.split("/")[2].encode()


def _check(gateway: RunningGateway, request: Request, dialect: WireFormat, **changes: bytes) -> None:
    names = [name.lower() for name, _ in request.headers]
    assert len(set(names)) == len(names), names
    seen = {name.lower(): value for name, value in request.headers}
    for name in _FRESH:
        value = seen.pop(name)
        if name.decode() not in changes:
            assert _UUID.fullmatch(value), name
        else:
            assert changes.pop(name.decode()) == value
    more = {name.encode(): value for name, value in changes.items()}
    assert _expected(gateway, dialect, request.body) | more == seen


# Headers that a client may well send, and none of which may travel. Values are recognisable.
_FORBIDDEN = (
    *(
        "Authorization: Bearer PROBE",
        "X-API-Key: PROBE",
        "Api-Key: PROBE",
        "Cookie: PROBE=1",
        "Proxy-Authorization: PROBE",
    ),
    *(
        "Anthropic-Version: PROBE",
        "Anthropic-Dangerous-Direct-Browser-Access: PROBE",
        "Anthropic-Beta: PROBE-1, PROBE-2",
    ),
    *("OpenAI-Organization: PROBE", "OpenAI-Project: PROBE", "OpenAI-Beta: PROBE", "X-Stainless-Lang: PROBE"),
    *("User-Agent: PROBE", "X-Title: PROBE", "HTTP-Referer: PROBE", "Referer: PROBE", "Origin: https://probe.PROBE"),
    *("X-ZCode-App-Version: PROBE", "X-ZCode-Agent: PROBE", "X-ZCode-Trace-Id: PROBE", "X-Request-Id: PROBE"),
    *("X-Query-Id: PROBE", "Request-Id: PROBE", "X-Platform: PROBE", "X-Os-Category: PROBE", "X-Os-Version: PROBE"),
    *("X-Forwarded-For: PROBE", "X-Forwarded-Host: PROBE", "X-Forwarded-Proto: PROBE", "Forwarded: for=PROBE"),
    *("X-Real-IP: PROBE", "X-Original-URL: /PROBE", "X-Rewrite-URL: /PROBE", "Via: 1.1 PROBE", "Max-Forwards: 7"),
    *(
        "Keep-Alive: PROBE",
        "TE: trailers",
        "Trailer: PROBE",
        "Proxy-Connection: PROBE",
        "X-HTTP-Method-Override: PROBE",
    ),
    *("Connection: PROBE", "Connection: keep-alive, X-Title", "Accept: PROBE/PROBE", "Accept-Language: PROBE"),
    *(
        "Content-Language: PROBE",
        "Content-Location: PROBE",
        "Content-MD5: PROBE",
        "Range: bytes=0-1",
        "If-Match: PROBE",
    ),
    *("Traceparent: 00-PROBE", "Tracestate: PROBE", "Baggage: PROBE=1", "B3: PROBE", "Sec-Fetch-Site: PROBE"),
    *("X-Aliyun-Captcha-Verify-Param: PROBE", "X-Aliyun-Captcha-Verify-Region: PROBE", "X-Simulate: error=500"),
    *(
        "X-Upstream: http://PROBE",
        "X-Base-URL: http://PROBE",
        "X-Portkey-Custom-Host: http://PROBE",
        "Helicone-Auth: PROBE",
    ),
    *("Priority: PROBE", "DNT: PROBE", "Cache-Control: no-PROBE", "Pragma: PROBE", "Upgrade-Insecure-Requests: PROBE"),
    *("HTTP2-Settings: PROBE", "Alt-Used: PROBE", "Expect: 100-continue", "Content-Type: text/PROBE; x=y"),
)


def _spelled(line: str) -> Iterator[str]:
    """Yield ways in which a parser might let a header through that it knows by another spelling."""
    name, _, value = line.partition(": ")
    yield from (line, f"{name.upper()}: {value}", f"{name.lower()}:{value}", f"{name}:   {value}")


_CLEAN = [(line, spelled) for line in _FORBIDDEN for spelled in _spelled(line)]


@pytest.mark.parametrize("dialect", [OPENAI, ANTHROPIC])
async def test_no_header_of_the_client_travels(gateway: RunningGateway, dialect: WireFormat) -> None:
    head = f"POST {PATH[dialect]} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(_BODY[dialect])}\r\n"
    async with raw_client(gateway.port) as client:
        for count, (_, line) in enumerate(_CLEAN, 1):
            await client.send(f"{head}{line}\r\n\r\n".encode() + _BODY[dialect])
            reply = await client.read(until=b"}}")

            assert b"HTTP/1.1 200" in reply.data, (line, reply.data[:200])
            assert count == gateway.simulator.records.total, line
            _check(gateway, gateway.upstream_requests[-1], dialect)
    assert len(_CLEAN) >= 250
    show("P-40", len(_CLEAN), 0, what="headers")


async def test_all_of_them_at_once_change_nothing(gateway: RunningGateway) -> None:
    # Those of which there may be one only, or that frame the message, have had their turn above.
    lines = [
        line for line in _FORBIDDEN if not line.startswith(("Authorization", "Connection", "Expect", "Content-Type"))
    ]
    body = _BODY[ANTHROPIC]
    head = f"POST /v1/messages HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\nConnection: close\r\n"
    async with raw_client(gateway.port) as client:
        await client.send((head + "\r\n".join(lines) + "\r\n\r\n").encode() + body)
        [answer] = (await client.read()).answers

    assert 200 == answer.status
    _check(gateway, gateway.upstream_requests[0], ANTHROPIC)


# Lines that no server should read in two ways: refused, or at least not passed on.
_SMUGGLED = [
    before + separator + after
    for before, separator, after in itertools.product(
        (b"X-Title: a", b"Anthropic-Beta: a", b"X-Session-Id: a", b"Accept-Encoding: gzip"),
        (b"\r\n ", b"\r\n\t", b"\n", b"\r", b"\x00", b"\x0b", b"%0d%0a", b"\\r\\n", "\u560a".encode(), b"\x85"),
        (b"X-ZCode-Agent: PROBE", b"x-api-key: PROBE"),
    )
] + [
    b"X_API_KEY: PROBE",
    b"x_session_id: PROBE",
    b"Anthropic_Beta: PROBE",
    b"X-Session-Id : PROBE",
    b" X-Session-Id: PROBE",
    b"X-Session-Id\x00: PROBE",
    b"X-Session-Id(: PROBE",
    b": PROBE",
    b"PROBE",
]


@pytest.mark.parametrize("dialect", [OPENAI, ANTHROPIC])
async def test_a_line_in_two_readings_brings_nothing_upstream(gateway: RunningGateway, dialect: WireFormat) -> None:
    for line in _SMUGGLED:
        gateway.simulator.records.reset()
        body = _BODY[dialect]
        head = b"POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\nConnection: close\r\n" % (
            PATH[dialect].encode(),
            len(body),
        )
        async with raw_client(gateway.port) as client:
            await client.send(head + line + b"\r\n\r\n" + body)
            reply = await client.read()

        for request in gateway.upstream_requests:
            assert b"PROBE" not in b"".join(name + value for name, value in request.headers), line
        [answer] = reply.answers
        assert answer.status in (200, 400), line
        assert (answer.status == 200) == (len(gateway.upstream_requests) == 1), line
    show("P-40", len(_SMUGGLED), 0, what="lines in two readings")


@pytest.mark.parametrize(
    ("line", "travels"),
    [
        (b"X-Session-Id: s-1_a.b:c", b"s-1_a.b:c"),
        (b"X-Claude-Code-Session-Id: 0f8e", b"0f8e"),
        (b"X-OpenCode-Session: abc", b"abc"),
        (b"X-Session-Id: with space", None),
        (b"X-Session-Id: \xc3\xa9", None),
        (b"X-Session-Id: " + b"a" * 129, None),
        (b"X-Session-Id:", None),
        (b"X-Session-Id: a,b", None),
    ],
)
async def test_a_clean_session_id_is_one_of_three_values_that_travel(
    gateway: RunningGateway, line: bytes, travels: bytes | None
) -> None:
    body = _BODY[OPENAI]
    head = b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\nConnection: close\r\n" % len(body)
    async with raw_client(gateway.port) as client:
        await client.send(head + line + b"\r\n\r\n" + body)
        assert [200] == (await client.read()).statuses

    changes = {} if travels is None else {"x-session-id": travels}
    _check(gateway, gateway.upstream_requests[0], OPENAI, **changes)


@pytest.mark.parametrize(("path", "travels"), [(PATH[RESPONSES], True), (PATH[OPENAI], False)])
async def test_codex_has_a_name_of_its_own_for_a_session(gateway: RunningGateway, path: str, *, travels: bool) -> None:
    body = b'{"model":"glm-5.1","input":"hi","messages":[{"role":"user","content":"hi"}]}'
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\nConnection: close\r\n"
    async with raw_client(gateway.port) as client:
        await client.send(head.encode() + b"Session-Id: codex-1\r\n\r\n" + body)
        assert [200] == (await client.read()).statuses

    _check(gateway, gateway.upstream_requests[0], OPENAI, **({"x-session-id": b"codex-1"} if travels else {}))


@pytest.mark.parametrize(
    ("value", "travels"),
    [
        ("context-1m-2025-08-07", b"context-1m-2025-08-07"),
        ("evil, interleaved-thinking-2025-05-14 ,x", b"interleaved-thinking-2025-05-14"),
        ("claude-code-20250219,context-1m-2025-08-07", b"claude-code-20250219,context-1m-2025-08-07"),
        ("CONTEXT-1M-2025-08-07", None),
        ("", None),
        (",,,", None),
    ],
)
async def test_of_the_betas_only_known_ones_travel_and_only_to_anthropics_format(
    gateway: RunningGateway, value: str, travels: bytes | None
) -> None:
    async with client_of(gateway, anthropic_beta=value, accept_encoding="identity") as client:
        for dialect in (ANTHROPIC, OPENAI):
            assert 200 == (await client.post(PATH[dialect], json=small(dialect))).status_code

    theirs, ours = gateway.upstream_requests
    _check(gateway, theirs, ANTHROPIC, **({} if travels is None else {"anthropic-beta": travels}))
    _check(gateway, ours, OPENAI)


async def test_what_the_upstream_answers_comes_back_by_an_allow_list_too(gateway: RunningGateway) -> None:
    lines = (
        b"retry-after: 7\r\nanthropic-ratelimit-requests-remaining: 3\r\nx-ratelimit-limit-tokens: 9\r\n"
        b"openai-processing-ms: 5\r\nx-request-id: theirs\r\nset-cookie: a=b\r\nserver: up\r\nx-powered-by: up\r\n"
        b"location: http://elsewhere\r\naccess-control-allow-origin: *\r\nstrict-transport-security: max-age=1\r\n"
        b"alt-svc: h3\r\nx-zcode-overhead-ms: 99\r\nx-zcode-dropped-params: lies\r\nx-should-retry: true\r\n"
    )
    body = b'{"id":"x","type":"message","role":"assistant","content":[],"usage":{}}'
    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n" % len(body)
    gateway.simulator.scripts.push(Script(raw=head + lines + b"\r\n" + body))

    async with client_of(gateway) as client:
        answer = await client.post("/v1/messages", json=small(ANTHROPIC))

    own = {"content-type", "content-length", "x-request-id", "request-id", "x-zcode-overhead-ms"}
    theirs = {
        "retry-after",
        "anthropic-ratelimit-requests-remaining",
        "x-ratelimit-limit-tokens",
        "openai-processing-ms",
    }
    assert own | theirs | {"x-upstream-request-id"} == set(answer.headers)
    assert 1 == len(answer.headers.get_list("x-request-id"))
    assert ("theirs", "7") == (answer.headers["x-upstream-request-id"], answer.headers["retry-after"])
