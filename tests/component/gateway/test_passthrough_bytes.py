"""
Same-dialect traffic keeps its bytes, request and answer, and is metered all the same; what is translated is compressed
by us, if at all.
"""

import gzip
import json
import logging
import zlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import brotli
import httpx2
import pytest
import zstandard

from services.gateway.wire.formats import WireFormat
from services.simulator.compression import Name
from services.simulator.script import Script
from tests.support.dialects import ANTHROPIC, OPENAI, PATH, UPSTREAM_PATH, client_of, small
from tests.support.gateway import RunningGateway, running_gateway
from tests.support.reading import data_of
from tests.support.simulated import running_simulator

_UNPACK: dict[Name, Callable[[bytes], bytes]] = {
    "gzip": gzip.decompress,
    "br": brotli.decompress,
    "zstd": lambda data: zstandard.ZstdDecompressor().decompressobj().decompress(data),
    "deflate": lambda data: zlib.decompressobj().decompress(data),
}

# Nothing here needs a mutation, and no JSON library would write it like this.
_ODD_REQUESTS = {
    OPENAI: b' { "messages" : [ {"role":"user","content":"\\u00e9 \xc3\xa9 \\ud83d\\ude00 \\/"} ],\n\t"model":"glm-5.1",'
    b'"x_unknown":[1.0,1e2,123456789012345678901234567890,-0],"n":1 , "stream":false }\r\n',
    ANTHROPIC: b'{"messages":[{"content":[{"cache_control":{"type":"ephemeral"},"text":"\\u0068i","type":"text"}],'
    b'"role":"user"}],  "max_tokens":9 ,"model":"glm-5.1","metadata":{"z":0,"a":[ ]}}',
}
_ODD_STREAMED = {
    OPENAI: _ODD_REQUESTS[OPENAI].replace(b'"stream":false', b'"stream":true,"stream_options":{"include_usage":true}'),
    ANTHROPIC: _ODD_REQUESTS[ANTHROPIC][:-1] + b',"stream":true}',
}
_ODD_ANSWERS = {
    OPENAI: b'{ "choices":[{"message":{"content":"\\u00e9\xc3\xa9","role":"assistant","x":1.0},"index":0,'
    b'"finish_reason":"stop"}],\n "usage":{"prompt_tokens":1234,"completion_tokens":56},"id":"x","y":[1e5]}\n',
    ANTHROPIC: b'{"id":"x","type":"message","role":"assistant","model":"m","content":[{"text":"\\u00e9","type":"text"}],'
    b'  "stop_reason":"end_turn","z":1.50,"usage":{"output_tokens":56,"input_tokens":1234}}\r\n',
}


@pytest.fixture(scope="module")
async def serving() -> AsyncIterator[RunningGateway]:
    async with running_gateway(upstream_format="native") as running:
        yield running


@pytest.fixture
def gateway(serving: RunningGateway) -> RunningGateway:
    serving.simulator.records.reset()
    serving.simulator.scripts.reset()
    return serving


@pytest.fixture
async def client(gateway: RunningGateway) -> AsyncIterator[httpx2.AsyncClient]:
    async with client_of(gateway) as made:
        yield made


async def _raw(client: httpx2.AsyncClient, dialect: WireFormat, body: bytes, **headers: str) -> tuple[Any, bytes]:
    """Return the answer's headers and its body as it was transferred, still in its content coding."""
    named = {"accept-encoding": "identity"} | {name.replace("_", "-"): value for name, value in headers.items()}
    async with client.stream("POST", PATH[dialect], content=body, headers=named) as answer:
        data = b"".join([piece async for piece in answer.aiter_raw()])
        assert 200 == answer.status_code, data
        return answer.headers, data


@pytest.mark.parametrize("dialect", [OPENAI, ANTHROPIC])
@pytest.mark.parametrize("bodies", [_ODD_REQUESTS, _ODD_STREAMED], ids=["batch", "stream"])
async def test_a_request_that_needs_nothing_travels_byte_for_byte(
    gateway: RunningGateway, client: httpx2.AsyncClient, dialect: WireFormat, bodies: dict[WireFormat, bytes]
) -> None:
    await _raw(client, dialect, bodies[dialect])

    assert bodies[dialect] == gateway.upstream_requests[0].body


