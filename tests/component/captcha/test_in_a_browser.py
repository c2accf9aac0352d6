"""
The page in a real Chromium, against a stand-in for the provider's widget, used as a person would use it.

Shown to fail once by: telling open pages nothing when a request comes; keeping the old button of a widget that was set
up anew; never giving up on the widget; letting an overtaken answer replace a newer state.
"""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Page, expect

from services.captcha.settings import CaptchaSettings
from services.simulator.captcha import CaptchaBehaviour
from tests.component.captcha.browsing import (
    ACCOUNT,
    complains,
    open_page,
    ready,
    released,
    says,
    slide,
    waiting_request,
)
from tests.support.captcha import LaterClock, RunningCaptcha, running_captcha

pytestmark = pytest.mark.timeout(180)


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[RunningCaptcha]:
    async with running_captcha(tmp_path) as running:
        yield running


@pytest.fixture
async def impatient(tmp_path: Path) -> AsyncIterator[RunningCaptcha]:
    async with running_captcha(tmp_path, CaptchaSettings(sdk_load_ms=500)) as running:
        yield running


async def test_a_click_releases_a_waiting_request(page: Page, running: RunningCaptcha) -> None:
    await open_page(page, running)
    await says(page, "No token is wanted")
    await ready(page)
    waiting = waiting_request(running)
    await says(page, "A request is waiting")
    await expect(page).to_have_title("(1) Captcha wanted")
    await page.click("#start")

    assert await released(waiting) == running.simulator.captcha.issued[0]
    await says(page, "No token is wanted")
    await expect(page.locator("#good")).to_have_text("Thank you: the token is handed in.")
    await expect(page.locator("#handed")).to_have_text("1")
    await expect(page).to_have_title("Captcha for your start plan")


async def test_several_requests_take_several_clicks(page: Page, running: RunningCaptcha) -> None:
    await open_page(page, running)
    waiting = [waiting_request(running, number) for number in range(3)]
    await says(page, "3 requests are waiting")
    for left in (2, 1, 0):
        await ready(page)
        await page.click("#start")
        await says(page, f"{left} requests" if left > 1 else "A request" if left else "No token")
    await ready(page)
    assert await page.locator("[id^=aliyunCaptcha-]").count() == 1  # a page may hold one widget

    assert sorted([await released(each) for each in waiting]) == sorted(running.simulator.captcha.issued)


async def test_a_puzzle_is_solved_by_hand(page: Page, running: RunningCaptcha) -> None:
    running.simulator.captcha.behaviour = CaptchaBehaviour(widget="puzzle")
    await open_page(page, running)
    waiting = waiting_request(running)
    await ready(page)
    await page.click("#start")
    await slide(page, 0.3)
    assert not waiting.done()
    await slide(page)

    assert await released(waiting) in running.simulator.captcha.issued


async def test_the_keyboard_is_enough(page: Page, running: RunningCaptcha) -> None:
    running.simulator.captcha.behaviour = CaptchaBehaviour(widget="puzzle")
    await page.goto(f"{running.url}/captcha")
    await expect(page.locator("#signin")).to_be_visible()
    await _tab_to(page, "link")
    await page.keyboard.type(running.link())
    await page.keyboard.press("Enter")
    await ready(page)
    waiting = waiting_request(running)
    await says(page, "A request is waiting")
    await _tab_to(page, "start")
    await page.keyboard.press("Enter")
    await expect(page.get_by_label("Slide to 70")).to_be_focused()
    for _ in range(7):
        await page.keyboard.press("PageUp")

    assert await released(waiting) in running.simulator.captcha.issued
    await expect(page.locator("#start")).to_be_focused()


async def _tab_to(page: Page, wanted: str) -> None:
    for _ in range(20):
        await page.keyboard.press("Tab")
        if await page.evaluate("document.activeElement.id") == wanted:
            return
    raise AssertionError(f"the keyboard does not reach {wanted}")


