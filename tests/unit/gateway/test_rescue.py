"""Failures become answers in the dialect of the path, and tell nothing that is not meant to be told."""

import json
import logging

import pytest

from services.chassis.process import Tasks
from services.gateway.downstream import AsgiDownstream, BodyTooLarge
from services.gateway.errors import NotFound
from services.gateway.rescue import dialect_of_path, fault_of_exception, speaks_anthropic, write_error
from services.gateway.translation.own_faults import bad_request, not_found_route
from services.gateway.translation.refusal import TranslationError
from services.gateway.wire.formats import WireFormat
from tests.support.asgi_end import AsgiEnd

OPENAI, ANTHROPIC = WireFormat.OPENAI, WireFormat.ANTHROPIC


@pytest.mark.parametrize(
    ("path", "dialect"),
    [
        ("/v1/messages", ANTHROPIC),
        ("/v1/messages/count_tokens", ANTHROPIC),
        ("/v1/messages/batches/x", ANTHROPIC),
        ("/v1/v1/messages", ANTHROPIC),
        ("/v1/complete", ANTHROPIC),
        ("/anthropic/v1/models", ANTHROPIC),
        ("/v1/chat/completions", OPENAI),
        ("/v1/v1/chat/completions", OPENAI),
        ("/v1/models", OPENAI),
        ("/v1/models/x", OPENAI),
        ("/messages", OPENAI),
        ("/", OPENAI),
        ("", OPENAI),
    ],
)
def test_a_path_has_a_dialect(path: str, dialect: WireFormat) -> None:
    assert dialect is dialect_of_path(path)
    assert dialect is dialect_of_path(path, {})


@pytest.mark.parametrize("name", [b"anthropic-version", b"x-api-key"])
def test_a_path_that_both_share_goes_by_the_headers(name: bytes) -> None:
    headers = {name: b"x"}

    assert speaks_anthropic(headers)
    assert ANTHROPIC is dialect_of_path("/v1/models", headers)
    assert ANTHROPIC is dialect_of_path("/v1/models/x", headers)
    assert OPENAI is dialect_of_path("/v1/chat/completions", headers)
    assert not speaks_anthropic({b"authorization": b"Bearer x"})


def test_a_failure_that_was_foreseen_brings_its_own_words() -> None:
    fault = not_found_route("/x")

    assert fault is fault_of_exception(NotFound(fault), "id")


def test_a_refused_translation_names_the_field() -> None:
    fault = fault_of_exception(TranslationError("n: only 1", param="n", code="unsupported", status=422), "id")

    assert (422, "n", "unsupported", "n: only 1") == (fault.status, fault.param, fault.code, fault.message)


def test_a_body_that_is_too_large_names_the_limit() -> None:
    fault = fault_of_exception(BodyTooLarge(17), "id")

    assert (413, "request_too_large") == (fault.status, fault.code)
    assert "17 bytes" in fault.message


def _fail(prompt: str) -> None:
    raise ValueError(prompt)


def test_of_an_unforeseen_failure_the_log_gets_the_frames_and_nobody_gets_the_message(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with pytest.raises(ValueError, match="somebody") as failure:
        _fail("the prompt of " + "somebody")
    fault = fault_of_exception(failure.value, "request-1")

    assert (500, "internal_error") == (fault.status, fault.code)
    assert "request-1" in fault.message
    [record] = caplog.records
    assert logging.ERROR == record.levelno
    assert "ValueError" in record.getMessage()
    assert "test_rescue.py" in record.getMessage()
    assert "prompt of somebody" not in fault.message + caplog.text


async def test_an_error_is_one_whole_answer() -> None:
    end = AsgiEnd("POST", "/v1/messages")
    client = AsgiDownstream(end.receive, end.send, Tasks())

    status = write_error(client, ANTHROPIC, bad_request("no", status=422), "id-1", ((b"allow", b"POST"),))

    assert (422, 422, True) == (status, end.status, end.whole)
    assert ("POST", "id-1", str(len(end.body))) == (
        end.header("allow"),
        end.header("request-id"),
        end.header("content-length"),
    )
    assert "no" == json.loads(end.body)["error"]["message"]
    assert client.finished
