"""Counting is an estimate made here: right in shape, and refused in Anthropic's words."""

import pytest

from services.gateway.inbound import Inbound
from services.gateway.routes.count_tokens import CountTokensEndpoint
from tests.support.asgi_end import AsgiEnd

_BODY = b'{"model":"m","messages":[{"role":"user","content":"hi"}]}'


async def _asked(end: AsgiEnd, *, limit: int = 1000) -> Inbound:
    inbound = end.inbound(0.0)
    inbound.cors = ((b"vary", b"origin"),)
    await CountTokensEndpoint(body_limit=limit)(inbound)
    return inbound


async def test_it_counts() -> None:
    end = AsgiEnd("POST", "/v1/messages/count_tokens", body=(_BODY[:10], _BODY[10:]))
    inbound = await _asked(end)

    assert (200, {"input_tokens"}) == (end.status, set(end.json))
    assert end.json["input_tokens"] > 0
    assert (str(len(end.body)), inbound.request_id, inbound.request_id, "origin") == (
        end.header("content-length"),
        end.header("request-id"),
        end.header("x-request-id"),
        end.header("vary"),
    )


@pytest.mark.parametrize(("body", "limit", "status"), [(b"{", 1000, 400), (b"[]", 1000, 400), (_BODY, 10, 413)])
async def test_it_refuses(body: bytes, limit: int, status: int) -> None:
    end = AsgiEnd("POST", "/v1/messages/count_tokens", body=body)
    inbound = await _asked(end, limit=limit)

    assert (status, "error", inbound.request_id) == (end.status, end.json["type"], end.json["request_id"])


async def test_a_client_that_leaves_gets_nothing() -> None:
    end = AsgiEnd("POST", "/v1/messages/count_tokens", body=_BODY)
    end.leave()
    await _asked(end)

    assert (0, []) == (end.status, end.parts)
