"""At the lowest level every request says what it was asked, without what makes a key."""

import logging

import pytest

from services.gateway.debugged import DebuggedRoute
from services.gateway.inbound import Inbound


async def test_headers_are_named_and_only_harmless_ones_are_shown(caplog: pytest.LogCaptureFixture) -> None:
    served: list[Inbound] = []

    async def route(inbound: Inbound) -> None:
        served.append(inbound)

    headers = {
        b"x-api-key": b"secret-of-the-client",
        b"authorization": b"Bearer secret-of-the-client",
        b"cookie": b"a=secret",
        b"user-agent": b"claude-cli/2",
        b"x-stainless-lang": b"js",
        b"anthropic-beta": b"Bearer abcdefghijklmnop-and-more",
    }
    inbound = Inbound("POST", "/v1/messages", headers, 0.0)
    with caplog.at_level(logging.DEBUG, "zcode.headers"):
        await DebuggedRoute(route)(inbound)

    shown = caplog.records[0].fields  # type: ignore[attr-defined]  # what our formatters read
    assert [inbound] == served
    assert {
        "x-api-key": "[20 bytes]",
        "authorization": "[27 bytes]",
        "cookie": "[8 bytes]",
        "user-agent": "claude-cli/2",
        "x-stainless-lang": "js",
        "anthropic-beta": "[redacted]",
    } == shown["headers"]
    assert inbound.request_id == shown["request_id"]
