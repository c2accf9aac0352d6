"""Problem documents as RFC 9457 has them."""

import json

import pytest

from services.chassis.problem import problem, title_of, write_problem


@pytest.mark.parametrize(("status", "title"), [(404, "Not Found"), (529, "Error"), (599, "Error")])
def test_a_title_is_the_registered_phrase(status: int, title: str) -> None:
    assert title_of(status) == title


def test_a_document_carries_its_status_and_our_code() -> None:
    assert json.loads(problem(409, "log in again", code="login_required")) == {
        "type": "about:blank",
        "title": "Conflict",
        "status": 409,
        "detail": "log in again",
        "code": "login_required",
    }
    assert "code" not in json.loads(problem(400, "no"))


def test_every_path_gets_the_same_document() -> None:
    headers, body = write_problem(b"/v1/messages", 413, "too large")

    assert headers == [(b"content-type", b"application/problem+json")]
    assert json.loads(body)["detail"] == "too large"
