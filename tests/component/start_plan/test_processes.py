"""The start plan as people run it: all in one process, and the gateway and the captcha service as two."""

import asyncio
import contextlib
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest

from services.chassis.process import Tasks
from services.simulator.app import Simulator
from services.simulator.start_plan import BASE, PARAM, StartPlanBehaviour
from tests.support.captcha import JWT
from tests.support.dialects import ANTHROPIC, PATH, small
from tests.support.laptop import Laptop
from tests.support.redis_server import free_port
from tests.support.simulated import TEST_SETTINGS, running_simulator
from tests.support.start_plan import START_PATH, person_at

_STARTED_WITHIN = 60.0
_TOKEN = "token-of-the-owner"


@pytest.fixture
def simulator() -> Simulator:
    made = Simulator(TEST_SETTINGS)
    made.start_plan.behaviour = StartPlanBehaviour(challenges=1)
    return made


@asynccontextmanager
async def _home(tmp_path: Path, simulator: Simulator, **captcha: Any) -> AsyncIterator[Laptop]:
    """Give a home whose configuration is of the start plan."""
    async with running_simulator(simulator) as origin:
        start_plan = {"base": f"{origin}{BASE}", "configsUrl": f"{origin}/api/v1/client/configs", "jwt": JWT}
        ports = {"port": free_port(), "adminPort": free_port()}
        laptop = Laptop(tmp_path, origin, startPlan=start_plan, captcha=ports | captcha)
        config = tmp_path / "config.yaml"
        config.write_text(json.dumps(json.loads(config.read_text()) | {"plan": "start-plan"}))
        yield laptop


async def _served_with_a_captcha(url: str, laptop: Laptop, simulator: Simulator) -> None:
    """Ask, be challenged, complete one by way of a link that the command prints, be served."""
    link = await asyncio.to_thread(laptop.command, "captcha", "link")
    async with (
        Tasks() as calls,
        httpx2.AsyncClient(base_url=url, timeout=60, trust_env=False) as http,
        person_at(link.strip()) as person,
    ):
        call = calls.start(http.post(PATH[ANTHROPIC], json=small(ANTHROPIC)), name="call")
        await person.asked()
        await person.complete(_TOKEN)
        answer = await call

    assert 200 == answer.status_code, answer.text
    sent = [request.header(PARAM) for request in simulator.records.requests if request.path in START_PATH.values()]
    assert [None, _TOKEN.encode()] == sent


async def test_all_in_one_process(tmp_path: Path, simulator: Simulator) -> None:
    async with _home(tmp_path, simulator) as laptop:
        serving = laptop.serving()
        served = await asyncio.to_thread(serving.__enter__)  # the simulator answers on this loop meanwhile
        try:
            await _served_with_a_captcha(served.url, laptop, simulator)
        finally:
            await asyncio.to_thread(serving.__exit__, *sys.exc_info())


async def test_as_two_processes_that_share_a_socket(tmp_path: Path, simulator: Simulator) -> None:
    socket = tmp_path / "captcha.sock"
    async with _home(tmp_path, simulator, socket=str(socket), address=f"unix:{socket}") as laptop:
        config = json.loads((tmp_path / "config.yaml").read_text())
        config["server"] = {"port": free_port(), "adminPort": free_port()}
        (tmp_path / "config.yaml").write_text(json.dumps(config))
        with _process(laptop, "captcha"), _process(laptop, "gateway"):
            await _ready(config["captcha"]["adminPort"])
            await _ready(config["server"]["adminPort"])
            await _served_with_a_captcha(f"http://127.0.0.1:{config['server']['port']}", laptop, simulator)


@contextmanager
def _process(laptop: Laptop, command: str) -> Iterator[None]:
    log = laptop.home / f"{command}.log"
    with log.open("w") as sink:
        process = subprocess.Popen(
            [sys.executable, "-m", "services", command],
            cwd=laptop.home,
            env=laptop.environment(),
            stdout=sink,
            stderr=sink,
        )
    try:
        yield
        process.terminate()
        assert 0 == process.wait(30), log.read_text()
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


async def _ready(port: int) -> None:
    async with asyncio.timeout(_STARTED_WITHIN), httpx2.AsyncClient(trust_env=False) as http:
        while True:
            with contextlib.suppress(httpx2.HTTPError):
                if (await http.get(f"http://127.0.0.1:{port}/readyz")).status_code == 200:
                    return
            await asyncio.sleep(0.05)
