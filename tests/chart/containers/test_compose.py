"""
One machine: deploy/compose.yaml runs, streams, and loses no request when a gateway is replaced or Redis is killed.

The tests build on each other in this order, as an installation does.
"""

import asyncio
import os
import signal
import time
from collections.abc import Iterator

import httpx2
import pytest
from docker.models.containers import Container

from tests.chart.containers.conftest import Engine, users
from tests.support.composed import CLIENT_KEY, Composed, stand_ins
from tests.support.redis_server import free_port
from tests.support.traffic import Traffic

STARTED_WITHIN = 120.0
SERVICES = {"haproxy", "redis", "credentials-1", "gateway-1", "credentials-2", "gateway-2"}


@pytest.fixture(scope="module")
def house(running_engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Composed]:
    """The whole file, started as it says."""
    directory = tmp_path_factory.mktemp("compose")
    for each in (directory, directory.parent):
        each.chmod(0o755)
    stand_ins(running_engine.client)
    passwords = users(directory)
    secrets = {
        "redis-password": passwords["ZR-CRED"],
        "users.acl": (directory / "users.acl").read_text(),
        "client-key": CLIENT_KEY,
    }
    house = Composed(directory, running_engine.address, free_port(), secrets)
    try:
        house.compose("run", "--rm", "init")
        house.compose("up", "-d")
        yield house
    finally:
        house.compose("down", "-v", "--timeout", "5")


def _ask(house: Composed) -> int:
    question = {"model": "glm-5.2", "max_tokens": 16, "messages": [{"role": "user", "content": "hello"}]}
    headers = {"x-api-key": CLIENT_KEY}
    try:
        return httpx2.post(
            f"{house.url}/v1/messages", json=question, headers=headers, timeout=30, trust_env=False
        ).status_code
    except httpx2.HTTPError:
        return 0


def _wait(house: Composed, status: int = 200) -> None:
    deadline = time.monotonic() + STARTED_WITHIN
    while (found := _ask(house)) != status:
        assert time.monotonic() < deadline, (found, house.compose("logs", "--no-color", "--tail", "30"))
        time.sleep(0.2)


def test_it_starts_and_serves(house: Composed, running_engine: Engine) -> None:
    _wait(house)

    running = {each.labels["com.docker.compose.service"] for each in running_engine.client.containers.list()}
    assert running >= SERVICES


def test_nothing_runs_with_more_than_it_needs(running_engine: Engine) -> None:
    for container in running_engine.client.containers.list():
        if container.labels.get("com.docker.compose.service") not in SERVICES:
            continue
        host = container.attrs["HostConfig"]
        assert (True, ["ALL"]) == (host["ReadonlyRootfs"], host["CapDrop"]), container.name
        assert "no-new-privileges:true" in host["SecurityOpt"], container.name
        code, uid = container.exec_run(["id", "-u"])
        assert (0, True) == (code, uid.strip() != b"0"), container.name


def _replace(house: Composed, gateway: str) -> None:
    """As docs/kubernetes.md says."""
    house.inside(gateway, "drain", "--wait", "3")
    house.compose("up", "-d", "--no-deps", "--force-recreate", gateway)


def _container(engine: Engine, service: str) -> Container:
    (found,) = [
        each for each in engine.client.containers.list() if each.labels.get("com.docker.compose.service") == service
    ]
    return found


def _healthy(container: Container, *, restarts: int = 0) -> None:
    deadline = time.monotonic() + STARTED_WITHIN
    while container.attrs["RestartCount"] < restarts or container.attrs["State"]["Health"]["Status"] != "healthy":
        assert time.monotonic() < deadline, container.logs()
        time.sleep(0.2)
        container.reload()


def _kill(container: Container) -> None:
    """As a crash would: an engine starts again what nobody has told it to stop."""
    os.kill(container.attrs["State"]["Pid"], signal.SIGKILL)
    _healthy(container, restarts=1)


@pytest.mark.promise("P-63")
async def test_every_gateway_is_replaced_and_redis_killed_and_no_request_is_lost(
    house: Composed, running_engine: Engine
) -> None:
    traffic = Traffic(house.url, CLIENT_KEY, streams=10, seconds=4.0)
    running = asyncio.ensure_future(traffic.run())
    try:
        await asyncio.sleep(2)
        for gateway in ("gateway-1", "gateway-2"):
            await asyncio.to_thread(_replace, house, gateway)
            await asyncio.to_thread(_healthy, _container(running_engine, gateway))
            await asyncio.sleep(3)  # the balancer looks once a second
        await asyncio.to_thread(_kill, _container(running_engine, "redis"))
        await asyncio.sleep(2)
    finally:
        traffic.ending.set()
        await running

    assert [] == traffic.faults
    assert traffic.whole >= 20
    assert traffic.short > 50


def test_a_key_made_after_all_that_is_good_at_both(house: Composed) -> None:
    config = ("--config", "/etc/zcode-proxy/config.yaml")
    key = house.inside("credentials-2", "keys", "create", "--name", "after", *config).splitlines()[0]
    deadline = time.monotonic() + STARTED_WITHIN
    headers = {"x-api-key": key}
    good = 0
    while good < 6:  # the balancer takes turns
        answer = httpx2.get(f"{house.url}/v1/models", headers=headers, timeout=10, trust_env=False)
        good = good + 1 if answer.status_code == 200 else 0
        assert time.monotonic() < deadline, answer.text
        time.sleep(0.1)