_MARK = b',"cache_control":{"type":"ephemeral"}'


def _agents(dialect: WireFormat, depth: int, colon: bytes) -> bytes:
    """Return an agent's request of some size, in which one tool is `depth` levels deep and the mark has a place."""
    said = [{"type": "text", "text": "caf\u00e9 \\/ \n" * 900}, {"type": "text", "text": "go on"}]
    messages = [{"role": "user", "content": "hi"}, {"role": "user", "content": said}]
    schema = b"[" * (depth - 4) + b"]" * (depth - 4)
    tool = {"name": "f", "input_schema": {"type": "object", "description": "y" * 5000, "x": "*"}}
    if dialect is OPENAI:
        tool = {"type": "function", "function": {"name": "f", "parameters": {}, "x": "*"}}
    body = {"model": "glm-5.1", "max_tokens": 9, "tools": [tool], "messages": messages}
    separators = (",", colon.decode())
    return json.dumps(body, separators=separators, ensure_ascii=False).encode().replace(b'"*"', schema)


@pytest.mark.parametrize("colon", [b":", b": "])
@pytest.mark.parametrize("dialect", [OPENAI, ANTHROPIC])
async def test_an_agents_request_keeps_its_bytes_but_for_the_mark(
    gateway: RunningGateway, client: httpx2.AsyncClient, dialect: WireFormat, colon: bytes
) -> None:
    asked = _agents(dialect, 64, colon)
    for _ in range(2):
        await _raw(client, dialect, asked)

        head, _, tail = asked.rpartition(b'"go on"')
        marked = asked if dialect is OPENAI else head + b'"go on"' + _MARK + tail
        assert marked == gateway.upstream_requests[-1].body


@pytest.mark.parametrize("colon", [b":", b": "])
@pytest.mark.parametrize("dialect", [OPENAI, ANTHROPIC])
async def test_an_agents_request_that_is_too_deep_is_refused(
    client: httpx2.AsyncClient, dialect: WireFormat, colon: bytes
) -> None:
    answer = await client.post(PATH[dialect], content=_agents(dialect, 65, colon))

    assert 400 == answer.status_code
    assert "nested deeper than 64 levels" in answer.json()["error"]["message"]


@pytest.mark.parametrize("dialect", [OPENAI, ANTHROPIC])
async def test_a_whole_answer_comes_back_byte_for_byte(
    gateway: RunningGateway, client: httpx2.AsyncClient, dialect: WireFormat
) -> None:
    gateway.simulator.scripts.push(Script(frames=(_ODD_ANSWERS[dialect],)))

    headers, body = await _raw(client, dialect, _ODD_REQUESTS[dialect])

    assert _ODD_ANSWERS[dialect] == body
    assert "application/json; charset=UTF-8" == headers["content-type"]
    assert "content-encoding" not in headers


@pytest.mark.parametrize("coding", list(_UNPACK))
@pytest.mark.parametrize("dialect", [OPENAI, ANTHROPIC])
async def test_a_compressed_answer_comes_back_untouched_and_metered(
    gateway: RunningGateway,
    client: httpx2.AsyncClient,
    caplog: pytest.LogCaptureFixture,
    dialect: WireFormat,
    coding: Name,
) -> None:
    caplog.set_level(logging.INFO, "zcode.request")
    gateway.simulator.scripts.push(Script(frames=(_ODD_ANSWERS[dialect],), encoding="auto"))
    asked = f"{coding}, identity;q=0.1"

    headers, body = await _raw(client, dialect, _ODD_REQUESTS[dialect], accept_encoding=asked)
    gateway.gateway.ledger.flush()

    assert coding == headers["content-encoding"]
    assert _ODD_ANSWERS[dialect] == _UNPACK[coding](body)
    assert asked.encode() == gateway.upstream_requests[0].header(b"accept-encoding")
    fields = caplog.records[-1].__dict__["fields"]
    assert (1234, 56, 200) == (fields["input_tokens"], fields["output_tokens"], fields["status"])


