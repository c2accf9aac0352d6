"""The dialects as a test of the gateway speaks them: paths, small requests, and how their errors look."""

from typing import Any

import httpx2
import msgspec

from services.gateway.wire.formats import WireFormat
from tests.support.gateway import RunningGateway

OPENAI = WireFormat.OPENAI
ANTHROPIC = WireFormat.ANTHROPIC
RESPONSES = WireFormat.RESPONSES

PATH = {OPENAI: "/v1/chat/completions", ANTHROPIC: "/v1/messages", RESPONSES: "/v1/responses"}
UPSTREAM_PATH = {OPENAI: "/api/coding/paas/v4/chat/completions", ANTHROPIC: "/api/anthropic/v1/messages"}


def small(dialect: WireFormat, model: str = "glm-5.1", *, text: str = "hi", **fields: Any) -> dict[str, Any]:
    """Return a request that is whole and needs nothing changed but, for Anthropic, the cache breakpoint (M2)."""
    if dialect is RESPONSES:
        return {"model": model, "input": text} | fields
    asked = {"model": model, "messages": [{"role": "user", "content": text}]}
    return asked | ({"max_tokens": 64} if dialect is ANTHROPIC else {}) | fields


def client_of(gateway: RunningGateway, **headers: str) -> httpx2.AsyncClient:
    """Return a client of a running gateway that follows nothing and presents no key unless told to."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx2.AsyncClient(base_url=gateway.url, headers=named, timeout=20, trust_env=False)


class Shown(msgspec.Struct, frozen=True):
    """An error as a client reads it; `code` and `param` are OpenAI's."""

    type: str
    message: str
    code: str | None = None
    param: str | None = None
    resets_at: int | None = None  # Responses: of a limit that names its end


def error_in(dialect: WireFormat, answer: httpx2.Response) -> Shown:
    """Return the error of an answer, having checked that it is in this dialect and carries its ids."""
    check_ids(answer)
    assert answer.headers["content-type"].startswith("application/json")
    return error_of(dialect, answer.json(), answer.headers["request-id"])


def error_of(dialect: WireFormat, body: dict[str, Any], request_id: str) -> Shown:
    """Return the error of a body or an event, having checked its shape member by member."""
    error = body["error"]
    if dialect is ANTHROPIC:
        assert {"type", "error", "request_id"} == set(body)
        assert ("error", request_id) == (body["type"], body["request_id"])
        assert {"type", "message"} == set(error)
    else:
        assert {"error"} == set(body)
        assert {"message", "type", "param", "code"} == set(error) - ({"resets_at"} if dialect is RESPONSES else set())
    shown = msgspec.convert(error, Shown)
    assert shown.message
    return shown


def check_ids(answer: httpx2.Response) -> None:
    """Check that an answer has one id of ours, under both of its names."""
    assert 36 == len(answer.headers["request-id"])
    assert answer.headers["request-id"] == answer.headers["x-request-id"]
    assert 1 == len(answer.headers.get_list("request-id"))
