"""A rolling restart of every gateway behind a real haproxy cuts no stream and refuses no request (P-63)."""

import asyncio
import time
from pathlib import Path

import pytest

from tests.support.fleet import CLIENT_KEY, Fleet
from tests.support.haproxy import haproxy
from tests.support.redis_server import free_port
from tests.support.simulator_process import simulator_process
from tests.support.traffic import Traffic


async def _restart_all(directory: Path, *, streams: int, seconds: float, drain_wait: float) -> Traffic:
    with (
        simulator_process() as origin,
        Fleet(directory, origin, count=3, limits={"drain": 120, "streams": 500}) as fleet,
        haproxy(directory, free_port(), fleet.ports) as address,
    ):
        traffic = Traffic(address, CLIENT_KEY, streams=streams, seconds=seconds)
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
