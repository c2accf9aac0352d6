"""
What the page refuses (promises.md P-54): other origins, frames, missing and used tickets, other accounts, old links.

Shown to fail once by: comparing no Origin; taking any Sec-Fetch-Site; using no ticket up; binding a ticket to nothing;
letting a link in twice; sending no frame-ancestors.
"""

import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from services.captcha.page.headers import FIXED
from services.captcha.passes import LINK_LIFE
from services.captcha.settings import CaptchaSettings
from tests.support.captcha import RunningCaptcha, running_captcha
from tests.support.promises import show

ACCOUNT = "configured"


class Browser:
    """A client that sends what a browser sends from our page, unless told otherwise."""

    def __init__(self, running: RunningCaptcha, http: httpx2.AsyncClient) -> None:
        self.running = running
        self.http = http
        self.cookie = ""

    async def sign_in(self) -> None:
        answer = await self.post("/captcha/session", {"link": self.code()})
        assert answer.status_code == 204, answer.text
        self.cookie = answer.headers["set-cookie"].partition(";")[0]

    def code(self, now: float | None = None) -> str:
        return self.running.link(now).partition("#")[2]

    async def ticket(self) -> str:
        answer = await self.get("/captcha/state")
        ticket: str = answer.json()["ticket"]
        return ticket

    async def get(self, path: str, **headers: str | None) -> httpx2.Response:
        self.http.cookies.clear()  # what is sent is in the headers, and nothing else
        given = {"cookie": self.cookie, "sec-fetch-site": "same-origin"}
        return await self.http.get(path, headers=_merged(given, headers))

    async def post(self, path: str, body: Any, **headers: str | None) -> httpx2.Response:
        self.http.cookies.clear()
        given = {"cookie": self.cookie, "sec-fetch-site": "same-origin", "origin": self.running.url}
        merged = _merged(given | {"content-type": "application/json"}, headers)
        if isinstance(body, bytes):
            return await self.http.post(path, content=body, headers=merged)
        return await self.http.post(path, content=json.dumps(body).encode(), headers=merged)

    async def hand_in(self, param: str = "param", account: str = ACCOUNT, **headers: str | None) -> httpx2.Response:
        given: dict[str, str | None] = {"x_ticket": await self.ticket()}
        return await self.post("/captcha/tokens", {"account": account, "param": param}, **(given | headers))


def _merged(given: dict[str, str], changes: dict[str, str | None]) -> dict[str, str]:
    new = {name.replace("_", "-"): value for name, value in changes.items()}
    return {name: value for name, value in (given | new).items() if value}


@pytest.fixture
async def browser(tmp_path: Path) -> AsyncIterator[Browser]:
    async with (
        running_captcha(tmp_path) as running,
        httpx2.AsyncClient(base_url=running.url, trust_env=False) as http,
    ):
        browser = Browser(running, http)
        await browser.sign_in()
        yield browser


async def test_what_a_page_of_ours_sends_is_taken(browser: Browser) -> None:
    answer = await browser.hand_in()

    assert (answer.status_code, len(answer.json()["state"]["lives"])) == (200, 1)


FOREIGN: list[dict[str, str | None]] = [
    *[{"origin": origin} for origin in ("https://evil.example", "null", None, "http://127.0.0.1", "http://127.0.0.1:1")],
    {"origin": "http://localhost.evil.example:{port}"},
    {"origin": "https://127.0.0.1:{port}"},
    {"origin": "{url}/"},
    {"origin": "{url}.evil.example"},
    *[{"sec_fetch_site": site} for site in ("cross-site", "same-site", "none", None, "same-origin, cross-site", "SAME")],
    {"origin": "https://evil.example", "sec_fetch_site": "cross-site"},
    *[{"host": host} for host in ("evil.example", "evil.example:{port}", "127.0.0.1", "127.0.0.1:1", "127.0.0.2:{port}")],
    *[{"cookie": cookie} for cookie in (None, "zrs=", "zrs=nonsense", "other={session}", "zrs={session}x")],
    {"cookie": "__Host-zrs={session}"},
    *[
        {"content_type": kind}
        for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", None)
    ],
    *[{"x_ticket": ticket} for ticket in (None, "nonsense", "a.b.c.d.e", "{used}", "{other_session}", "{other_account}")],
    {"x_ticket": "{link}"},
    {"x_ticket": "{session}"},
]  # fmt: skip
BODIES: list[Any] = [
    b"", b"{", b"[]", b'{"account":"configured"}', b'{"param":"x"}', b"account=configured&param=x",
    {"account": ACCOUNT, "param": "x", "more": 1},
    {"account": ACCOUNT, "param": "x", "how": "solver"},
    {"account": "crd_other", "param": "x"},
    {"account": "", "param": "x"},
    {"account": ACCOUNT, "param": ""},
    {"account": ACCOUNT, "param": "two\nlines"},
    {"account": ACCOUNT, "param": "x" * 8193},
    {"account": ACCOUNT, "param": "é"},
]  # fmt: skip


async def _values(browser: Browser) -> dict[str, str]:
    """Return what the cases above are filled in with, each good for something else."""
    used = await browser.ticket()
    assert (await browser.hand_in("first", x_ticket=used)).status_code == 200
    passes, now = browser.running.passes, time.time()
    mine = passes.read_session(browser.cookie.partition("=")[2], now)
    other = passes.read_session(passes.session("zai", now, 60), now)
    assert mine is not None
    assert other is not None
    return {
        "port": str(browser.running.server.port),
        "url": browser.running.url,
        "session": browser.cookie.partition("=")[2],
        "used": used,
        "other_session": passes.ticket(other, ACCOUNT, now),
        "other_account": passes.ticket(mine, "crd_other", now),
        "link": browser.code(),
    }


