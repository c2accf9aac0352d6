"""Faults as clients of each dialect are told them: as a body, or as an event of a stream."""

import msgspec
import pytest

from services.gateway.translation.errors import client_status, error_body, error_event
from services.gateway.translation.fault import Fault
from services.gateway.wire.formats import WireFormat
from tests.support.dialects import ANTHROPIC, OPENAI
from tests.support.responses_validator import check_responses_stream


def test_an_openai_body_has_the_four_fields_and_the_headers() -> None:
    fault = Fault(status=400, message="no", param="messages.3", code="bad", upstream_status=400, upstream_code="1214\n")

    status, headers, body = error_body(OPENAI, fault, "req_1")
    assert status == 400
    assert body == b'{"error":{"message":"no","type":"invalid_request_error","param":"messages.3","code":"bad"}}'
    assert headers == [
        (b"content-type", b"application/json"),
        (b"request-id", b"req_1"),
        (b"x-request-id", b"req_1"),
        (b"x-zcode-upstream-status", b"400"),
        (b"x-zcode-upstream-code", b"1214"),
    ]


def test_an_anthropic_body_has_its_envelope() -> None:
    fault = Fault(status=503, anthropic_status=529, message="busy", retry_after=0.2, should_retry=True)

    status, headers, body = error_body(ANTHROPIC, fault, "req_1")
    assert status == 529
    assert body == b'{"type":"error","error":{"type":"overloaded_error","message":"busy"},"request_id":"req_1"}'
    assert headers[3:] == [(b"retry-after", b"1"), (b"x-should-retry", b"true")]


def test_types_that_a_fault_names_win_over_those_of_its_status() -> None:
    fault = Fault(status=503, message="m", openai_type="x_error", anthropic_type="y_error")

    assert b'"x_error"' in error_body(OPENAI, fault, "r")[2]
    assert b'"y_error"' in error_body(ANTHROPIC, fault, "r")[2]


@pytest.mark.parametrize(("status", "seen"), [(402, 429), (529, 503)])
def test_an_openai_client_never_sees_a_status_that_it_does_not_know(status: int, seen: int) -> None:
    assert client_status(OPENAI, Fault(status=status, message="m")) == seen


def test_an_error_in_a_stream_is_one_frame_and_no_done() -> None:
    fault = Fault(status=529, message="two\nlines")

    assert error_event(ANTHROPIC, fault, "r") == (
        b'event: error\ndata: {"type":"error","error":{"type":"overloaded_error","message":"two\\nlines"},"request_id":"r"}\n\n'
    )
    assert error_event(OPENAI, fault, "r") == (
        b'data: {"error":{"message":"two\\nlines","type":"server_error","param":null,"code":null}}\n\n'
    )


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (Fault(status=400, message="m", code="context_length_exceeded", param="input"), "context_length_exceeded"),
        (Fault(status=402, message="m", code="insufficient_quota"), "insufficient_quota"),
        (Fault(status=429, message="m"), "rate_limit_exceeded"),
        (Fault(status=502, message="m"), "server_error"),
    ],
)
def test_a_response_that_never_began_fails_in_two_events(fault: Fault, code: str) -> None:
    seen = check_responses_stream(error_event(WireFormat.RESPONSES, fault, "r"))

    assert seen.error is not None
    assert seen.error["param"] == fault.param
    last = msgspec.json.decode(error_event(WireFormat.RESPONSES, fault, "r").rpartition(b"data: ")[2])
    assert last["response"]["error"] == {"code": code, "message": "m"}
    assert last["response"]["id"] == "resp_r"
