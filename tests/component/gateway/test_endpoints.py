"""Every endpoint over a real socket: its answer, its shape, its ids, and what it says of a call that is wrong."""

from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest

from services.gateway.catalogue import PINNED, Model
from services.gateway.wire.formats import WireFormat
from tests.support.dialects import ANTHROPIC, OPENAI, PATH, check_ids, client_of, error_in, small
from tests.support.gateway import RunningGateway, running_gateway

_ALL = [model.id for model in PINNED]
_ASKS_AS_ANTHROPIC = {"anthropic-version": "2023-06-01"}
_SLASHED = Model(id="vendor/some/model", context=1000, max_output=100)


@pytest.fixture(scope="module")
async def serving() -> AsyncIterator[RunningGateway]:
    async with running_gateway(models=(_SLASHED,), default_model="glm-5.1", limits={"body": 100_000}) as running:
        yield running


@pytest.fixture
def gateway(serving: RunningGateway) -> RunningGateway:
    serving.simulator.records.reset()
    return serving


@pytest.fixture
async def client(gateway: RunningGateway) -> AsyncIterator[httpx2.AsyncClient]:
    async with client_of(gateway) as made:
        yield made


@pytest.mark.parametrize("dialect", [OPENAI, ANTHROPIC])
@pytest.mark.parametrize("query", ["", "?beta=true", "?a=%00&beta"])
async def test_the_generating_endpoints_answer_whatever_the_query(
    client: httpx2.AsyncClient, dialect: WireFormat, query: str
) -> None:
    answer = await client.post(PATH[dialect] + query, json=small(dialect))

    assert 200 == answer.status_code
    check_ids(answer)
    assert 0 <= float(answer.headers["x-zcode-overhead-ms"]) < 1000
    assert {"message", "chat.completion"} >= {answer.json().get("object") or answer.json()["type"]}


@pytest.mark.parametrize("dialect", [OPENAI, ANTHROPIC])
async def test_a_call_without_a_model_goes_upstream_with_the_default_one(
    gateway: RunningGateway, client: httpx2.AsyncClient, dialect: WireFormat
) -> None:
    body = small(dialect)
    del body["model"]

    assert 200 == (await client.post(PATH[dialect], json=body)).status_code
    assert b'"model":"glm-5.1"' in gateway.upstream_requests[0].body


async def test_the_query_does_not_travel_upstream(gateway: RunningGateway, client: httpx2.AsyncClient) -> None:
    await client.post("/v1/messages?beta=true&x=http://elsewhere", json=small(ANTHROPIC))

    assert b"/api/anthropic/v1/messages" == gateway.upstream_requests[0].target


async def test_b149_models_in_openai_shape(client: httpx2.AsyncClient) -> None:
    answer = await client.get("/v1/models")

    check_ids(answer)
    assert "list" == answer.json()["object"]
    assert [*_ALL, "vendor/some/model"] == [row["id"] for row in answer.json()["data"]]
    assert {"id", "object", "created", "owned_by", "context_window", "max_output_tokens"} == set(
        answer.json()["data"][0]
    )


@pytest.mark.parametrize("header", [_ASKS_AS_ANTHROPIC, {"x-api-key": "any"}])
async def test_b149_models_in_anthropic_shape(client: httpx2.AsyncClient, header: dict[str, str]) -> None:
    answer = await client.get("/v1/models", headers=header)

    check_ids(answer)
    page = answer.json()
    assert {"data", "has_more", "first_id", "last_id"} == set(page)
    assert (False, "glm-4.5-air", "vendor/some/model") == (page["has_more"], page["first_id"], page["last_id"])
    assert {"type": "model", "display_name": "GLM 5.2", "max_input_tokens": 1_000_000} == {
        name: value
        for name, value in page["data"][_ALL.index("glm-5.2")].items()
        if name in ("type", "display_name", "max_input_tokens")
    }


@pytest.mark.parametrize(
    ("query", "ids", "more"),
    [
        ("?limit=2", _ALL[:2], True),
        ("?limit=1000", [*_ALL, "vendor/some/model"], False),
        (f"?limit=2&after_id={_ALL[1]}", _ALL[2:4], True),
        (f"?limit=20&after_id={_ALL[-1]}", ["vendor/some/model"], False),
        ("?after_id=vendor/some/model", [], False),
        (f"?limit=2&before_id={_ALL[4]}", _ALL[2:4], True),
        (f"?limit=9&before_id={_ALL[2]}", _ALL[:2], False),
    ],
)
async def test_anthropics_pages(client: httpx2.AsyncClient, query: str, ids: list[str], more: bool) -> None:
    page = (await client.get(f"/v1/models{query}", headers=_ASKS_AS_ANTHROPIC)).json()

    assert (ids, more) == ([row["id"] for row in page["data"]], page["has_more"])
    assert (ids[0] if ids else None, ids[-1] if ids else None) == (page["first_id"], page["last_id"])