@pytest.mark.promise("P-54")
async def test_no_foreign_or_repeated_post_is_taken(browser: Browser) -> None:
    values = await _values(browser)
    accepted = []
    for number, headers in enumerate(FOREIGN):
        filled = {name: None if value is None else value.format(**values) for name, value in headers.items()}
        answer = await browser.hand_in(f"param-{number}", **filled)
        accepted += [headers] if answer.status_code < 400 else []
        assert "access-control-allow-origin" not in answer.headers
    for body in BODIES:
        answer = await browser.post("/captcha/tokens", body, x_ticket=await browser.ticket())
        accepted += [body] if answer.status_code < 400 else []
    show("P-54", len(FOREIGN) + len(BODIES), len(accepted))

    assert len(FOREIGN) + len(BODIES) >= 50
    assert accepted == []
    assert len((await browser.running.bank.standing(ACCOUNT)).lives) == 1


@pytest.mark.promise("P-54")
async def test_a_link_lets_one_browser_in_within_ten_minutes(browser: Browser) -> None:
    code = browser.code()
    statuses = [(await browser.post("/captcha/session", {"link": code})).status_code for _ in range(2)]
    old = await browser.post("/captcha/session", {"link": browser.code(time.time() - LINK_LIFE - 1)})
    before = await browser.post("/captcha/session", {"link": browser.code(time.time() - 500)})

    assert statuses == [204, 403]
    assert (old.status_code, old.json()["code"]) == (403, "link")
    assert (before.status_code, before.json()["code"]) == (403, "link_used")  # the memory's start is not that long ago


@pytest.mark.promise("P-54")
@pytest.mark.parametrize(
    "headers", [{"origin": "https://evil.example"}, {"sec_fetch_site": "cross-site"}, {"content_type": "text/plain"}]
)
async def test_nobody_else_signs_a_browser_in(browser: Browser, headers: dict[str, str | None]) -> None:
    code = browser.code()
    refused = await browser.post("/captcha/session", {"link": code}, **headers)

    assert refused.status_code in (403, 415)
    assert "set-cookie" not in refused.headers
    assert (await browser.post("/captcha/session", {"link": code})).status_code == 204  # it was not used up


@pytest.mark.promise("P-54")
@pytest.mark.parametrize("path", ["/captcha/state", "/captcha/events"])
@pytest.mark.parametrize("headers", [{"cookie": None}, {"sec_fetch_site": "cross-site"}, {"host": "evil.example"}])
async def test_nothing_is_told_to_strangers(browser: Browser, path: str, headers: dict[str, str | None]) -> None:
    answer = await browser.get(path, **headers)

    assert answer.status_code in (401, 403, 421)
    assert ACCOUNT not in answer.text


@pytest.mark.promise("P-54")
@pytest.mark.parametrize(
    "path",
    ["/captcha", "/captcha/page.js", "/captcha/page.css", "/captcha/state", "/captcha/nowhere", "/", "/favicon.ico"],
)
async def test_every_answer_carries_the_headers(browser: Browser, path: str) -> None:
    answer = await browser.get(path)

    assert {name: answer.headers.get(name) for name in FIXED} == FIXED
    assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
    assert not [name for name in answer.headers if name.startswith("access-control-")]


async def test_the_page_names_the_hosts_and_a_fresh_nonce(browser: Browser) -> None:
    pages = [await browser.get("/captcha") for _ in range(2)]
    policies = [page.headers["content-security-policy"] for page in pages]
    nonces = [policy.partition("'nonce-")[2].partition("'")[0] for policy in policies]

    assert len(set(nonces)) == 2
    assert f'nonce="{nonces[0]}"' in pages[0].text
    assert "https://*.alicdn.com" in policies[0]
    assert "unsafe-eval" not in policies[0]


async def test_a_page_with_tls_has_a_cookie_for_its_host_alone(tmp_path: Path) -> None:
    origin = "https://captcha.example.org"
    async with (
        running_captcha(tmp_path, CaptchaSettings(origin=origin)) as running,
        httpx2.AsyncClient(base_url=running.url, trust_env=False) as http,
    ):
        code = running.link().partition("#")[2]
        headers = {"host": "captcha.example.org", "origin": origin, "sec-fetch-site": "same-origin"}
        answer = await http.post("/captcha/session", json={"link": code}, headers=headers)

    assert answer.headers["set-cookie"].startswith("__Host-zrs=")
    assert answer.headers["set-cookie"].endswith("Path=/; Max-Age=43200; HttpOnly; SameSite=Strict; Secure")
    assert answer.headers["strict-transport-security"] == "max-age=31536000"


async def test_a_token_is_taken_as_it_is_and_once(browser: Browser) -> None:
    first, again = await browser.hand_in("eyJ+/=.~"), await browser.hand_in(" eyJ+/=.~\n")

    assert (first.status_code, again.status_code, again.json()["code"]) == (200, 409, "seen")


async def test_troubles_are_counted(browser: Browser) -> None:
    for kind, status in (("F001", 200), ("made up", 400)):
        answer = await browser.post(
            "/captcha/troubles", {"account": ACCOUNT, "kind": kind}, x_ticket=await browser.ticket()
        )
        assert answer.status_code == status
    registry = browser.running.service.registry

    assert registry.get_sample_value("zcode_captcha_page_events_total", {"event": "F001"}) == 1
