"""
A real Chromium: the system's own, driven by Playwright over its debugging pipe.

It resolves no name but this machine's, so that a test which wanders off reaches nothing.
"""

import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from playwright.async_api import Browser, async_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome")
PATIENCE = 30_000  # milliseconds for anything on a page: a busy machine is no failure

_ARGUMENTS = ["--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost", "--disable-gpu"]


def executable() -> str:
    """Return the browser's path."""
    for name in NAMES:
        if found := shutil.which(name):
            return found
    raise RuntimeError("these tests need a Chromium: apt-get install chromium")


@asynccontextmanager
async def running_chromium() -> AsyncIterator[Browser]:
    """Run a browser on the current event loop."""
    # Chromium's sandbox does not work for root, which CI is.
    sandbox = os.getuid() != 0
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=executable(), args=_ARGUMENTS, chromium_sandbox=sandbox, timeout=PATIENCE
        )
        try:
            yield browser
        finally:
            await browser.close()
