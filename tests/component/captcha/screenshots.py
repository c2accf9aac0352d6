"""
Makes the pictures of docs/start-plan.md anew: python -m tests.component.captcha.screenshots docs/images

Every state in a light and wide window, in a dark one, and on a phone in Chinese.
"""

import asyncio
import sys
import tempfile
from pathlib import Path
from typing import Any

from playwright.async_api import Browser

from tests.component.captcha.browsing import STATES
from tests.support.captcha import running_captcha
from tests.support.chromium import PATIENCE, running_chromium

WINDOWS: dict[str, dict[str, Any]] = {
    "light": {"color_scheme": "light", "locale": "en-US", "viewport": {"width": 640, "height": 480}},
    "dark": {"color_scheme": "dark", "locale": "en-US", "viewport": {"width": 640, "height": 480}},
    "phone": {"color_scheme": "light", "locale": "zh-CN", "viewport": {"width": 360, "height": 640}, "is_mobile": True},
}


async def picture(browser: Browser, directory: Path, state: str, window: str) -> None:
    """Make one picture."""
    context = await browser.new_context(**WINDOWS[window])
    context.set_default_timeout(PATIENCE)
    page = await context.new_page()
    with tempfile.TemporaryDirectory() as home:
        async with running_captcha(Path(home)) as running:
            await STATES[state](page, running)
            await page.screenshot(path=directory / f"captcha-{state}-{window}.png", full_page=True)
            running.service.end_waits()
    await context.close()


async def main(directory: Path) -> None:
    """Make them all."""
    async with running_chromium() as browser:
        for state in STATES:
            for window in WINDOWS:
                await picture(browser, directory, state, window)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
