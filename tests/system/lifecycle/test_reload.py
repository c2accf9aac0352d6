"""A gateway takes over changed keys while it runs, and stays with the last good ones when a change is faulty."""

import asyncio
import json
import re
from collections.abc import Callable
from pathlib import Path

import httpx2
import pytest

from tests.support.fleet import Member
from tests.support.simulator_process import simulator_process

SECONDS = 60.0


def _ask(member: Member, key: str) -> int:
    body = {"model": "glm-5.2", "max_tokens": 8, "messages": [{"role": "user", "content": "hi"}]}
    headers = {"x-api-key": key}
    url = f"http://127.0.0.1:{member.port}/v1/messages"
    return httpx2.post(url, json=body, headers=headers, timeout=30, trust_env=False).status_code


def _metric(member: Member, name: str) -> float:
    text = httpx2.get(f"http://127.0.0.1:{member.admin}/metrics", timeout=30, trust_env=False).text
    found = re.search(rf"^{name} (\S+)$", text, re.MULTILINE)
    assert found, name
    return float(found[1])


async def _comes(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(SECONDS):
        while not await asyncio.to_thread(holds):
            await asyncio.sleep(0.1)


@pytest.mark.timeout(300)
async def test_a_changed_secret_is_in_force_without_a_restart_and_a_faulty_one_never(tmp_path: Path) -> None:
    # As a Secret's mount: the file is a link, and a change swaps what the link's directory leads to.
    for name, key in (("first", "the-first-client-key"), ("second", "the-second-client-key")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "client-key").write_text(f"{key}\n")
    (tmp_path / "data").symlink_to("first")
    (tmp_path / "client-key").symlink_to("data/client-key")
    with simulator_process() as origin:
        auth = {"apiKey": "upstream.key", "proxyApiKeyFile": str(tmp_path / "client-key")}
        member = Member(tmp_path / "gateway", origin, 5.0, {"auth": auth})
        try:
            member.start()
            await asyncio.to_thread(member.wait_ready)
            assert (200, 401) == (_ask(member, "the-first-client-key"), _ask(member, "the-second-client-key"))

            (tmp_path / "swap").symlink_to("second")
            (tmp_path / "swap").rename(tmp_path / "data")
            await _comes(lambda: _ask(member, "the-second-client-key") == 200)
            assert 401 == _ask(member, "the-first-client-key")

            settings = json.loads(member.config.read_text())
            member.config.write_text(json.dumps(settings | {"limits": {"streams": "many"}}))
            await _comes(lambda: _metric(member, "zcode_config_reload_success") == 0)
            assert 200 == _ask(member, "the-second-client-key")
            assert "limits.streams" in member.log.read_text()

            member.config.write_text(json.dumps(settings | {"limits": {"drain": 5.0, "streams": 7}}))
            await _comes(lambda: _metric(member, "zcode_config_restart_needed") == 1)
            assert 1 == _metric(member, "zcode_config_reload_success")
            assert 200 == _ask(member, "the-second-client-key")
            assert "the-second-client-key" not in member.log.read_text()
        finally:
            member.end()
