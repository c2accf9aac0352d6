"""
P-44: clients that do not read hold the upstream back and cost little, and are dropped in the end.

The upstream runs as a process of its own, so that the memory measured is the gateway's. A tenth of the clients in CI,
all under `make soak`; the write timeout is scaled down from 30 s.
"""

import asyncio
import time
from contextlib import AsyncExitStack
from typing import Any

import pytest

from services.gateway.wire.formats import WireFormat
from tests.support.at_rest import at_rest
from tests.support.chat_sockets import chat_request, checked, complete, read_answer, streamed
from tests.support.dialects import ANTHROPIC, OPENAI
from tests.support.event_loops import BOTH_LOOPS
from tests.support.flooding_upstream import flooding_upstream
from tests.support.gateway import RunningGateway
from tests.support.loop_lag import loop_lag
from tests.support.memory import Growth, resident_growth
from tests.support.promises import show
from tests.support.raw_http import RawClient, raw_client
from tests.support.untapped_gateway import untapped_gateway

STALL = 2.0
KIB_EACH = 256
LITTLE = 4096  # bytes a client's kernel takes


@pytest.fixture(**BOTH_LOOPS)
def anyio_backend(request: pytest.FixtureRequest) -> Any:
    return request.param


async def _measured(growth: Growth, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        growth.measure()
        await asyncio.sleep(0.05)


async def _dropped(gateway: RunningGateway, seconds: float) -> float:
    """Return after how many seconds no client is left."""
    started = time.monotonic()
    for _ in range(int(seconds / 0.05)):
        if not gateway.server.sites[0].connections:
            break
        await asyncio.sleep(0.05)
    return time.monotonic() - started


@pytest.mark.promise("P-44")
@pytest.mark.promise("P-71")
@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    "clients", [pytest.param(20, id="a tenth"), pytest.param(200, id="all", marks=pytest.mark.soak)]
)
@pytest.mark.parametrize("client_format", [OPENAI, ANTHROPIC], ids=["passed on", "translated"])
async def test_clients_that_never_read_pause_the_upstream_and_are_dropped(
    client_format: WireFormat, clients: int
) -> None:
    limits = {"write_stall": STALL, "streams": clients, "upstream_connections": clients}
    async with AsyncExitStack() as stack:
        upstream = await stack.enter_async_context(flooding_upstream())
        gateway = await stack.enter_async_context(
            untapped_gateway(upstream.origin, upstream_format="openai", limits=limits)
        )
        deaf = [
            await stack.enter_async_context(raw_client(gateway.port, receive_buffer=LITTLE)) for _ in range(clients)
        ]
        await _once(gateway.port, client_format)
        with resident_growth() as growth, loop_lag() as lag:
            for client in deaf:
                await client.send(chat_request(client_format))
            await _measured(growth, STALL / 2)
            paused = await upstream.sent()
            await _measured(growth, STALL / 4)
            later = await upstream.sent()
            took = await _dropped(gateway, STALL + 3.0)
        assert await at_rest(gateway) == {}
        refusals = gateway.server.sites[0].guard.refusals
    kib = growth.mib * 1024 / clients
    cost = {"kib_each": round(kib), "seconds": round(took, 2), "lag_ms": round(lag.worst * 1000, 1)}
    show("P-44", clients, clients - refusals["stalled"], **cost)

    assert paused == later
    assert len(paused) == clients + 1
    assert kib <= KIB_EACH
    assert lag.worst <= 0.2
    assert refusals["stalled"] == clients
    assert took <= STALL + 1.0


async def _once(port: int, dialect: WireFormat) -> None:
    """Let everything that is made once be made before memory is measured."""
    async with raw_client(port) as client:
        await client.send(chat_request(dialect))
        while len(await asyncio.get_running_loop().sock_recv(client.socket, 65536)) < 1000:
            pass


async def _reluctantly(client: RawClient) -> bytes:
    """Read an answer in sips, so that the gateway finds the socket full again and again."""
    data = bytearray()
    while not complete(data):
        await asyncio.sleep(0.001)
        piece = await asyncio.get_running_loop().sock_recv(client.socket, 65536)
        assert piece, "the gateway hung up"
        data += piece
    return bytes(data)


async def test_a_slow_client_gets_every_byte_and_the_end(
    far_simulator: str, client_format: WireFormat, upstream_format: WireFormat
) -> None:
    events = 5000
    async with (
        untapped_gateway(far_simulator, upstream_format=upstream_format.value) as gateway,
        raw_client(gateway.port, receive_buffer=LITTLE) as client,
    ):
        await client.send(chat_request(client_format, f"sim:events={events}"))
        await asyncio.sleep(0.3)
        answer = streamed(await _reluctantly(client))
        assert await at_rest(gateway) == {}

    said = checked(client_format, answer.body, upstream_format)
    assert said.error is None
    assert said.text == "(simulated)" + "".join(f" w{n}" for n in range(1, events))


async def test_streams_of_any_length_reach_their_end_when_their_clients_pause(
    far_simulator: str, client_format: WireFormat
) -> None:
    """A request's work may be done while its last events still wait for the client: they must not be cut off with it."""
    lengths = range(1400, 2400, 25)

    async def read_late(gateway: RunningGateway, events: int) -> bytes:
        async with raw_client(gateway.port, receive_buffer=LITTLE) as client:
            await client.send(chat_request(client_format, f"sim:events={events}"))
            await asyncio.sleep(0.5)
            return (await read_answer(client)).data

    async with untapped_gateway(far_simulator, upstream_format="openai") as gateway:
        answers = await asyncio.gather(*(read_late(gateway, events) for events in lengths))
        assert await at_rest(gateway) == {}

    cut_off = [events for events, data in zip(lengths, answers, strict=True) if not streamed(data).whole]
    assert cut_off == []
