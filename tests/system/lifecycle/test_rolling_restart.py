"""A rolling restart of every gateway behind a real haproxy cuts no stream and refuses no request (P-63)."""

import asyncio
import time
from pathlib import Path

import httpx2
import pytest

from tests.support.fleet import CLIENT_KEY, Fleet
from tests.support.haproxy import haproxy
from tests.support.redis_server import free_port
from tests.support.simulator_process import simulator_process

ENDS = {"/v1/chat/completions": b"data: [DONE]", "/v1/messages": b"event: message_stop"}


class Traffic:
    """Streams that are always open, each replaced by another when it ends, and short requests between them."""

    def __init__(self, address: str, *, streams: int, seconds: float) -> None:
        self._address = address
        self._streams = streams
        self._model = f"sim:events=60;pace={int(seconds * 1000 / 60)}ms"
        self.whole = self.short = 0
        self.faults: list[str] = []
        self.ending = asyncio.Event()

    async def run(self) -> None:
        limits = httpx2.Limits(max_connections=None, max_keepalive_connections=64)
        async with (
            httpx2.AsyncClient(timeout=120, limits=limits, trust_env=False) as client,
            asyncio.TaskGroup() as group,
        ):
            for number in range(self._streams):
                _ = group.create_task(self._stream_on(client, number))
            for _n in range(4):
                _ = group.create_task(self._ask_on(client))

    async def _stream_on(self, client: httpx2.AsyncClient, number: int) -> None:
        path = list(ENDS)[number % 2]
        await asyncio.sleep(number * 0.01)  # not all in the same instant
        while not self.ending.is_set():
            try:
                async with client.stream(
                    "POST", self._address + path, json=self._question(True), headers=_KEY
                ) as answer:
                    body = await answer.aread()
            except httpx2.HTTPError as error:
                self.faults.append(f"{path}: {type(error).__name__} {error}")
                continue
            if answer.status_code != 200 or not body.rstrip().endswith((ENDS[path], b'{"type":"message_stop"}')):
                self.faults.append(f"{path}: {answer.status_code} {body[-200:]!r}")
            else:
                self.whole += 1

    async def _ask_on(self, client: httpx2.AsyncClient) -> None:
        while not self.ending.is_set():
            try:
                answer = await client.post(self._address + "/v1/messages", json=self._question(False), headers=_KEY)
            except httpx2.HTTPError as error:
                self.faults.append(f"short: {type(error).__name__} {error}")
                continue
            self.short += answer.status_code == 200
            if answer.status_code != 200:
                self.faults.append(f"short: {answer.status_code} {answer.content[:200]!r}")
            await asyncio.sleep(0.02)

    def _question(self, stream: bool) -> dict[str, object]:
        messages = [{"role": "user", "content": "hello"}]
        return {
            "model": self._model if stream else "sim:events=2",
            "max_tokens": 64,
            "stream": stream,
            "messages": messages,
        }


_KEY = {"authorization": f"Bearer {CLIENT_KEY}"}


async def _restart_all(directory: Path, *, streams: int, seconds: float, drain_wait: float) -> Traffic:
    with (
        simulator_process() as origin,
        Fleet(directory, origin, count=3, limits={"drain": 120, "streams": 500}) as fleet,
        haproxy(directory, free_port(), fleet.ports) as address,
    ):
        traffic = Traffic(address, streams=streams, seconds=seconds)
        running = asyncio.ensure_future(traffic.run())
        await asyncio.sleep(min(2.0, seconds))
        for at in range(len(fleet.members)):
            code = await asyncio.to_thread(fleet.replace, at, drain_wait=drain_wait, grace=seconds + 60)
            if code:
                traffic.faults.append(f"gateway {at} left with {code}")
        traffic.ending.set()
        await running
    return traffic


@pytest.mark.timeout(300)  # a busy machine starts six gateways slowly
@pytest.mark.promise("P-63")
async def test_a_rolling_restart_cuts_no_stream_and_refuses_no_request(tmp_path: Path) -> None:
    traffic = await _restart_all(tmp_path, streams=30, seconds=3.0, drain_wait=1.0)

    assert [] == traffic.faults
    assert traffic.whole >= 30 + 15
    assert traffic.short > 50


@pytest.mark.soak
@pytest.mark.timeout(900)
@pytest.mark.promise("P-63")
async def test_200_streams_of_30_seconds_outlive_the_restart_of_every_gateway(tmp_path: Path) -> None:
    began = time.monotonic()
    traffic = await _restart_all(tmp_path, streams=200, seconds=30.0, drain_wait=3.0)

    print(f"P-63: {traffic.whole} streams, {traffic.short} requests, {time.monotonic() - began:.0f} s")
    assert [] == traffic.faults
    assert traffic.whole >= 400
