"""
What a gateway's clients notice when the credentials service or its store goes away: nothing, for as long as the
credential lasts (promises.md P-60, P-62).

Shown to fail once by: dropping the snapshot when a poll fails (P-62); serving leases past their end (P-62); emptying the
snapshot when the store goes (P-60).
"""

import asyncio
import contextlib
import signal
import statistics
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import pytest

from services.chassis.peer.token_file import generate
from services.credentials.client import CredentialsClient, connect
from services.credentials.contract import Kind, Report, ReportKind
from services.credentials.errors import Unavailable
from services.gateway.snapshot_leases import SnapshotLeases
from tests.component.credentials.conftest import Arena, show
from tests.support.credentials import credential, until
from tests.support.credentials_worker import Worker
from tests.support.fault_proxy import Fault, FaultProxy
from tests.support.gateway import RunningGateway, running_gateway
from tests.support.redis_server import Server

BODY = {"model": "glm-5.2", "max_tokens": 16, "messages": [{"role": "user", "content": "hi"}]}
RATE = 20.0  # requests a second


class Stack:
    """A gateway, its client of the service, and the service's process."""

    def __init__(self, gateway: RunningGateway, client: CredentialsClient, service: Worker, http: httpx2.AsyncClient):
        self.gateway = gateway
        self.client = client
        self.service = service
        self._http = http

    async def ask(self) -> tuple[int, float, Any]:
        """Send one request; return status, seconds and body."""
        begun = time.perf_counter()
        answer = await self._http.post(f"{self.gateway.url}/v1/messages", json=BODY)
        return answer.status_code, time.perf_counter() - begun, answer.json()

    async def drive(self, seconds: float) -> list[tuple[int, float, Any]]:
        """Send requests at RATE, whether or not earlier ones are answered."""
        async with asyncio.TaskGroup() as group:
            tasks = []
            for _ in range(int(seconds * RATE)):
                tasks.append(group.create_task(self.ask()))
                await asyncio.sleep(1 / RATE)
        return [task.result() for task in tasks]


@asynccontextmanager
async def stack(arena: Arena, **work: Any) -> AsyncIterator[Stack]:
    """Run everything: the service as a process behind a unix socket, gateway and upstream in this one."""
    token = arena.directory / "token"
    generate(token)
    path = str(arena.directory / "cred.sock")
    service = arena.spawn(0, socket=path, token_file=str(token), wait=False, **work)
    await until(lambda: service.ready, seconds=20)  # not in `spawn`: its store may be behind a proxy on this loop
    async with contextlib.AsyncExitStack() as exits:
        client = connect(f"unix:{path}", token_file=token)
        exits.push_async_callback(client.aclose)
        await client.start()
        gateway = await exits.enter_async_context(
            running_gateway(leases=SnapshotLeases(client), auth={"api_key": None}, provider="zai")
        )
        http = await exits.enter_async_context(httpx2.AsyncClient(trust_env=False, timeout=20.0))
        yield Stack(gateway, client, service, http)


async def _add(arena: Arena, *, lasts: float | None) -> None:
    """Add a key of the provider that the gateway calls; nobody can make it anew."""
    now = await arena.store.now()
    expires_at = None if lasts is None else now + lasts
    record = credential(
        "crd-upstream", kind=Kind.API_KEY, api_key="id.upstream-canary", rotated_at=now, expires_at=expires_at
    )
    await arena.vault.write_credential(record, expected=0)


async def _take_away(redis: Server, proxy: FaultProxy, how: str) -> None:
    match how:
        case "killed":
            redis.kill()
        case "hung":
            redis.signal(signal.SIGSTOP)
        case _:
            await proxy.set(Fault.BLACK_HOLE)


async def _bring_back(redis: Server, proxy: FaultProxy, how: str) -> None:
    match how:
        case "killed":
            redis.start()
        case "hung":
            redis.signal(signal.SIGCONT)
        case _:
            await proxy.set(Fault.NONE)


