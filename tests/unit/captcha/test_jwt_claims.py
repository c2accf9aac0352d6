"""Reading a JWT's age."""

import base64

import pytest

from services.captcha.jwt_claims import issued_at


def jwt(body: bytes) -> str:
    return f"head.{base64.urlsafe_b64encode(body).decode().rstrip('=')}.signature"


def test_the_time_of_issue_is_read() -> None:
    assert issued_at(jwt(b'{"iat":1760000000,"sub":"x"}')) == 1_760_000_000


@pytest.mark.parametrize(
    "text",
    ["", "opaque", "a.b", "a.b.c.d", "a.!!!.c", "a.é.c", jwt(b"{}"), jwt(b"[]"), jwt(b'{"iat":"soon"}'), jwt(b"\xff")],
)
def test_what_says_nothing_gives_nothing(text: str) -> None:
    assert issued_at(text) is None
