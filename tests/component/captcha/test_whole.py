"""
From a challenge to a click to an answer: real processes, a real browser, the simulator as the provider.

Once with everything in one process, once with the captcha service in its own, on a socket, as in a cluster.
"""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
from playwright.async_api import Page, expect

from services.simulator.app import Simulator
from services.simulator.captcha import CONFIGS_PATH, WIDGET_PATH
from services.simulator.start_plan import BASE
from tests.component.captcha.browsing import says
from tests.support.captcha import JWT
from tests.support.redis_server import free_port
from tests.support.simulated import TEST_SETTINGS, running_simulator

ROOT = Path(__file__).parents[3]
QUESTION = {"model": "glm-5.2", "stream": True, "messages": [{"role": "user", "content": "Hello"}]}

pytestmark = pytest.mark.timeout(240)


def _environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("ZCODE_", "HTTP", "http"))}
    return kept | {"PYTHONPATH": str(ROOT)}


def _config(home: Path, origin: str, more: dict[str, Any]) -> dict[str, Any]:
    ports: set[int] = set()
    while len(ports) < 3:
        ports.add(free_port())
    captcha = {"port": ports.pop(), "adminPort": ports.pop(), "sdkUrl": origin + WIDGET_PATH, "timeoutMs": 100_000}
    settings = {
        "server": {"port": ports.pop(), "adminPort": 0},
        "plan": "start-plan",
        "startPlan": {"base": origin + BASE, "configsUrl": origin + CONFIGS_PATH, "jwt": JWT},
        "store": {"dir": str(home / "store")},
        "captcha": captcha | more,
    }
    (home / "config.yaml").write_text(json.dumps(settings))
    return settings


async def _command(home: Path, *argv: str) -> str:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "services", *argv, cwd=home, env=_environment(), stdout=asyncio.subprocess.PIPE
    )
    output, _ = await process.communicate()
    assert process.returncode == 0
    return output.decode()


@asynccontextmanager
async def _process(home: Path, *argv: str) -> AsyncIterator[None]:
    log = home / f"{argv[0]}.log"
    with log.open("w") as sink:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "services", *argv, cwd=home, env=_environment(), stderr=sink, stdout=sink
        )
    try:
        yield
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
        code = await process.wait()
        text = log.read_text()
        assert (code, "Traceback" in text) == (0, False), text
        assert JWT not in text


def _logs(home: Path) -> str:
    return "".join(log.read_text() for log in home.glob("*.log"))


async def _answers(url: str) -> None:
    async with asyncio.timeout(60), httpx2.AsyncClient(trust_env=False) as http:
        while True:
            try:
                await http.get(url)
            except httpx2.HTTPError:
                await asyncio.sleep(0.1)
            else:
                return


async def _is_ready(admin: str) -> None:
    async with httpx2.AsyncClient(trust_env=False, base_url=admin) as http:
        answers = [await http.get(path) for path in ("/livez", "/readyz", "/metrics")]
    assert [answer.status_code for answer in answers] == [200, 200, 200]
    assert "zcode_captcha_answers" in answers[2].text


@asynccontextmanager
async def _served(home: Path, settings: dict[str, Any], *, apart: bool) -> AsyncIterator[tuple[str, str]]:
    """Run the processes; give the gateway's and the page's address."""
    gateway, page = (f"http://127.0.0.1:{settings[name]['port']}" for name in ("server", "captcha"))
    async with AsyncExitStack() as stack:
        if apart:
            await stack.enter_async_context(_process(home, "captcha", "--config", "config.yaml"))
            await _answers(f"{page}/captcha")
            await _is_ready(f"http://127.0.0.1:{settings['captcha']['adminPort']}")
        await stack.enter_async_context(_process(home, "gateway" if apart else "serve", "config.yaml"))
        await _answers(f"{gateway}/v1/models")
        yield gateway, page


async def _ask(gateway: str) -> str:
    async with (
        httpx2.AsyncClient(trust_env=False, timeout=120) as http,
        http.stream("POST", f"{gateway}/v1/chat/completions", json=QUESTION) as answer,
    ):
        text = (await answer.aread()).decode()
        assert answer.status_code == 200, text
        return text


@pytest.mark.parametrize("apart", [False, True], ids=["all in one", "apart"])
async def test_a_challenged_request_is_answered_after_a_click(tmp_path: Path, page: Page, apart: bool) -> None:
    simulator = Simulator(TEST_SETTINGS)
    simulator.start_plan.change({"challenge": True, "jwts": [JWT]})
    socket = str(tmp_path / "captcha.sock")
    more = {"socket": socket, "address": f"unix:{socket}"} if apart else {}
    async with running_simulator(simulator) as origin:
        settings = _config(tmp_path, origin, more)
        async with _served(tmp_path, settings, apart=apart) as (gateway, page_url):
            link = json.loads(await _command(tmp_path, "captcha", "link", "--json", "--config", "config.yaml"))
            assert link["link"].startswith(f"{page_url}/captcha#zai.")
            await page.goto(link["link"])
            await expect(page.locator("#start")).to_be_enabled()
            asked = asyncio.ensure_future(_ask(gateway))
            await says(page, "A request is waiting")
            await page.click("#start")
            async with asyncio.timeout(90):
                text = await asked
            state = json.loads(await _command(tmp_path, "captcha", "status", "--json", "--config", "config.yaml"))
            line = await _command(tmp_path, "captcha", "status", "--config", "config.yaml")

    logs = _logs(tmp_path)
    code = link["link"].partition("#")[2]

    assert text.rstrip().endswith("data: [DONE]")
    assert [] == [secret for secret in (code, *simulator.captcha.issued) if secret in logs]
    assert simulator.start_plan.used == simulator.captcha.issued
    assert (state["account"], state["lives"], state["waiting"], state["asks"]) == ("configured", [], 0, True)
    assert line.startswith("captcha tokens: 0 in stock; nobody waits; the provider asks for them; start-plan token: ")
