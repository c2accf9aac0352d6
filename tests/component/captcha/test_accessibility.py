"""
Everybody can use the page: axe finds nothing in any state, light or dark, wide or narrow, English or Chinese.

Shown to fail once by: a grey too light on white; an input without a label.
"""

from pathlib import Path
from typing import Literal

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser

from tests.component.captcha.browsing import STATES
from tests.support.captcha import running_captcha
from tests.support.chromium import PATIENCE

pytestmark = pytest.mark.timeout(240)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("state", STATES)
async def test_axe_finds_nothing(
    chromium: Browser, tmp_path: Path, state: str, scheme: Literal["light", "dark"]
) -> None:
    locale = "en-US" if scheme == "light" else "zh-CN"
    context = await chromium.new_context(
        locale=locale, color_scheme=scheme, viewport={"width": 360, "height": 640}, bypass_csp=True
    )
    context.set_default_timeout(PATIENCE)
    page = await context.new_page()
    async with running_captcha(tmp_path) as running:
        await STATES[state](page, running)
        results = await Axe().run(page)
        overflow = await page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        running.service.end_waits()
    await context.close()

    assert results.violations_count == 0, results.generate_report()
    assert overflow <= 0  # nothing needs scrolling sideways on a phone
