"""What was used is written down while serving, survives the process, and is shown by a command."""

import json
import subprocess
import sys
from pathlib import Path

import httpx2
import pytest

from tests.support.laptop import Laptop
from tests.support.simulator_process import simulator_process

QUESTION = {"model": "glm-5.2", "max_tokens": 64, "messages": [{"role": "user", "content": "the-canary-of-the-prompt"}]}


def test_usage_survives_the_process_and_is_shown(tmp_path: Path) -> None:
    with simulator_process() as origin:
        laptop = Laptop(tmp_path, origin)
        assert "[]\n" == laptop.command("usage", "--json")
        assert not laptop.store.exists()  # who only looks makes nothing
        for _ in range(2):
            with laptop.serving() as served:
                assert 200 == httpx2.post(f"{served.url}/v1/messages", json=QUESTION).status_code

    (model,) = json.loads(laptop.command("usage", "--json"))
    assert ("glm-5.2", 2, 0) == (model["name"], model["requests"], model["failures"])
    assert model["output"] > 0
    heads, row = laptop.command("usage", "--by", "key").splitlines()
    assert heads.startswith("Key\tRequests")
    assert row.startswith("loopback\t2")
    assert 25 == len(laptop.command("usage", "--by", "hour").splitlines()) - 1
    assert laptop.command("usage", "--csv", "--since", "7d").splitlines()[1].count("glm-5.2,loopback,config,2,0") == 1
    assert b"the-canary-of-the-prompt" not in b"".join(path.read_bytes() for path in laptop.store.iterdir())


def test_nothing_is_kept_where_it_is_not_wanted(tmp_path: Path) -> None:
    with simulator_process() as origin:
        laptop = Laptop(tmp_path, origin, telemetry={"usageDays": 0, "metrics": False, "quotaSeconds": 0})
        with laptop.serving() as served:
            assert 200 == httpx2.post(f"{served.url}/v1/messages", json=QUESTION).status_code
            counted = httpx2.get(f"{served.admin_url}/metrics").text

    assert "zcode_requests_total{" not in counted
    assert not laptop.store.exists()
    laptop.command("usage", "--since", "soon", code=2)


@pytest.mark.parametrize("command", ["gateway", "usage", "quota"])
def test_a_store_that_cannot_be_meant_is_said_without_a_stack_trace(command: str, tmp_path: Path) -> None:
    laptop = Laptop(tmp_path, "http://127.0.0.1:9", store={"url": "redis://user:hunter2-hunter2@:nothing"})
    done = subprocess.run(
        [sys.executable, "-m", "services", command],
        cwd=laptop.home,
        env=laptop.environment(ZCODE_PROXY_CONFIG="config.yaml"),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode in (64, 69, 78), done.stderr
    assert "store.url" in done.stderr
    assert "Traceback" not in done.stderr
    assert "hunter2" not in done.stderr
