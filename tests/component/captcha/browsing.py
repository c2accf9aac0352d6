"""What a person does on the captcha page, and what the page says, for the tests in a browser."""

import asyncio
import re
from collections.abc import Awaitable, Callable

from playwright.async_api import Page, expect

from services.captcha.contract import TokenAnswer
from tests.support.captcha import RunningCaptcha, request
from tests.support.chromium import PATIENCE

expect.set_options(timeout=PATIENCE)

ACCOUNT = "configured"


async def open_page(page: Page, running: RunningCaptcha) -> None:
    """Open the page with a fresh link, as the owner does, and wait until it is of use."""
    await page.goto(running.link())
    await expect(page.locator("#numbers")).to_be_visible()


async def ready(page: Page) -> None:
    """Wait until the widget can be started."""
    await expect(page.locator("#start")).to_be_enabled()


def waiting_request(running: RunningCaptcha, number: int = 0) -> "asyncio.Task[TokenAnswer]":
    """Let a request stand in line."""
    return asyncio.get_running_loop().create_task(running.issuer.token(request(number, wait=120)))


async def says(page: Page, words: str) -> None:
    """Wait for the headline."""
    await expect(page.locator("#headline")).to_have_text(re.compile(words))


async def complains(page: Page, words: str) -> None:
    """Wait for a complaint."""
    await expect(page.locator("#problem")).to_be_visible()
    await expect(page.locator("#problem")).to_have_text(re.compile(words))


async def slide(page: Page, share: float = 0.7) -> None:
    """Move the puzzle's slider with the mouse, as a hand would."""
    slider = page.get_by_label("Slide to 70")
    box = await slider.bounding_box()
    assert box is not None
    knob = 16.0  # the slider's ends are half a knob inside
    at = box["y"] + box["height"] / 2
    await page.mouse.move(box["x"] + knob / 2, at)
    await page.mouse.down()
    await page.mouse.move(box["x"] + knob / 2 + (box["width"] - knob) * share, at, steps=8)
    await page.mouse.up()


async def released(waiting: "asyncio.Task[TokenAnswer]") -> str:
    """Return the token that a waiting request got."""
    async with asyncio.timeout(60):
        answer = await waiting
    assert answer.captcha is not None
    return answer.captcha.param


Show = Callable[[Page, RunningCaptcha], Awaitable[None]]


async def signed_out(page: Page, running: RunningCaptcha) -> None:
    await page.goto(f"{running.url}/captcha")
    await expect(page.locator("#signin")).to_be_visible()


async def puzzle(page: Page, running: RunningCaptcha) -> None:
    running.simulator.captcha.change({"widget": "puzzle"})
    await wanted(page, running)
    await page.click("#start")
    await expect(page.get_by_label("Slide to 70")).to_be_focused()


async def idle(page: Page, running: RunningCaptcha) -> None:
    await open_page(page, running)
    await ready(page)
    await page.click("#paste summary")


async def handed_in(page: Page, running: RunningCaptcha) -> None:
    await open_page(page, running)
    await ready(page)
    await page.click("#start")
    await expect(page.locator("#good")).to_be_visible()


async def wanted(page: Page, running: RunningCaptcha) -> None:
    await open_page(page, running)
    await ready(page)
    waiting = waiting_request(running)
    waiting.add_done_callback(lambda task: task.cancelled() or task.exception())
    await says(page, "request is waiting|请求正在等待")


async def refused(page: Page, running: RunningCaptcha) -> None:
    running.simulator.captcha.change({"widget": "F001"})
    await open_page(page, running)
    await ready(page)
    await page.click("#start")
    await complains(page, ".")


async def no_widget(page: Page, running: RunningCaptcha) -> None:
    running.simulator.captcha.change({"load": "fail"})
    await open_page(page, running)
    await expect(page.locator("#retry")).to_be_visible()


STATES: dict[str, Show] = {
    "signed-out": signed_out,
    "idle": idle,
    "handed-in": handed_in,
    "wanted": wanted,
    "puzzle": puzzle,
    "refused": refused,
    "no-widget": no_widget,
}
