"""
Usage of several gateways, written into one Redis by the user that deploy/redis gives them, and what a hung Redis costs.

Shown to fail once by: totals without the process's name in the field (the last writer's alone is left), a way to Redis
without a deadline.
"""

import json
import re
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from tests.support.fleet import CLIENT_KEY, Fleet
from tests.support.redis_server import Server
from tests.support.simulated import simulator_thread

USERS = Path(__file__).parents[2] / "deploy" / "redis" / "users.acl"
PASSWORD = "the-password-of-zr-gw"
QUESTION = {"model": "glm-5.2", "max_tokens": 16, "messages": [{"role": "user", "content": "hi"}]}


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[Server]:
    acl = tmp_path / "users.acl"
    acl.write_text(re.sub(r">PASSWORD-OF-ZR-GW\b", f">{PASSWORD}", USERS.read_text()))
    with Server(tmp_path / "redis", f"aclfile {acl}") as server:
        yield server


@pytest.fixture
def fleet(tmp_path: Path, redis: Server) -> Iterator[Fleet]:
    store = {"url": redis.url, "username": "zr-gw", "password": PASSWORD, "dir": str(tmp_path / "none")}
    with simulator_thread() as origin, Fleet(tmp_path / "fleet", origin, count=2, drain=5.0, store=store) as fleet:
        yield fleet


def ask(fleet: Fleet, at: int) -> float:
    """Ask a gateway; return how long it took."""
    begun = time.monotonic()
    url = f"http://127.0.0.1:{fleet.members[at].port}/v1/messages"
    answer = httpx2.post(url, json=QUESTION, headers={"x-api-key": CLIENT_KEY}, trust_env=False, timeout=30)
    assert answer.status_code == 200
    return time.monotonic() - begun


def usage(*argv: str) -> "subprocess.CompletedProcess[str]":
    """Run `zcode-proxy usage`."""
    command = [sys.executable, "-m", "services", "usage", *argv]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def requests(*argv: str) -> int:
    done = usage(*argv, "--json")
    assert done.returncode == 0, done.stderr
    return sum(group["requests"] for group in json.loads(done.stdout))


def until(wanted: int, *argv: str) -> None:
    deadline = time.monotonic() + 40
    while (found := requests(*argv)) != wanted:
        assert time.monotonic() < deadline, f"{found} instead of {wanted}"
        time.sleep(0.5)


def writes(fleet: Fleet, at: int, outcome: str) -> float:
    text = httpx2.get(f"http://127.0.0.1:{fleet.members[at].admin}/metrics", trust_env=False).text
    found = re.search(rf'^zcode_usage_writes_total{{.*outcome="{outcome}".*}} (\S+)', text, re.MULTILINE)
    return float(found[1]) if found else 0.0


def address(fleet: Fleet, at: int) -> str:
    return f"http://127.0.0.1:{fleet.members[at].admin}"


@pytest.mark.timeout(200)
def test_the_usage_of_all_gateways_is_one_sum(fleet: Fleet, redis: Server) -> None:
    for at in (0, 0, 0, 1, 1):
        ask(fleet, at)
    until(5, "--server", address(fleet, 0))
    until(5, "--server", address(fleet, 1))
    until(5, "--config", str(fleet.members[0].config))
    # A gateway that is replaced has other totals, beside those it had.
    fleet.replace(0, drain_wait=0.1, grace=30)
    ask(fleet, 0)
    until(6, "--server", address(fleet, 1))
    nobody = usage("--server", "http://127.0.0.1:9")
    other = usage("--server", f"http://127.0.0.1:{fleet.members[0].port}")

    assert (nobody.returncode, "no gateway answers" in nobody.stderr) == (69, True)
    assert (other.returncode, "is not the admin port of a gateway" in other.stderr) == (1, True)
    with redis.client(username="zr-gw", password=PASSWORD) as client:
        assert client.execute_command("INFO", "keyspace")
    assert not (fleet.members[0].config.parent / "none").exists()


@pytest.mark.timeout(200)
def test_a_redis_that_hangs_costs_no_request_anything(fleet: Fleet, redis: Server) -> None:
    before = [ask(fleet, at % 2) for at in range(40)]
    until(40, "--server", address(fleet, 0))
    redis.signal(signal.SIGSTOP)
    try:
        during = [ask(fleet, at % 2) for at in range(40)]
        begun = time.monotonic()
        refused = usage("--server", address(fleet, 0))
        took = time.monotonic() - begun
        deadline = time.monotonic() + 30
        while not all(writes(fleet, at, "failed") for at in (0, 1)):
            assert time.monotonic() < deadline
            time.sleep(0.5)
        ready = [fleet.members[at].status("/readyz") for at in (0, 1)]
    finally:
        redis.signal(signal.SIGCONT)
    until(80, "--server", address(fleet, 1))
    redis.signal(signal.SIGSTOP)
    try:
        ask(fleet, 0)
        fleet.members[0].signal(signal.SIGTERM)
        code = fleet.members[0].wait(15)
    finally:
        redis.signal(signal.SIGCONT)

    assert statistics.median(during) < 3 * statistics.median(before) + 0.05
    assert max(during) < max(before) + 1.0
    assert (refused.returncode, "the store does not answer" in refused.stderr, took < 15) == (1, True, True)
    assert ready == [200, 200]
    assert code == 0
