"""
Everybody can use the page: axe finds nothing in any state, light or dark, wide or narrow, English or Chinese.

Shown to fail once by: a grey too light on white; an input without a label.
"""

from pathlib import Path

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, Page

from tests.component.captcha.browsing import STATES
from tests.support.captcha import running_captcha
from tests.support.chromium import PATIENCE

pytestmark = pytest.mark.timeout(240)


@pytest.mark.parametrize("state", sorted(STATES.keys() - {"puzzle"}))  # a puzzle is the provider's
async def test_axe_finds_nothing(chromium: Browser, tmp_path: Path, state: str) -> None:
    context = await chromium.new_context(
        locale="en-US",
        color_scheme="light",
        reduced_motion="reduce",  # colours are judged when they have come to rest
        viewport={"width": 360, "height": 640},
        bypass_csp=True,
    )
    context.set_default_timeout(PATIENCE)
    page = await context.new_page()
    async with running_captcha(tmp_path) as running:
        await STATES[state](page, running)
        found = [await _judged(page)]
        await page.emulate_media(color_scheme="dark")
        await page.click("#language")
        found.append(await _judged(page))
        running.service.end_waits()
    await context.close()

    assert found == ["", ""]


async def _judged(page: Page) -> str:
    """Return what is wrong with the page as it is, and that it needs scrolling sideways on a phone, if it does."""
    results = await Axe().run(page)
    over = await page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    report: str = results.generate_report() if results.violations_count else ""
    return report + (f"{over} pixels too wide" if over > 0 else "")
