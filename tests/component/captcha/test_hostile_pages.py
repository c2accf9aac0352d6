"""
Pages of other origins in a real Chromium: they can neither frame the page nor make it bank a token (promises.md P-54).

Shown to fail once by: sending neither frame-ancestors nor X-Frame-Options; a SameSite=None cookie with no check of
Origin and Sec-Fetch-Site.
"""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Page, expect

from tests.component.captcha.browsing import ACCOUNT, open_page, ready
from tests.support.captcha import RunningCaptcha, running_captcha
from tests.support.serving import RunningServer, running_server

pytestmark = [pytest.mark.timeout(180), pytest.mark.promise("P-54")]


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[RunningCaptcha]:
    async with running_captcha(tmp_path) as running:
        yield running


@pytest.fixture
async def evil() -> AsyncIterator[RunningServer]:
    """A page of somebody else's, on another port: another origin, and to cookies the same site, which is worse."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        del receive
        assert scope["type"] == "http"
        headers = [(b"content-type", b"text/html")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"<!doctype html><title>evil</title><body></body>"})

    async with running_server(app, lifespan="off") as server:
        yield server


async def test_the_page_cannot_be_framed(page: Page, running: RunningCaptcha, evil: RunningServer) -> None:
    await open_page(page, running)
    await page.goto(evil.url)
    await page.evaluate(
        """(url) => new Promise((done) => {
            const frame = document.createElement("iframe");
            frame.onload = done;
            frame.src = url;
            document.body.append(frame);
        })""",
        f"{running.url}/captcha",
    )
    [frame] = page.frames[1:]

    assert not frame.url.startswith(running.url)  # an error page of the browser's own
    assert await frame.locator("#start").count() == 0


ATTACKS = {
    "fetch": """(given) => fetch(given.url, {method: "POST", credentials: "include", mode: "no-cors", body: given.body})
        .then(() => "sent", () => "stopped")""",
    "fetch as json": """(given) => fetch(given.url, {method: "POST", credentials: "include", body: given.body,
        headers: {"content-type": "application/json", "x-ticket": given.ticket}}).then(() => "sent", () => "stopped")""",
    "beacon": """(given) => navigator.sendBeacon(given.url, new Blob([given.body], {type: "text/plain"})) && "sent" """,
    "form": """(given) => {
        const form = document.createElement("form");
        form.method = "post"; form.enctype = "text/plain"; form.action = given.url;
        const input = document.createElement("input");
        input.name = given.body.slice(0, -1) + ',"x":"'; input.value = '"}';
        form.append(input); document.body.append(form); form.submit(); return "sent"; }""",
    "image": """(given) => { new Image().src = given.url; return "sent"; }""",
}


@pytest.mark.parametrize("attack", ATTACKS)
async def test_no_other_page_hands_in_a_token(
    page: Page, running: RunningCaptcha, evil: RunningServer, attack: str
) -> None:
    """The attacker even knows a good ticket."""
    await open_page(page, running)
    answers: list[int] = []
    page.on("response", lambda answer: answers.append(answer.status) if "/captcha/tokens" in answer.url else None)
    ticket = await page.evaluate("fetch('/captcha/state').then((a) => a.json()).then((a) => a.ticket)")
    await page.goto(evil.url)
    body = f'{{"account":"{ACCOUNT}","param":"stolen"}}'
    given = {"url": f"{running.url}/captcha/tokens", "body": body, "ticket": ticket}
    await page.evaluate(ATTACKS[attack], given)
    await page.wait_for_load_state("networkidle")

    assert [status for status in answers if status < 400] == []
    assert (await running.bank.standing(ACCOUNT)).lives == ()


async def test_no_other_page_reads_the_state(page: Page, running: RunningCaptcha, evil: RunningServer) -> None:
    await open_page(page, running)
    await page.goto(evil.url)
    read = await page.evaluate(
        """(url) => fetch(url, {credentials: "include"}).then((a) => a.text(), () => "stopped")""",
        f"{running.url}/captcha/state",
    )

    assert read == "stopped"


async def test_the_widget_cannot_run_what_is_put_into_the_page(page: Page, running: RunningCaptcha) -> None:
    """Inline code, and code of hosts that are not listed, do not run on the page."""
    await open_page(page, running)
    await ready(page)
    ran = await page.evaluate(
        """async () => {
            const inline = document.createElement("script");
            inline.textContent = "window.ran = 'inline'";
            document.body.append(inline);
            document.body.insertAdjacentHTML("beforeend", "<img src=x onerror=\\"window.ran = 'handler'\\">");
            const url = URL.createObjectURL(new Blob(["window.ran = 'blob'"], {type: "text/javascript"}));
            const blob = document.createElement("script");
            await new Promise((done) => { blob.onload = blob.onerror = done; blob.src = url; document.body.append(blob); });
            return window.ran ?? "nothing";
        }"""
    )

    assert ran == "nothing"
    await expect(page.locator("#problem")).to_be_visible()  # and the owner is told