@pytest.mark.parametrize(
    "query", ["?limit=0", "?limit=1001", "?limit=-1", "?limit=ten", "?limit=\u0664", "?limit=", "?after_id=glm-9"]
)
async def test_a_page_that_cannot_be_is_a_400(client: httpx2.AsyncClient, query: str) -> None:
    answer = await client.get(f"/v1/models{query}", headers=_ASKS_AS_ANTHROPIC)

    assert 400 == answer.status_code
    assert "invalid_request_error" == error_in(ANTHROPIC, answer).type


@pytest.mark.parametrize(
    ("name", "listed"),
    [
        ("glm-5.2", "glm-5.2"),
        ("GLM-5.2", "glm-5.2"),
        ("glm-5.2[1m]", "glm-5.2"),
        ("vendor/some/model", "vendor/some/model"),
        ("vendor%2Fsome%2Fmodel", "vendor/some/model"),
    ],
)
async def test_one_model_in_both_shapes(client: httpx2.AsyncClient, name: str, listed: str) -> None:
    plain = await client.get(f"/v1/models/{name}")
    theirs = await client.get(f"/v1/models/{name}", headers=_ASKS_AS_ANTHROPIC)

    check_ids(plain)
    assert (listed, "model") == (plain.json()["id"], plain.json()["object"])
    assert (listed, "model") == (theirs.json()["id"], theirs.json()["type"])


@pytest.mark.parametrize("name", ["glm-52", "no/such", "%00", "%FF", "..%2f..%2fetc", "a" * 4000])
async def test_a_model_that_is_not_listed_is_a_404_in_the_callers_dialect(
    client: httpx2.AsyncClient, name: str
) -> None:
    plain = await client.get(f"/v1/models/{name}")
    theirs = await client.get(f"/v1/models/{name}", headers=_ASKS_AS_ANTHROPIC)

    assert (404, 404) == (plain.status_code, theirs.status_code)
    assert ("model_not_found", "model") == ((shown := error_in(OPENAI, plain)).code, shown.param)
    assert "not_found_error" == error_in(ANTHROPIC, theirs).type


async def test_a_near_miss_of_a_models_name_is_told_the_name(client: httpx2.AsyncClient) -> None:
    assert "glm-5.2" in error_in(OPENAI, await client.get("/v1/models/glm-52")).message


