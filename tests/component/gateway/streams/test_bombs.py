"""
P-46, P-71: answers made to exhaust whoever reads them are cut at a limit, cheaply and without making others wait.

The simulator runs as a process of its own, so that memory and lag are the gateway's. Limits are the defaults.
"""

import asyncio

import pytest

from services.gateway.wire.formats import WireFormat
from tests.support.at_rest import at_rest
from tests.support.chat_sockets import Streamed, chat_request, checked, complete, streamed
from tests.support.gateway import RunningGateway
from tests.support.loop_lag import loop_lag
from tests.support.memory import Growth, resident_growth
from tests.support.promises import show
from tests.support.raw_http import RawClient, raw_client
from tests.support.untapped_gateway import untapped_gateway

MIB_MORE = 32
LAG = 0.2
_KEPT = 2 * 1024 * 1024

pytestmark = [pytest.mark.promise("P-46"), pytest.mark.promise("P-71"), pytest.mark.timeout(300)]


async def _bombed(gateway: RunningGateway, request: bytes) -> Streamed:
    """Send a request and check what its answer costs; of that only the beginning is kept, and framed anew."""
    with resident_growth() as growth, loop_lag() as lag:
        watching = asyncio.ensure_future(_watched(growth))
        async with raw_client(gateway.port) as client:
            await client.send(request)
            kept = await _beginning(client)
        watching.cancel()
    show("P-46", 1, 0, grown_mib=round(growth.mib, 1), lag_ms=round(lag.worst * 1000, 1))
    assert await at_rest(gateway) == {}
    assert growth.mib <= MIB_MORE
    assert lag.worst <= LAG
    return streamed(kept)


async def _watched(growth: Growth) -> None:
    """See what is held only until the answer is refused, too."""
    while True:
        growth.measure()
        await asyncio.sleep(0.002)


async def _beginning(client: RawClient) -> bytes:
    """Read an answer to its end, keeping some of it."""
    loop = asyncio.get_running_loop()
    kept, last = bytearray(), b""
    while not (last.endswith(b"0\r\n\r\n") or complete(kept)):
        piece = await loop.sock_recv(client.socket, 65536)
        assert piece, "the gateway hung up"
        kept += piece[: _KEPT - len(kept)]
        last = (last + piece)[-8:]
    return bytes(kept)


@pytest.mark.parametrize("bomb", ["gzip", "line", "headers"])
@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
async def test_a_bomb_costs_little_and_is_refused_or_passed_on_as_it_came(
    far_simulator: str, client_format: WireFormat, upstream_format: WireFormat, bomb: str, *, stream: bool
) -> None:
    async with untapped_gateway(far_simulator, upstream_format=upstream_format.value) as gateway:
        answer = await _bombed(gateway, chat_request(client_format, f"sim:bomb={bomb}", stream=stream))

    if bomb == "gzip" and client_format is upstream_format:
        # A megabyte of gzip is nothing to pass on; what it unpacks to is for the client to limit.
        assert (answer.status, answer.header(b"content-encoding")) == (200, b"gzip")
    else:
        assert answer.status == 502


@pytest.mark.parametrize(
    "events", [pytest.param("100k", id="a tenth"), pytest.param("1m", id="all", marks=pytest.mark.soak)]
)
@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
async def test_a_flood_of_tiny_events_holds_nobody_up(
    far_simulator: str, client_format: WireFormat, upstream_format: WireFormat, events: str, *, stream: bool
) -> None:
    async with untapped_gateway(far_simulator, upstream_format=upstream_format.value) as gateway:
        request = chat_request(client_format, f"sim:bomb=events;size={events}", stream=stream)
        answer = await _bombed(gateway, request)

    if answer.status == 200 and answer.whole:
        assert checked(client_format, answer.body, upstream_format).error is not None
    elif answer.status != 200:
        assert answer.status == 502
