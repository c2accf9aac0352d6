"""Several captcha services over one Redis, and one whose Redis is away."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.async_api import Page, expect

from services.captcha.contract import Captcha, Outcome, Report
from services.captcha.errors import Unavailable
from services.chassis.storage import StoreUnavailable
from tests.component.captcha.browsing import complains, open_page, ready, released, says, waiting_request
from tests.support.captcha import PROVIDER, request, running_captcha
from tests.support.redis_server import Server, free_port, standalone

pytestmark = pytest.mark.timeout(180)


@pytest.fixture(scope="module")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with standalone(tmp_path_factory.mktemp("redis")) as url:
        yield f"{url}{'&' if '?' in url else '?'}deadline=5000&prefix=captcha-replicas:"


async def test_a_click_at_one_replica_releases_a_request_at_another(page: Page, tmp_path: Path, redis_url: str) -> None:
    async with (
        running_captcha(tmp_path, store_url=redis_url) as one,
        running_captcha(tmp_path, store_url=redis_url) as two,
    ):
        await open_page(page, one)
        waiting = waiting_request(two)
        await says(page, "A request is waiting")
        await ready(page)
        await page.click("#start")
        assert await released(waiting) in one.simulator.captcha.issued
        await says(page, "No token is wanted")


async def test_a_store_that_is_away_is_told_apart(page: Page, tmp_path: Path) -> None:
    nowhere = f"redis://127.0.0.1:{free_port()}"
    async with running_captcha(tmp_path, store_url=nowhere) as running:
        with pytest.raises(Unavailable, match="store does not answer"):
            await running.issuer.token(request())
        told = Report(
            request_id="r", provider=PROVIDER, credential_id="configured", version=0, outcome=Outcome.ACCEPTED
        )
        with pytest.raises(Unavailable):
            await running.issuer.report(told)
        await page.goto(running.link())
        await complains(page, "store does not answer")


async def test_who_waits_outlives_a_store_that_starts_anew(tmp_path: Path) -> None:
    with Server(tmp_path / "redis") as server:
        async with running_captcha(tmp_path, store_url=f"{server.url}?deadline=1000") as running:
            waiting = waiting_request(running)
            async with asyncio.timeout(60):
                while (await running.bank.standing("configured")).waiting != 1:
                    await asyncio.sleep(0.01)
            server.kill()
            with pytest.raises(StoreUnavailable):
                await running.bank.standing("configured")
            server.start()
            async with asyncio.timeout(60):
                assert await running.bank.put("configured", Captcha(param="after", region="sgp"))

            assert await released(waiting) == "after"


async def test_a_session_is_good_at_every_replica_and_a_link_at_one(page: Page, tmp_path: Path, redis_url: str) -> None:
    async with (
        running_captcha(tmp_path, store_url=redis_url) as one,
        running_captcha(tmp_path, store_url=redis_url) as two,
    ):
        link = one.link()
        await page.goto(link)
        await expect(page.locator("#numbers")).to_be_visible()
        await page.goto(f"{two.url}/captcha")
        await expect(page.locator("#numbers")).to_be_visible()
        await page.context.clear_cookies()
        await page.goto("about:blank")
        await page.goto(f"{two.url}/captcha#{link.partition('#')[2]}")
        await complains(page, "used already")
