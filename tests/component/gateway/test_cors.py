"""Browsers: off by default, and with listed origins on every kind of answer, errors included."""

from collections.abc import AsyncIterator

import httpx2
import pytest

from services.chassis.secret import Secret
from services.gateway.wire.formats import WireFormat
from tests.support.dialects import ANTHROPIC, OPENAI, PATH, check_ids, client_of, small
from tests.support.gateway import running_gateway

_ORIGIN = "https://app.example"
_KEY = {"authorization": "Bearer k"}


@pytest.fixture(scope="module")
async def client() -> AsyncIterator[httpx2.AsyncClient]:
    server = {"port": 0, "admin_port": 0, "host": "127.0.0.1", "cors_origins": (_ORIGIN, "http://localhost:3000")}
    async with (
        running_gateway(server=server, auth={"proxy_api_key": Secret("k")}) as gateway,
        client_of(gateway) as made,
    ):
        yield made


@pytest.mark.parametrize("path", ["/v1/messages", "/v1/chat/completions", "/v1/models", "/no/such"])
async def test_a_preflight_is_answered_without_a_key(client: httpx2.AsyncClient, path: str) -> None:
    asked = {"access-control-request-method": "POST", "access-control-request-headers": "x-api-key, x-stainless-os"}
    answer = await client.options(path, headers={"origin": _ORIGIN} | asked)

    check_ids(answer)
    assert (204, _ORIGIN) == (answer.status_code, answer.headers["access-control-allow-origin"])
    assert "x-api-key, x-stainless-os" == answer.headers["access-control-allow-headers"]
    assert "POST" in answer.headers["access-control-allow-methods"]
    assert "access-control-allow-credentials" not in answer.headers


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("GET", "/v1/models", _KEY, 200),
        ("GET", "/health", _KEY, 200),
        ("GET", "/", {}, 200),
        ("GET", "/v1/models", {}, 401),
        ("POST", "/v1/messages", {}, 401),
        ("GET", "/v1/messages", _KEY, 405),
        ("POST", "/no/such", _KEY, 404),
        ("POST", "/v1/chat/completions", _KEY, 400),
        ("POST", "/v1/messages/count_tokens", _KEY, 400),
    ],
)
async def test_every_kind_of_answer_can_be_read_by_a_listed_origin(
    client: httpx2.AsyncClient, method: str, path: str, headers: dict[str, str], status: int
) -> None:
    answer = await client.request(method, path, headers={"origin": _ORIGIN} | headers)

    assert (status, _ORIGIN) == (answer.status_code, answer.headers["access-control-allow-origin"])
    assert "origin" == answer.headers["vary"]
    assert "request-id" in answer.headers["access-control-expose-headers"]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("model", ["glm-5.1", "sim:error=1211"])
@pytest.mark.parametrize("dialect", [OPENAI, ANTHROPIC])
async def test_so_can_what_the_upstream_said(
    client: httpx2.AsyncClient, dialect: WireFormat, model: str, stream: bool
) -> None:
    answer = await client.post(
        PATH[dialect], json=small(dialect, model, stream=stream), headers={"origin": _ORIGIN} | _KEY
    )

    assert (404 if "error" in model else 200) == answer.status_code
    assert _ORIGIN == answer.headers["access-control-allow-origin"]


@pytest.mark.parametrize(
    "origin",
    ["https://app.example.evil", "http://app.example", "https://APP.example", "null", "https://app.example:444"],
)
async def test_other_origins_get_the_answer_without_the_leave_to_read_it(
    client: httpx2.AsyncClient, origin: str
) -> None:
    for answer in (
        await client.options("/v1/messages", headers={"origin": origin}),
        await client.get("/v1/models", headers={"origin": origin} | _KEY),
    ):
        assert not [name for name in answer.headers if name.startswith("access-control")]


async def test_any_origin_can_be_allowed() -> None:
    server = {"port": 0, "admin_port": 0, "host": "127.0.0.1", "cors_origins": ("*",)}
    async with running_gateway(server=server) as gateway, client_of(gateway) as made:
        answer = await made.get("/v1/models", headers={"origin": "null"})

    assert "null" == answer.headers["access-control-allow-origin"]