async def _without_redis(arena: Arena, how: str, seconds: float, percentile: int) -> None:
    """The few requests of a short run have no 99th percentile to speak of on a busy machine."""
    assert arena.redis is not None
    await _add(arena, lasts=None)
    async with FaultProxy(arena.redis.port) as proxy, stack(arena, store=f"redis://127.0.0.1:{proxy.port}") as running:
        await until(lambda: running.client.usable)
        idle = statistics.quantiles([each[1] for each in await running.drive(seconds / 2)], n=100)[percentile - 1]
        await _take_away(arena.redis, proxy, how)
        try:
            answers = await running.drive(seconds)
            ready = running.client.usable
        finally:
            await _bring_back(arena.redis, proxy, how)
        await until(lambda: running.client.reachable, seconds=30)
        failed = [status for status, _, _ in answers if status != 200]
        added = statistics.quantiles([each[1] for each in answers], n=100)[percentile - 1] - idle

        show("P-60", len(answers), len(failed), how=how, added_ms=round(added * 1000, 1))
        assert failed == []
        assert added <= 0.05
        assert ready
        assert "store.degraded store" in running.service.notes()


@pytest.mark.promise("P-60")
@pytest.mark.parametrize("how", ["killed", "hung", "black-holed"])
async def test_requests_go_on_while_redis_is_away(redis_arena: Arena, how: str) -> None:
    await _without_redis(redis_arena, how, 7.0, 90)


@pytest.mark.soak
@pytest.mark.timeout(900)
@pytest.mark.promise("P-60")
@pytest.mark.parametrize("how", ["killed", "hung", "black-holed"])
async def test_requests_go_on_while_redis_is_away_for_a_minute(redis_arena: Arena, how: str) -> None:
    await _without_redis(redis_arena, how, 60.0, 99)


async def _without_service(arena: Arena, lasts: float) -> None:
    await _add(arena, lasts=lasts)
    async with stack(arena) as running:
        await until(lambda: running.client.usable)
        [lease] = running.client.snapshot.leases
        running.service.signal(signal.SIGKILL)
        early = 0
        served = 0
        while time.time() < (lease.expires_at or 0.0) - 0.2:
            status, _, _ = await running.ask()
            early += status != 200
            served += 1
            await asyncio.sleep(1 / RATE)
        await asyncio.sleep(0.4)
        status, seconds, body = await running.ask()

        show("P-62", served, early, after=status)
        assert early == 0
        assert served > 10
        assert (status, body["type"]) == (503, "error")
        assert seconds < 1.0
        record = await arena.read("crd-upstream")
        await arena.vault.write_credential(
            credential("crd-upstream", kind=Kind.API_KEY, api_key="id.new", rotated_at=record.rotated_at),
            expected=record.version,
        )
        arena.spawn(0, socket=running.service.work.socket, token_file=running.service.work.token_file)
        await until(lambda: running.client.usable, seconds=10)
        assert (await running.ask())[0] == 200


@pytest.mark.promise("P-62")
async def test_a_gateway_serves_until_the_credential_ends_when_the_service_is_gone(redis_arena: Arena) -> None:
    await _without_service(redis_arena, 4.0)


@pytest.mark.soak
@pytest.mark.timeout(900)
@pytest.mark.promise("P-62")
async def test_a_gateway_serves_for_five_minutes_without_the_service(redis_arena: Arena) -> None:
    await _without_service(redis_arena, 300.0)


@pytest.mark.promise("P-62")
async def test_a_service_that_hangs_is_not_noticed_either(redis_arena: Arena) -> None:
    await _add(redis_arena, lasts=None)
    async with stack(redis_arena) as running:
        await until(lambda: running.client.usable)
        running.service.signal(signal.SIGSTOP)
        answers = await running.drive(2.0)
        running.service.signal(signal.SIGCONT)

        assert {status for status, _, _ in answers} == {200}


@pytest.mark.promise("P-61")
async def test_a_report_does_not_wait_for_a_store_that_hangs(redis_arena: Arena) -> None:
    await _add(redis_arena, lasts=None)
    assert redis_arena.redis is not None
    async with stack(redis_arena) as running:
        await until(lambda: running.client.usable)
        [lease] = running.client.snapshot.leases
        redis_arena.redis.signal(signal.SIGSTOP)
        begun = time.monotonic()
        with pytest.raises(Unavailable):
            await running.client.report(
                Report(credential_id=lease.credential_id, version=lease.version, kind=ReportKind.DISABLED)
            )
        took = time.monotonic() - begun
        redis_arena.redis.signal(signal.SIGCONT)

        assert took < 1.5
        assert running.client.usable
