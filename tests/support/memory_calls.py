"""Calls, routes and observations for tests of what serves a call, without a server around it."""

from typing import Any

from services.gateway.call import ClientCall
from services.gateway.guard import Caller
from services.gateway.observation import Observation
from services.gateway.routing import Plan, UpstreamRoute
from services.gateway.upstream.transport import Origin
from services.gateway.wire.formats import WireFormat
from tests.support.dialects import ANTHROPIC

BEGUN = 100.0  # monotonic seconds; long ago, wherever the test runs


def client_call(client: WireFormat, body: bytes = b"{}", **fields: Any) -> ClientCall:
    """Return a call as an endpoint makes it."""
    defaults: dict[str, Any] = {
        "model": "glm-5.1",
        "stream": False,
        "include_usage": False,
        "accept_encoding": None,
        "beta": None,
        "session": None,
        "request_id": b"req-1",
        "head": ((b"x-request-id", b"req-1"),),
    }
    return ClientCall(format=client, caller=Caller("key"), body=body, **(defaults | fields))


def upstream_route(upstream: WireFormat) -> UpstreamRoute:
    """Return a route to an upstream that speaks this."""
    return UpstreamRoute(
        provider="zai",
        plan=Plan.CODING,
        format=upstream,
        origin=Origin("http", "upstream.example", 80),
        path=b"/messages" if upstream is ANTHROPIC else b"/chat",
        auth_header=b"x-api-key" if upstream is ANTHROPIC else b"authorization",
        auth_prefix=b"" if upstream is ANTHROPIC else b"Bearer ",
    )


def observation(begun_at: float = BEGUN) -> Observation:
    """Return the observation of a call that has just come."""
    return Observation("POST", "/v1/x", "req-1", begun_at)
