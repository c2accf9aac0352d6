"""Which callbacks count, one line of the table after the other."""

import pytest

from services.chassis.secret import Secret
from services.credentials.oauth.callback import Accepted, CallbackRequest, Rejected, judge, judge_pasted
from services.credentials.oauth.steps import Expected

HOST = "127.0.0.1:4711"
EXPECTED = Expected(address=f"http://{HOST}/oauth/callback/zai", state=Secret("right"), issuer="https://login.test")
PASTE = Expected(address="https://zcode.z.ai/app/oauth/login", state=Secret("right"), issuer="https://login.test")


def request(
    target: str = "/oauth/callback/zai?code=c0de&state=right", method: str = "GET", **headers: str
) -> CallbackRequest:
    given = {"host": HOST} | {name.replace("_", "-"): value for name, value in headers.items()}
    return CallbackRequest(method, target, list(given.items()))


@pytest.mark.parametrize(
    "target",
    [
        "/oauth/callback/zai?code=c0de&state=right",
        "/oauth/callback/zai?authCode=c0de&state=right",
        "/oauth/callback/zai?state=right&authCode=c0de&code=c0de",
        "/oauth/callback/zai?state=right&code=c0de&iss=https%3A%2F%2Flogin.test%2F",
        "/oauth/callback/zai?state=right&code=c0de&redirect=https%3A%2F%2Fevil.test",
    ],
)
def test_the_right_callback_gives_its_code(target: str) -> None:
    assert judge(request(target), EXPECTED) == Accepted(Secret("c0de"))


def test_a_browsers_navigation_is_let_in() -> None:
    asked = request(sec_fetch_mode="navigate", sec_fetch_dest="document", sec_fetch_site="cross-site")

    assert isinstance(judge(asked, EXPECTED), Accepted)


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        (request(method="POST"), 405),
        (request(method="HEAD"), 405),
        (request(host="localhost:4711"), 403),
        (request(host="127.0.0.1"), 403),
        (request(host="127.0.0.1:4712"), 403),
        (request(host="evil.test"), 403),
        (CallbackRequest("GET", "/oauth/callback/zai?code=c0de&state=right", []), 403),
        (CallbackRequest("GET", "/oauth/callback/zai?code=c0de&state=right", [("host", HOST), ("host", HOST)]), 403),
        (request(sec_fetch_mode="no-cors"), 403),
        (request(sec_fetch_mode="navigate", sec_fetch_dest="iframe"), 403),
        (request(sec_fetch_dest="image"), 403),
        (request("/oauth/callback/bigmodel?code=c0de&state=right"), 404),
        (request("/oauth/callback/zai/?code=c0de&state=right"), 404),
        (request("//evil.test/oauth/callback/zai?code=c0de&state=right"), 404),
        (request("/?code=c0de&state=right"), 404),
        (request(f"http://{HOST}/oauth/callback/zai?code=c0de&state=right"), 404),
        (request("/oauth/callback/zai?code=c0de&state=wrong"), 400),
        (request("/oauth/callback/zai?code=c0de&state="), 400),
        (request("/oauth/callback/zai?code=c0de"), 400),
        (request("/oauth/callback/zai"), 400),
        (request("/oauth/callback/zai?code=c0de&state=right&state=right"), 400),
        (request("/oauth/callback/zai?code=c0de&state=r%FFght"), 400),
        (request("/oauth/callback/zai?code=c0de&state=r\u00efght"), 400),
        (request("/oauth/callback/zai?state=right"), 400),
        (request("/oauth/callback/zai?state=right&code="), 400),
        (request("/oauth/callback/zai?state=right&error=access_denied"), 400),
        (request("/oauth/callback/zai?state=right&code=a&code=b"), 400),
        (request("/oauth/callback/zai?state=right&code=a&authCode=b"), 400),
        (request("/oauth/callback/zai?state=right&code=a%0D%0Ab"), 400),
        (request("/oauth/callback/zai?state=right&code=%C3%A4"), 400),
        (request("/oauth/callback/zai?state=right&code=" + "a" * 5000), 400),
        (request("/oauth/callback/zai?state=right&code=a&iss=https%3A%2F%2Fevil.test"), 400),
        (request("/oauth/callback/zai?state=right&code=a&iss=https%3A%2F%2F%5B"), 400),
        (request("/oauth/callback/zai?state=right&code=a" + "&x=y" * 40), 400),
    ],
)
def test_anything_else_is_refused_and_says_nothing_of_it(asked: CallbackRequest, status: int) -> None:
    verdict = judge(asked, EXPECTED)

    assert isinstance(verdict, Rejected)
    assert verdict.status == status
    assert "c0de" not in verdict.why


@pytest.mark.parametrize(
    "line",
    [
        " https://zcode.z.ai/app/oauth/login?redirect=zcode%3A%2F%2Foauth%2Fcallback&app_version=3&code=c0de&state=right\n",
        "zcode://oauth/callback?authCode=c0de&state=right",
    ],
)
def test_a_pasted_address_gives_its_code(line: str) -> None:
    assert judge_pasted(line, PASTE) == Accepted(Secret("c0de"))


def test_the_address_of_the_loopback_listener_can_be_pasted_from_another_machine() -> None:
    assert judge_pasted(f"http://{HOST}/oauth/callback/zai?code=c0de&state=right", EXPECTED) == Accepted(Secret("c0de"))


@pytest.mark.parametrize(
    ("line", "status"),
    [
        ("c0de", 404),
        ("https://evil.test/app/oauth/login?code=c0de&state=right", 404),
        ("https://zcode.z.ai@evil.test/app/oauth/login?code=c0de&state=right", 404),
        ("http://zcode.z.ai/app/oauth/login?code=c0de&state=right", 404),
        ("https://[zcode", 400),
        ("https://zcode.z.ai/app/oauth/login?code=c0de&state=wrong", 400),
        ("https://zcode.z.ai/app/oauth/login?state=right", 400),
    ],
)
def test_any_other_pasted_text_is_refused(line: str, status: int) -> None:
    verdict = judge_pasted(line, PASTE)

    assert isinstance(verdict, Rejected)
    assert verdict.status == status
