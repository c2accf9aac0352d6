"""The race between addresses, on real sockets; TLS and the time limit are the contract suite's."""

import asyncio
import socket
from collections.abc import Iterator

import pytest

from services.gateway.upstream.dial import Address, alternate, connect_first, resolve

V4, V6 = socket.AF_INET, socket.AF_INET6


@pytest.fixture
def listening() -> Iterator[Address]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield V4, server.getsockname()


@pytest.fixture
def refusing() -> Iterator[Address]:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        yield V4, unused.getsockname()


@pytest.fixture
def stuck() -> Iterator[Address]:
    """An address where connecting takes for ever: the queue of a server that does not accept is full."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as server:
        fillers = []
        for _ in range(4):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(server.getsockname())
            fillers.append(filler)
        yield V4, server.getsockname()
        for filler in fillers:
            filler.close()


@pytest.mark.parametrize(
    ("host", "expected"),
    [("127.0.0.1", [(V4, ("127.0.0.1", 80))]), ("::1", [(V6, ("::1", 80, 0, 0))])],
)
async def test_literal_addresses_are_not_looked_up(host: str, expected: list[Address]) -> None:
    assert await resolve(host, 80) == expected


async def test_names_are() -> None:
    assert (V4, ("127.0.0.1", 80)) in await resolve("localhost", 80)


def test_families_alternate_from_the_resolvers_first_choice() -> None:
    six = [(V6, (f"::{number}", 1, 0, 0)) for number in range(3)]
    four = [(V4, (f"127.0.0.{number}", 1)) for number in range(2)]
    assert alternate([*six, *four]) == [six[0], four[0], six[1], four[1], six[2]]
    assert alternate(list(four)) == four


async def test_next_address_is_tried_at_once_when_one_refuses(refusing: Address, listening: Address) -> None:
    async with asyncio.timeout(1):
        sock = await connect_first([refusing, refusing, listening], head_start=30)
    assert sock.getpeername() == listening[1]
    assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
    sock.close()


async def test_next_address_is_tried_after_the_head_start_when_one_hangs(stuck: Address, listening: Address) -> None:
    async with asyncio.timeout(2):
        sock = await connect_first([stuck, listening], head_start=0.05)
    assert sock.getpeername() == listening[1]
    sock.close()


async def test_first_addresss_error_is_raised_when_all_refuse(refusing: Address) -> None:
    with pytest.raises(ConnectionRefusedError):
        await connect_first([refusing, refusing])


async def test_cancelling_the_race_closes_every_socket(stuck: Address) -> None:
    race = asyncio.ensure_future(connect_first([stuck, stuck, stuck], head_start=0.01))
    await asyncio.sleep(0.05)
    race.cancel()
    with pytest.raises(asyncio.CancelledError):
        await race  # an unclosed socket would warn, and warnings are errors