@pytest.mark.parametrize(
    ("widget", "words"),
    [
        ("F001", "did not accept this attempt"),
        ("F008", "used already"),
        ("F014", "open for too long"),
        ("F019", "too old"),
        ("error", "reported an error: INIT_FAIL.*pasting"),
    ],
)
async def test_a_refusal_says_what_to_do_and_can_be_tried_again(
    page: Page, running: RunningCaptcha, widget: str, words: str
) -> None:
    running.simulator.captcha.change({"widget": widget})
    await open_page(page, running)
    for _ in range(2):
        await ready(page)
        await page.click("#start")
        await complains(page, words)
    event = {"event": widget}

    async with asyncio.timeout(30):
        while running.service.registry.get_sample_value("zcode_captcha_page_events_total", event) != 2:
            await asyncio.sleep(0.05)
    assert (await running.bank.standing(ACCOUNT)).lives == ()


@pytest.mark.parametrize("load", ["hang", "fail", "empty"])
async def test_a_widget_that_does_not_load_is_given_up_and_tried_again(
    page: Page, impatient: RunningCaptcha, load: str
) -> None:
    impatient.simulator.captcha.change({"load": load})
    await open_page(page, impatient)
    await complains(page, r"did not load. Is 127.0.0.1:\d+ reachable")
    impatient.simulator.captcha.change({"load": "ok"})
    waiting = waiting_request(impatient)
    await page.click("#retry")
    await ready(page)
    await expect(page.locator("#problem")).to_be_hidden()
    await page.click("#start")

    assert await released(waiting) in impatient.simulator.captcha.issued


async def test_a_slow_widget_is_waited_for(page: Page, running: RunningCaptcha) -> None:
    running.simulator.captcha.change({"load": "slow", "load_seconds": 0.7})
    await open_page(page, running)
    await expect(page.locator("#start")).to_have_text("The captcha is being loaded …")
    await ready(page)
    await expect(page.locator("#start")).to_have_text("Start the captcha")


@pytest.mark.parametrize(
    ("load", "words"), [("elsewhere", "reaching elsewhere.invalid.*captcha.hosts"), ("eval", "captcha.allowEval")]
)
async def test_what_the_policy_stops_is_named(page: Page, running: RunningCaptcha, load: str, words: str) -> None:
    running.simulator.captcha.change({"load": load})
    await page.goto(running.link())
    await complains(page, words)


async def test_a_token_that_grew_too_old_is_gone(page: Page, tmp_path: Path) -> None:
    clock = LaterClock()
    async with running_captcha(tmp_path, clock=clock) as running:
        await open_page(page, running)
        await ready(page)
        await page.click("#start")
        await expect(page.locator("#banked")).to_contain_text("1 (oldest:")
        clock.ahead += 56  # of its 60 s, the last 5 do not count
        await expect(page.locator("#banked")).to_have_text("0")
        waiting = waiting_request(running)
        await says(page, "A request is waiting")
        await page.click("#start")

        assert await released(waiting) == running.simulator.captcha.issued[1]


async def test_the_widget_is_set_up_anew_before_it_expires(page: Page, running: RunningCaptcha) -> None:
    await page.clock.install()
    await open_page(page, running)
    await ready(page)
    await page.evaluate(
        """() => { window.times = 0; const init = window.initAliyunCaptcha;
        window.initAliyunCaptcha = (options) => { window.times += 1; init(options); }; }"""
    )
    await page.clock.fast_forward("19:59")  # the provider's widget lives for 20 minutes
    await page.wait_for_function("window.times === 1")
    waiting = waiting_request(running)
    await page.click("#start")

    assert [
        await released(waiting)
    ] == running.simulator.captcha.issued  # one click is one attempt: the old one is gone


