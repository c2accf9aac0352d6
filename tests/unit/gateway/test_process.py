"""What the gateway as a process listens on, and how its guard speaks."""

import json

import msgspec
import pytest

from services.chassis.secret import Secret
from services.gateway.app import create_gateway
from services.gateway.process import end_streams, guard_limits, listeners, write_guard_error
from services.gateway.settings import AuthSettings, GatewaySettings, LimitSettings, ServerSettings
from services.gateway.translation.fault import Fault


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        (b"/v1/chat/completions", 413, "request_too_large"),
        (b"/v1/models", 415, "unsupported_content_encoding"),
        (b"/v1/chat/completions", 431, "headers_too_large"),
        (b"/\xff", 400, None),
    ],
)
def test_the_guard_refuses_in_openais_words(path: bytes, status: int, code: str | None) -> None:
    headers, body = write_guard_error(path, status, "No.")

    named = dict(headers)
    assert 36 == len(named[b"request-id"])
    assert named[b"request-id"] == named[b"x-request-id"]
    assert {"message": "No.", "type": "invalid_request_error", "param": None, "code": code} == json.loads(body)["error"]


def test_the_guard_refuses_in_anthropics_words() -> None:
    headers, body = write_guard_error(b"/v1/messages", 413, "No.")

    assert {
        "type": "error",
        "error": {"type": "request_too_large", "message": "No."},
        "request_id": dict(headers)[b"request-id"].decode(),
    } == json.loads(body)


def test_no_two_refusals_have_one_id() -> None:
    assert write_guard_error(b"/", 400, "x")[0] != write_guard_error(b"/", 400, "x")[0]


def test_every_limit_of_a_connection_comes_from_the_settings() -> None:
    numbers = {
        "connections": 1,
        "request_line": 2,
        "headers": 3,
        "header_count": 4,
        "header_seconds": 5.0,
        "body": 6,
        "other_body": 7,
        "body_seconds": 8.0,
        "keep_alive": 9.0,
        "write_stall": 10.0,
    }
    limits = guard_limits(msgspec.structs.replace(LimitSettings(), **numbers))

    assert numbers == {name: getattr(limits, name) for name in numbers}
    assert (
        frozenset({b"/v1/messages", b"/v1/messages/count_tokens", b"/v1/chat/completions", b"/v1/responses"})
        == limits.body_paths
    )


@pytest.mark.parametrize(
    ("server", "auth", "public", "admin"),
    [
        (ServerSettings(), AuthSettings(), "127.0.0.1", "127.0.0.1"),
        (ServerSettings(), AuthSettings(proxy_api_key=Secret("k")), "0.0.0.0", "0.0.0.0"),  # noqa: S104  # the default
        (ServerSettings(host="10.0.0.1"), AuthSettings(), "10.0.0.1", "10.0.0.1"),
        (ServerSettings(host="10.0.0.1", admin_host="10.0.0.2"), AuthSettings(), "10.0.0.1", "10.0.0.2"),
    ],
)
async def test_two_ports_on_the_addresses_that_fit(
    server: ServerSettings, auth: AuthSettings, public: str, admin: str
) -> None:
    settings = GatewaySettings(server=server, auth=auth)
    first, second = listeners(settings, create_gateway(settings))

    assert (public, 8080, False) == (first.host, first.port, first.admin)
    assert (admin, 9090, True) == (second.host, second.port, second.admin)


async def test_all_in_one_keeps_the_admin_port_to_this_machine() -> None:
    settings = GatewaySettings(auth=AuthSettings(proxy_api_key=Secret("k")))

    assert "127.0.0.1" == listeners(settings, create_gateway(settings), admin_host="127.0.0.1")[1].host


async def test_at_the_deadline_every_stream_is_told_why() -> None:
    gateway = create_gateway(GatewaySettings())
    told: list[Fault] = []

    class Stream:
        def cut(self, fault: Fault) -> None:
            told.append(fault)

    gateway.keeper._streams.add(Stream())  # type: ignore[arg-type]  # all that the keeper asks of it here
    end_streams(gateway)
    gateway.keeper._streams.clear()

    assert [("gateway_draining", 503)] == [(fault.code, fault.status) for fault in told]