@pytest.mark.parametrize("coding", list(_UNPACK))
async def test_an_error_under_a_coding_is_read_and_becomes_a_status(
    gateway: RunningGateway, client: httpx2.AsyncClient, coding: Name
) -> None:
    for script in (Script(error="1210", encoding="auto"), Script(error="1210", at="ok", encoding="auto")):
        gateway.simulator.scripts.push(script)
        answer = await client.post(
            PATH[OPENAI], content=_ODD_REQUESTS[OPENAI], headers={"accept-encoding": f"{coding}, identity;q=0.1"}
        )

        assert (400, "1210") == (answer.status_code, answer.headers["x-zcode-upstream-code"])
        assert "content-encoding" not in answer.headers


async def test_an_error_whose_coding_is_a_lie_is_told_by_its_status(
    gateway: RunningGateway, client: httpx2.AsyncClient
) -> None:
    raw = b"HTTP/1.1 400 Bad Request\r\ncontent-encoding: gzip\r\ncontent-length: 5\r\nconnection: close\r\n\r\nhello"
    gateway.simulator.scripts.push(Script(raw=raw))

    answer = await client.post(PATH[OPENAI], content=_ODD_REQUESTS[OPENAI], headers={"accept-encoding": "gzip"})

    assert 400 == answer.status_code
    assert "hello" not in answer.text


_ROLE_AGAIN = (
    b'"delta":{"role":"assistant","content":""},"finish_reason":"',
    b'"delta":{"content":""},"finish_reason":"',
)
_STREAMS = [
    "events=40",
    "events=3;reasoning=first",
    "events=3;reasoning=interleaved;tools=2",
    "tools=2;tool-form=fragments",
    "events=30;split=7",
    "events=30;split=1000;framing=close",
    "events=20;pace=1",
]


@pytest.mark.parametrize("script", _STREAMS)
@pytest.mark.parametrize("dialect", [OPENAI, ANTHROPIC])
async def test_a_stream_comes_back_byte_for_byte(
    gateway: RunningGateway, client: httpx2.AsyncClient, dialect: WireFormat, script: str
) -> None:
    model = f"sim:{script};usage=chunk" if dialect is OPENAI else f"sim:{script}"
    body = _ODD_STREAMED[dialect].replace(b"glm-5.1", model.encode())

    headers, through = await _raw(client, dialect, body, accept_encoding="gzip, br")

    [request] = gateway.upstream_requests
    async with running_simulator(gateway.simulator) as origin, httpx2.AsyncClient(timeout=20) as direct:
        answer = await direct.post(
            f"{origin}{UPSTREAM_PATH[dialect]}", content=request.body, headers={"authorization": "Bearer k"}
        )
    # GLM repeats the role on the chunk that finishes, and clients concatenate: a listed repair, the only one here.
    repaired = answer.content.replace(*_ROLE_AGAIN)
    assert repaired == through
    assert len(_ROLE_AGAIN[0]) - len(_ROLE_AGAIN[1]) >= len(answer.content) - len(through)
    assert "text/event-stream; charset=utf-8" == headers["content-type"]
    assert "content-encoding" not in headers
    assert b"identity" == request.header(b"accept-encoding")


@pytest.mark.parametrize("dialect", [OPENAI, ANTHROPIC])
async def test_a_stream_that_comes_compressed_unasked_is_passed_on_and_metered(
    gateway: RunningGateway, client: httpx2.AsyncClient, caplog: pytest.LogCaptureFixture, dialect: WireFormat
) -> None:
    caplog.set_level(logging.INFO, "zcode.request")
    body = _ODD_STREAMED[dialect].replace(b"glm-5.1", b"sim:events=9;encoding=gzip")

    headers, data = await _raw(client, dialect, body)
    gateway.gateway.ledger.flush()

    assert "gzip" == headers["content-encoding"]
    assert 9 <= len(data_of(gzip.decompress(data)))
    assert 9 == caplog.records[-1].__dict__["fields"]["output_tokens"]


