"""Our own faults say what to do next."""

import pytest

from services.gateway.translation import own_faults
from services.gateway.translation.errors import error_body
from services.gateway.translation.fault import Action, Fault
from services.gateway.wire.formats import WireFormat


@pytest.mark.parametrize(
    ("fault", "status", "says"),
    [
        (own_faults.unauthenticated("Missing API key."), 401, "Missing API key."),
        (
            own_faults.not_found_model("gpt-9", ["glm-4.6", "glm-5"]),
            404,
            "`gpt-9` is not listed; known are glm-4.6, glm-5",
        ),
        (own_faults.not_found_model("gpt-9", []), 404, "`gpt-9` is not listed."),
        (
            own_faults.method_not_allowed("GET", "/v1/messages", ["POST"]),
            405,
            "/v1/messages does not take GET; use POST.",
        ),
        (own_faults.model_not_allowed("glm-5.2"), 403, "may not use the model `glm-5.2`"),
        (own_faults.bad_request("n: must be 1", "n", "unsupported"), 400, "n: must be 1"),
        (own_faults.bad_request("too many headers", status=431), 431, "too many headers"),
        (own_faults.too_large(1024), 413, "larger than 1024 bytes"),
        (own_faults.too_large(), 413, "`limits.body`"),
        (own_faults.unsupported_encoding("gzip"), 415, "`gzip`"),
        (own_faults.overloaded(2.0), 429, "try again shortly"),
        (own_faults.overloaded(2.0, "This key has 8 streams open."), 429, "8 streams"),
        (own_faults.draining(1.0), 503, "shutting down"),
        (own_faults.misconfigured("Set `startPlan.jwt`."), 500, "startPlan.jwt"),
        (own_faults.internal("req_1"), 500, "request id req_1"),
        (own_faults.unreachable("refused"), 502, "refused"),
        (own_faults.unreachable("no slot", 503), 503, "no slot"),
        (own_faults.timeout("No first byte in 300 s."), 504, "300 s"),
    ],
)
def test_each_fault_has_its_status_and_says_what_is_wrong(fault: Fault, status: int, says: str) -> None:
    assert fault.status == status
    assert says in fault.message


@pytest.mark.parametrize("fmt", list(WireFormat))
def test_b151_an_unknown_route_and_bad_json_and_a_missing_field_come_in_the_endpoints_dialect(fmt: WireFormat) -> None:
    for fault in (
        own_faults.not_found_route("/v1/nowhere"),
        own_faults.bad_request("The request body is not valid JSON.", None, "invalid_json"),
        own_faults.bad_request("model: Field required", "model"),
    ):
        status, headers, body = error_body(fmt, fault, "req_1")
        assert status == fault.status
        assert dict(headers)[b"content-type"] == b"application/json"
        assert b'"detail"' not in body
        assert body.startswith(b'{"type":"error","error":{' if fmt is WireFormat.ANTHROPIC else b'{"error":{"message":')


@pytest.mark.parametrize(
    ("path", "right"),
    [
        ("/v1/v1/messages", "did you mean /v1/messages?"),
        ("/messages", "did you mean /v1/messages?"),
        ("/v1/v1/messages/count_tokens", "did you mean /v1/messages/count_tokens?"),
        ("/chat/completions", "did you mean /v1/chat/completions?"),
        ("/api/v1/chat/completions/", "did you mean /v1/chat/completions?"),
        ("/models", "did you mean /v1/models?"),
        ("/responses", "did you mean /v1/responses?"),
        ("/v1/responses/", "did you mean /v1/responses?"),
    ],
)
def test_a_base_url_with_a_segment_too_many_or_too_few_is_told_the_right_path(path: str, right: str) -> None:
    assert right in own_faults.not_found_route(path).message


@pytest.mark.parametrize("path", ["/v1/messages/batches", "/v1/files", "/v1/embeddings", "/v1/complete"])
def test_an_endpoint_of_the_vendors_that_is_not_served_is_called_unsupported(path: str) -> None:
    fault = own_faults.not_found_route(path)

    assert "not supported" in fault.message
    assert "POST /v1/messages" in fault.message


@pytest.mark.parametrize("path", ["resp_1", "resp_1/cancel", "resp_1/input_items", "compact", "input_tokens"])
def test_what_would_need_a_stored_response_is_told_that_none_is(path: str) -> None:
    fault = own_faults.not_found_route(f"/v1/responses/{path}")

    assert (404, "unknown_url") == (fault.status, fault.code)
    assert "no response is stored" in fault.message
    assert "Send the whole conversation in `input`" in fault.message


def test_any_other_path_is_told_what_there_is() -> None:
    assert "GET /v1/models" in own_faults.not_found_route("/admin").message
    assert "did you mean" not in own_faults.not_found_route("/v1/messages").message


def test_what_may_be_tried_again_says_so_and_when() -> None:
    busy, leaving = own_faults.overloaded(2.0), own_faults.draining(1.0)

    assert (busy.retry_after, busy.should_retry) == (2.0, True)
    assert (leaving.retry_after, leaving.should_retry, leaving.anthropic_status) == (1.0, True, 529)
    assert own_faults.unreachable("x").action is Action.RETRY
    assert own_faults.timeout("x").action is Action.PASS
    assert own_faults.misconfigured("x", "code_word").code == "code_word"