async def test_counting_tokens_asks_nobody(gateway: RunningGateway, client: httpx2.AsyncClient) -> None:
    short = await client.post("/v1/messages/count_tokens?beta=true", json=small(ANTHROPIC))
    longer = await client.post("/v1/messages/count_tokens", json=small(ANTHROPIC, text="word " * 500))

    check_ids(short)
    assert {"input_tokens"} == set(short.json())
    assert 500 <= longer.json()["input_tokens"] - short.json()["input_tokens"] <= 1500
    assert [] == gateway.upstream_requests


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"messages":5}', b"\xff", b'{"a":' * 5000])
async def test_counting_what_is_no_request_is_a_400(client: httpx2.AsyncClient, body: bytes) -> None:
    answer = await client.post("/v1/messages/count_tokens", content=body)

    assert 400 == answer.status_code
    assert "invalid_request_error" == error_in(ANTHROPIC, answer).type


async def test_health_says_that_it_serves(client: httpx2.AsyncClient) -> None:
    answer = await client.get("/health")

    check_ids(answer)
    assert {"status": "ok"} == answer.json()


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_the_root_says_that_somebody_is_there(client: httpx2.AsyncClient, method: str) -> None:
    answer = await client.request(method, "/")

    check_ids(answer)
    assert (200, b"") == (answer.status_code, answer.content)


@pytest.mark.parametrize("path", ["/health", "/v1/models", "/v1/models/glm-5.1"])
async def test_head_is_get_without_the_body(client: httpx2.AsyncClient, path: str) -> None:
    whole, bare = await client.get(path), await client.head(path)

    check_ids(bare)
    assert (200, b"") == (bare.status_code, bare.content)
    assert whole.headers["content-length"] == bare.headers["content-length"]


@pytest.mark.parametrize("path", ["/", "/v1/messages", "/v1/models", "/health", "/no/such"])
async def test_options_names_the_methods_and_no_origin(client: httpx2.AsyncClient, path: str) -> None:
    answer = await client.options(path, headers={"origin": "https://a.example"})

    check_ids(answer)
    assert (204, "GET, HEAD, POST, OPTIONS") == (answer.status_code, answer.headers["allow"])
    assert not [name for name in answer.headers if name.startswith("access-control")]


_UNKNOWN: list[tuple[str, WireFormat, str]] = [
    ("/v1/v1/messages", ANTHROPIC, "did you mean /v1/messages?"),
    ("/messages", OPENAI, "did you mean /v1/messages?"),
    ("/v1/messages/", ANTHROPIC, "did you mean /v1/messages?"),
    ("/v1/v1/messages/count_tokens", ANTHROPIC, "did you mean /v1/messages/count_tokens?"),
    ("/v1/messages/batches", ANTHROPIC, "is not supported"),
    ("/v1/complete", ANTHROPIC, "is not supported"),
    ("/v1/v1/chat/completions", OPENAI, "did you mean /v1/chat/completions?"),
    ("/chat/completions", OPENAI, "did you mean /v1/chat/completions?"),
    ("/v1/responses/resp_1", OPENAI, "no response is stored"),
    ("/v1/responses/compact", OPENAI, "no response is stored"),
    ("/responses", OPENAI, "did you mean /v1/responses?"),
    ("/v1/embeddings", OPENAI, "is not supported"),
    ("/", OPENAI, "this gateway serves"),
    ("/nope", OPENAI, "this gateway serves"),
    ("/metrics", OPENAI, "this gateway serves"),
    ("/livez", OPENAI, "this gateway serves"),
]


@pytest.mark.parametrize(("path", "dialect", "says"), _UNKNOWN)
async def test_an_unknown_route_is_a_404_in_the_dialect_of_its_path(
    client: httpx2.AsyncClient, path: str, dialect: WireFormat, says: str
) -> None:
    answer = await client.post(path, json={})

    assert 404 == answer.status_code
    assert says in error_in(dialect, answer).message


_WRONG: list[tuple[str, str, WireFormat, str]] = [
    *(
        (method, path, OPENAI, "POST, OPTIONS")
        for method in ("GET", "PUT", "DELETE", "PATCH")
        for path in (PATH[OPENAI],)
    ),
    *((method, PATH[ANTHROPIC], ANTHROPIC, "POST, OPTIONS") for method in ("GET", "PUT", "TRACE")),
    ("GET", "/v1/messages/count_tokens", ANTHROPIC, "POST, OPTIONS"),
    *(
        (method, path, OPENAI, "GET, HEAD, OPTIONS")
        for method in ("POST", "DELETE")
        for path in ("/health", "/v1/models")
    ),
    ("PUT", "/v1/models/glm-5.1", OPENAI, "GET, HEAD, OPTIONS"),
]


@pytest.mark.parametrize(("method", "path", "dialect", "allowed"), _WRONG)
async def test_a_wrong_method_is_a_405_that_names_the_right_ones(
    client: httpx2.AsyncClient, method: str, path: str, dialect: WireFormat, allowed: str
) -> None:
    answer = await client.request(method, path)

    assert (405, allowed) == (answer.status_code, answer.headers["allow"])
    assert method in error_in(dialect, answer).message


@pytest.mark.parametrize("coding", ["gzip", "br", "zstd", "deflate", "gzip, identity", "x"])
@pytest.mark.parametrize("dialect", [OPENAI, ANTHROPIC])
async def test_a_compressed_request_is_a_415(client: httpx2.AsyncClient, dialect: WireFormat, coding: str) -> None:
    answer = await client.post(PATH[dialect], content=b"x", headers={"content-encoding": coding})

    assert 415 == answer.status_code
    assert "ompressed" in error_in(dialect, answer).message


@pytest.mark.parametrize(
    ("path", "dialect", "size", "chunked"),
    [
        (PATH[OPENAI], OPENAI, 100_001, False),
        (PATH[OPENAI], OPENAI, 100_001, True),
        (PATH[ANTHROPIC], ANTHROPIC, 100_001, False),
        (PATH[ANTHROPIC], ANTHROPIC, 100_001, True),
        ("/v1/messages/count_tokens", ANTHROPIC, 100_001, True),
        ("/v1/models", OPENAI, 65_537, False),
        ("/nope", OPENAI, 65_537, False),
    ],
)
async def test_a_body_that_is_too_large_is_a_413(
    client: httpx2.AsyncClient, path: str, dialect: WireFormat, size: int, chunked: bool
) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for at in range(0, size, 10_000):
            yield b" " * min(10_000, size - at)

    content: Any = pieces() if chunked else b" " * size
    answer = await client.post(path, content=content)

    assert 413 == answer.status_code
    shown = error_in(dialect, answer)
    assert dialect is ANTHROPIC or "request_too_large" == shown.code
    assert dialect is OPENAI or "request_too_large" == shown.type


async def test_a_body_of_just_the_limit_is_read(client: httpx2.AsyncClient) -> None:
    body = b'{"model":"glm-5.1","max_tokens":9,"messages":[{"role":"user","content":"hi"}]}'

    assert 200 == (await client.post(PATH[ANTHROPIC], content=body.ljust(100_000))).status_code


@pytest.mark.parametrize("stream", [False, True])
async def test_a_simulated_upstream_is_named_on_every_answer_of_its(stream: bool) -> None:
    async with running_gateway(simulated=True) as demo, client_of(demo) as client:
        for dialect in (OPENAI, ANTHROPIC):
            answer = await client.post(PATH[dialect], json=small(dialect, stream=stream))
            assert "true" == answer.headers["x-zcode-simulated"]
