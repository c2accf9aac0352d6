"""Routes come from settings alone, and the setting decides which format is spoken."""

import pytest

from services.gateway.routing import (
    InvalidBase,
    Plan,
    UpstreamFormat,
    UpstreamRoute,
    address,
    select_route,
    upstream_format,
)
from services.gateway.upstream.transport import Origin
from services.gateway.wire.formats import UPSTREAM_FORMATS, WireFormat

OPENAI, ANTHROPIC = WireFormat.OPENAI, WireFormat.ANTHROPIC


@pytest.mark.parametrize(
    ("base", "origin", "path"),
    [
        ("https://api.z.ai/api/anthropic", Origin("https", "api.z.ai", 443), b"/api/anthropic/v1/messages"),
        ("https://api.z.ai/api/anthropic//", Origin("https", "api.z.ai", 443), b"/api/anthropic/v1/messages"),
        ("http://127.0.0.1:8090", Origin("http", "127.0.0.1", 8090), b"/v1/messages"),
        ("http://[::1]:81/x", Origin("http", "::1", 81), b"/x/v1/messages"),
    ],
)
def test_a_base_and_a_suffix_make_an_address(base: str, origin: Origin, path: bytes) -> None:
    assert (origin, path) == address(base, "/v1/messages")


@pytest.mark.parametrize(
    "base", ["", "api.z.ai", "ftp://x/", "https://", "https://u@h/", "https://h/?q=1", "https://h/#f"]
)
def test_a_base_that_is_no_plain_url_is_refused(base: str) -> None:
    with pytest.raises(InvalidBase):
        address(base, "/v1/messages")


@pytest.mark.parametrize(
    ("setting", "client", "expected"),
    [
        (UpstreamFormat.ANTHROPIC, OPENAI, ANTHROPIC),
        (UpstreamFormat.ANTHROPIC, ANTHROPIC, ANTHROPIC),
        (UpstreamFormat.OPENAI, OPENAI, OPENAI),
        (UpstreamFormat.OPENAI, ANTHROPIC, OPENAI),
        (UpstreamFormat.NATIVE, OPENAI, OPENAI),
        (UpstreamFormat.NATIVE, ANTHROPIC, ANTHROPIC),
        (UpstreamFormat.AUTO, OPENAI, OPENAI),
        (UpstreamFormat.AUTO, ANTHROPIC, OPENAI),
    ],
)
def test_the_setting_decides_the_format(setting: UpstreamFormat, client: WireFormat, expected: WireFormat) -> None:
    assert expected == upstream_format(setting, client)


def test_auto_remembers_what_worked() -> None:
    assert ANTHROPIC == upstream_format(UpstreamFormat.AUTO, OPENAI, working=ANTHROPIC)


def test_a_route_is_looked_up_by_the_format_to_speak() -> None:
    routes = {
        wire: UpstreamRoute(
            provider="p",
            plan=Plan.CODING,
            format=wire,
            origin=Origin("https", "h", 443),
            path=b"/",
            auth_header=b"x-api-key",
            auth_prefix=b"",
        )
        for wire in UPSTREAM_FORMATS
    }

    assert routes[ANTHROPIC] is select_route(routes, UpstreamFormat.ANTHROPIC, OPENAI)
    assert routes[OPENAI] is select_route(routes, UpstreamFormat.NATIVE, OPENAI)
    assert routes[OPENAI] is select_route(routes, UpstreamFormat.NATIVE, WireFormat.RESPONSES)
    assert routes[ANTHROPIC] is select_route(routes, UpstreamFormat.ANTHROPIC, WireFormat.RESPONSES)
    assert routes[OPENAI] is select_route(routes, UpstreamFormat.AUTO, WireFormat.RESPONSES)
