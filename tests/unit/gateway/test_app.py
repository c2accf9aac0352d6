"""The gateway is put together from its settings, once, and nothing is left over."""

import msgspec
import pytest

from services.chassis.secret import Secret
from services.gateway.app import create_gateway, this_platform
from services.gateway.settings import AuthSettings, GatewaySettings, UpstreamSettings
from services.gateway.upstream.httpx_transport import HttpxTransport
from services.gateway.upstream.pooled import PooledTransport
from tests.support.asgi_end import AsgiEnd
from tests.support.clock import ManualClock


@pytest.mark.parametrize(
    ("upstream", "kind"),
    [
        (UpstreamSettings(), PooledTransport),
        (UpstreamSettings(transport="httpx"), HttpxTransport),
        (UpstreamSettings(proxy="proxy.example:3128"), HttpxTransport),
        (UpstreamSettings(proxy="proxy.example:3128", no_proxy=("api.z.ai",)), PooledTransport),
    ],
)
async def test_the_transport_is_the_one_the_settings_call_for(upstream: UpstreamSettings, kind: type) -> None:
    gateway = create_gateway(GatewaySettings(upstream=upstream))

    assert kind is type(gateway.transport)
    await gateway.transport.aclose()


async def test_it_listens_to_the_client_key_of_the_settings() -> None:
    settings = GatewaySettings(auth=AuthSettings(proxy_api_key=Secret("k")))
    for headers, status in (({}, 401), ({"x-api-key": "k"}, 200)):
        end = AsgiEnd("GET", "/v1/models", headers=headers)
        entry = create_gateway(settings).entry
        await entry(end.scope, end.receive, end.send)

        assert status == end.status


@pytest.mark.parametrize(
    ("method", "path", "status", "allow"),
    [
        ("GET", "/nope", 404, None),
        ("PUT", "/health", 405, "GET, HEAD, OPTIONS"),
        ("GET", "/v1/models?limit=x", 404, None),
    ],
)
async def test_what_the_framework_refuses_is_in_our_words(
    method: str, path: str, status: int, allow: str | None
) -> None:
    end = AsgiEnd(method, path)
    await create_gateway(GatewaySettings()).entry(end.scope, end.receive, end.send)

    assert (status, allow) == (end.status, end.header("allow"))
    assert {"message", "type", "param", "code"} == set(end.json["error"])


async def test_a_body_that_the_framework_cannot_read_is_a_400() -> None:
    end = AsgiEnd("GET", "/v1/models", headers={"anthropic-version": "x"})
    end.scope["query_string"] = b"limit=0"
    await create_gateway(GatewaySettings()).entry(end.scope, end.receive, end.send)

    assert (400, "invalid_request_error") == (end.status, end.json["error"]["type"])


async def test_gauges_are_read_from_the_living_parts() -> None:
    gateway = create_gateway(GatewaySettings(), clock=ManualClock())
    gateway.slots.take()
    values = {
        name: gateway.registry.get_sample_value(name)
        for name in ("zcode_requests_in_flight", "zcode_requests_waiting", "zcode_streams_open")
    }

    assert {"zcode_requests_in_flight": 1, "zcode_requests_waiting": 0, "zcode_streams_open": 0} == values
    for state in ("idle", "active", "waiting"):
        assert 0 == gateway.registry.get_sample_value("zcode_upstream_connections", {"state": state})


async def test_two_gateways_in_one_process_share_nothing() -> None:
    first, second = create_gateway(GatewaySettings()), create_gateway(GatewaySettings())

    assert first.registry is not second.registry
    assert all(getattr(first, name) is not getattr(second, name) for name in first.__struct_fields__)


def test_this_machine_is_named_as_node_names_it() -> None:
    platform = this_platform()

    assert platform.category in ("linux", "macos", "windows")
    assert platform.platform.split("-")[0] in ("linux", "darwin", "win32")
    assert all(msgspec.structs.astuple(platform))
