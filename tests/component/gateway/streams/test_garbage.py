"""
A request that is over is gone: nothing of it waits for the garbage collector.

Cycles would keep request bodies for thousands of requests, and then hold the event loop while they are collected
(promises.md P-71; measured: 0.17 s every 4,000 aborted streams, before there was this test).
"""

import asyncio
import gc
from collections import Counter
from collections.abc import Iterator

import pytest

from services.gateway.wire.formats import WireFormat
from tests.support.at_rest import at_rest
from tests.support.chat_sockets import chat_request, read_answer
from tests.support.gateway import RunningGateway
from tests.support.raw_http import raw_client
from tests.support.untapped_gateway import untapped_gateway

SCRIPTS = [
    "events=5",
    "error=1210",
    "events=9;cut=700;end=rst",
    "error=1302;at=first",
    "answer=json;events=3",
    "tools=2",
]

pytestmark = pytest.mark.promise("P-71")


@pytest.fixture
def saved() -> Iterator[list[object]]:
    """Keep what the collector finds instead of freeing it; `_fresh` says from when on."""
    gc.disable()
    try:
        yield gc.garbage
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()


async def _answered(gateway: RunningGateway, dialect: WireFormat, script: str) -> None:
    for stream in (True, False):
        async with raw_client(gateway.port) as client:
            await client.send(chat_request(dialect, f"sim:{script}", stream=stream))
            await read_answer(client)


async def _left(gateway: RunningGateway, dialect: WireFormat, script: str) -> None:
    for stream in (True, False):
        async with raw_client(gateway.port) as client:
            await client.send(chat_request(dialect, f"sim:{script}", stream=stream))
            await asyncio.sleep(0.02)
    assert await at_rest(gateway) == {}


def _fresh(found: list[object]) -> None:
    """Forget what other tests have left behind."""
    gc.set_debug(0)
    while gc.collect():
        pass
    found.clear()
    gc.set_debug(gc.DEBUG_SAVEALL)


def _ours(found: list[object]) -> Counter[str]:
    gc.collect()
    return Counter(type(one).__name__ for one in found if type(one).__module__.startswith("services.gateway"))


async def test_an_answered_request_leaves_no_garbage(
    far_simulator: str, client_format: WireFormat, upstream_format: WireFormat, saved: list[object]
) -> None:
    limits = {"retries": 1}
    async with untapped_gateway(far_simulator, upstream_format=upstream_format.value, limits=limits) as gateway:
        _fresh(saved)
        for script in SCRIPTS:
            await _answered(gateway, client_format, script)
            assert _ours(saved) == {}, script


async def test_an_aborted_request_leaves_no_garbage(
    far_simulator: str, client_format: WireFormat, upstream_format: WireFormat, saved: list[object]
) -> None:
    async with untapped_gateway(far_simulator, upstream_format=upstream_format.value) as gateway:
        _fresh(saved)
        for script in ("stall=head", "stall=body", "events=9;stall=mid-event", "error=500;stall=body", "error=1305"):
            await _left(gateway, client_format, script)
            assert _ours(saved) == {}, script