async def test_tokens_reach_the_metrics(gateway: RunningGateway, client: httpx2.AsyncClient) -> None:
    gateway.simulator.scripts.push(Script(frames=(_ODD_ANSWERS[ANTHROPIC],), encoding="auto"))
    async with httpx2.AsyncClient(base_url=gateway.admin_url) as admin:

        async def counted(kind: str) -> float:
            name = f'gen_ai_client_token_usage_sum{{gen_ai_request_model="glm-5.1",gen_ai_token_type="{kind}"}} '
            lines = (await admin.get("/metrics")).text.splitlines()
            return sum(float(line.removeprefix(name)) for line in lines if line.startswith(name))

        before = await counted("input"), await counted("output")
        await _raw(client, ANTHROPIC, _ODD_REQUESTS[ANTHROPIC], accept_encoding="br")

        assert (1234, 56) == (await counted("input") - before[0], await counted("output") - before[1])


@pytest.mark.parametrize(
    ("accepted", "compressed"),
    [
        ("gzip", True),
        ("br, gzip;q=0.5", True),
        ("*", True),
        ("GZIP", True),
        ("identity", False),
        ("br", False),
        ("gzip;q=0", False),
        ("gzip; q=0.0, br", False),
    ],
)
@pytest.mark.parametrize("dialect", [OPENAI, ANTHROPIC])
async def test_a_translated_answer_is_gzipped_for_who_takes_it(
    dialect: WireFormat, accepted: str, compressed: bool
) -> None:
    setting = "anthropic" if dialect is OPENAI else "openai"
    body = json.dumps(small(dialect, "sim:events=900")).encode()
    async with running_gateway(upstream_format=setting) as gateway, client_of(gateway) as client:
        headers, data = await _raw(client, dialect, body, accept_encoding=accepted)

    assert ("gzip" if compressed else None) == headers.get("content-encoding")
    assert ("accept-encoding" if compressed else None) == headers.get("vary")
    assert b"identity" == gateway.upstream_requests[0].header(b"accept-encoding")
    assert b"w899" in (gzip.decompress(data) if compressed else data)


@pytest.mark.parametrize("setting", ["anthropic", "openai"])
@pytest.mark.parametrize("dialect", [OPENAI, ANTHROPIC])
async def test_event_streams_are_never_compressed(dialect: WireFormat, setting: str) -> None:
    body = json.dumps(small(dialect, "sim:events=900", stream=True)).encode()
    async with running_gateway(upstream_format=setting) as gateway, client_of(gateway) as client:
        headers, data = await _raw(client, dialect, body, accept_encoding="gzip, deflate, br, zstd")

    assert "content-encoding" not in headers
    assert b"w899" in data


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("dialect", "setting", "fields", "dropped"),
    [
        (OPENAI, "anthropic", {"logit_bias": {"1": 2}, "seed": 7}, {"logit_bias", "seed"}),
        (ANTHROPIC, "openai", {"top_k": 5}, {"top_k"}),
        (OPENAI, "openai", {"logit_bias": {"1": 2}, "seed": 7}, set()),
        (ANTHROPIC, "anthropic", {"top_k": 5}, set()),
    ],
)
async def test_dropped_hints_are_named(
    dialect: WireFormat, setting: str, fields: dict[str, Any], dropped: set[str], stream: bool
) -> None:
    body = json.dumps(small(dialect, stream=stream, **fields)).encode()
    async with running_gateway(upstream_format=setting) as gateway, client_of(gateway) as client:
        headers, _ = await _raw(client, dialect, body)

    named = headers.get("x-zcode-dropped-params", "")
    assert dropped == set(filter(None, named.split(", ")))
    assert 0 <= float(headers["x-zcode-overhead-ms"]) < 1000