async def test_two_tabs_know_the_same(page: Page, running: RunningCaptcha) -> None:
    await open_page(page, running)
    other = await page.context.new_page()
    await other.goto(f"{running.url}/captcha")  # the session is the browser's
    waiting = waiting_request(running)
    for tab in (page, other):
        await says(tab, "A request is waiting")
        await ready(tab)
    await other.click("#start")
    param = await released(waiting)
    for tab in (page, other):
        await says(tab, "No token is wanted")
    await page.click("#start")
    for tab in (page, other):
        await expect(tab.locator("#banked")).to_contain_text("1 (oldest:")

    assert [param] == running.simulator.captcha.issued[:1]


async def test_a_link_leaves_no_trace_and_works_once(page: Page, running: RunningCaptcha) -> None:
    link = running.link()
    await page.goto(link)
    await expect(page.locator("#numbers")).to_be_visible()
    assert page.url == f"{running.url}/captcha"
    assert "#" not in await page.evaluate("document.referrer + location.href")
    await page.context.clear_cookies()
    await page.goto("about:blank")
    await page.goto(link)
    await complains(page, "used already")
    await expect(page.locator("#signin")).to_be_visible()
    await page.fill("#link", running.link())
    await page.click("#signin-form button")
    await expect(page.locator("#numbers")).to_be_visible()


async def test_a_used_link_does_no_harm_to_who_is_signed_in(page: Page, running: RunningCaptcha) -> None:
    link = running.link()
    for _ in range(2):
        await page.goto(link)
        await expect(page.locator("#numbers")).to_be_visible()
        await page.goto("about:blank")


async def test_a_token_can_be_pasted(page: Page, running: RunningCaptcha) -> None:
    await open_page(page, running)
    waiting = waiting_request(running)
    await says(page, "A request is waiting")
    await page.click("#paste summary")
    await page.fill("#token", "two words\nand lines")
    await page.click("#paste-form button")
    await complains(page, "no captcha token")
    await page.fill("#token", "  pasted-token\n")
    await page.click("#paste-form button")

    assert await released(waiting) == "pasted-token"
    await expect(page.locator("#problem")).to_be_hidden()


async def test_without_a_configuration_a_token_can_still_be_pasted(page: Page, tmp_path: Path) -> None:
    async with running_captcha(tmp_path) as running:
        running.simulator.captcha.change({"configs": "down"})
        await open_page(page, running)
        await complains(page, "configuration cannot be had.*pasting")
        await expect(page.locator("#work")).to_be_hidden()
        await expect(page.locator("#paste")).to_be_visible()


async def test_without_a_login_the_command_is_named(page: Page, tmp_path: Path) -> None:
    async with running_captcha(tmp_path, jwt=None) as running:
        await open_page(page, running)
        await says(page, "Nobody is logged in")
        await expect(page.locator("#advice")).to_have_text("Run: zcode-proxy auth login zai")
        await expect(page.locator("#work")).to_be_hidden()


async def test_a_service_that_goes_away_is_noticed(page: Page, running: RunningCaptcha) -> None:
    await open_page(page, running)
    running.service.end_waits()
    await running.server.stop()
    await says(page, "connection to the proxy is lost")


async def test_a_refused_token_is_told(page: Page, running: RunningCaptcha) -> None:
    from services.captcha.banks.port import Note

    await open_page(page, running)
    await running.bank.note(ACCOUNT, Note.REFUSED)
    await complains(page, "refused the last token")


async def test_it_speaks_chinese(page: Page, running: RunningCaptcha) -> None:
    await open_page(page, running)
    await page.click("#language")
    await says(page, "目前不需要验证令牌")
    assert await page.evaluate("document.documentElement.lang") == "zh-CN"
    await page.reload()
    await says(page, "目前不需要验证令牌")


async def test_every_word_is_there_in_both_languages(page: Page, running: RunningCaptcha) -> None:
    await page.goto(f"{running.url}/captcha")
    unsaid = await page.evaluate(
        """() => [...new Set([...Object.keys(WORDS.en), ...Object.keys(WORDS.zh),
        ...[...document.querySelectorAll("[data-words]")].map((node) => node.dataset.words)])]
        .filter((name) => !WORDS.en[name] || !WORDS.zh[name])"""
    )

    assert unsaid == []
