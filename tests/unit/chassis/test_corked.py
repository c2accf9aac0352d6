"""What clients are written goes out in a row at the end of a turn; its order, and what closes a connection, are kept."""

import asyncio
import logging
from typing import Any

import pytest

from services.chassis.corked import Cork, CorkedTransport

_LARGE = 32 * 1024


class Wire(asyncio.Transport):
    """A socket that takes everything, and remembers in which order it was asked for what."""

    def __init__(self, log: list[tuple[str, object]], name: str = "") -> None:
        super().__init__()
        self._log = log
        self._name = name
        self.broken = False
        self.closing = False

    def write(self, data: "bytes | bytearray | memoryview[Any]") -> None:
        if self.broken:
            raise RuntimeError("no handle")
        self._log.append((f"{self._name}write", bytes(data)))

    def close(self) -> None:
        self.closing = True
        self._log.append((f"{self._name}close", None))

    def abort(self) -> None:
        self.closing = True
        self._log.append((f"{self._name}abort", None))

    def write_eof(self) -> None:
        self._log.append(("eof", None))

    def is_closing(self) -> bool:
        return self.closing

    def get_write_buffer_size(self) -> int:
        return 1000

    def pause_reading(self) -> None:
        self._log.append(("pause", None))

    def resume_reading(self) -> None:
        self._log.append(("resume", None))


class Bench:
    """Connections of one event loop."""

    def __init__(self) -> None:
        self.log: list[tuple[str, object]] = []
        self.cork = Cork()
        self.served = {"one", "another"}

    def connect(self, name: str = "") -> tuple[Wire, CorkedTransport]:
        wire = Wire(self.log, name)
        return wire, CorkedTransport(wire, self.cork, asyncio.get_running_loop(), self.served)


async def turn() -> None:
    await asyncio.sleep(0)


async def test_who_is_served_alone_is_told_nothing_on_a_connection_that_closes() -> None:
    bench = Bench()
    wire, one = bench.connect()
    bench.served.clear()
    wire.closing = True
    one.write(b"late")
    await turn()

    assert bench.log == []


async def test_who_is_served_alone_waits_for_nobody() -> None:
    bench = Bench()
    _, one = bench.connect()
    bench.served.remove("another")
    one.write(b"a")
    assert bench.log == [("write", b"a")]
    bench.served.add("another")
    one.write(b"b")
    bench.served.remove("another")
    one.write(b"c")  # behind what waits, and not past it

    assert bench.log == [("write", b"a")]
    await turn()
    assert bench.log == [("write", b"a"), ("write", b"bc")]


async def test_all_that_a_turn_has_to_say_goes_out_at_its_end_one_piece_for_each_client() -> None:
    bench = Bench()
    (_, one), (_, other) = bench.connect("one "), bench.connect("other ")
    one.write(b"a")
    other.write(b"b")
    one.write(bytearray(b"c"))
    one.writelines([b"d", b"e"])
    assert bench.log == []

    await turn()

    assert bench.log == [("one write", b"acde"), ("other write", b"b")]


async def test_the_next_turn_has_its_own_end() -> None:
    bench = Bench()
    _, client = bench.connect()
    for word in (b"a", b"b", b"c"):
        client.write(word)
        await turn()

    assert bench.log == [("write", b"a"), ("write", b"b"), ("write", b"c")]


async def test_much_goes_out_at_once_and_in_order() -> None:
    bench = Bench()
    _, client = bench.connect()
    client.write(b"first")
    client.write(b"x" * _LARGE)
    assert bench.log == [("write", b"first" + b"x" * _LARGE)]
    client.write(b"last")
    await turn()
    await turn()

    assert bench.log[1:] == [("write", b"last")]


async def test_what_waits_counts_as_unsent() -> None:
    _, client = Bench().connect()
    client.write(b"12345")
    assert client.get_write_buffer_size() == 1005

    await turn()

    assert client.get_write_buffer_size() == 1000


@pytest.mark.parametrize("end", ["close", "write_eof"])
async def test_an_end_comes_behind_what_waits(end: str) -> None:
    bench = Bench()
    _, client = bench.connect()
    client.write(b"the last word")
    getattr(client, end)()
    await turn()

    assert bench.log == [("write", b"the last word"), ({"write_eof": "eof"}.get(end, end), None)]


async def test_an_abort_drops_what_waits() -> None:
    bench = Bench()
    _, client = bench.connect()
    client.write(b"never heard")
    client.abort()
    await turn()

    assert bench.log == [("abort", None)]


async def test_a_client_that_left_is_written_nothing() -> None:
    bench = Bench()
    wire, client = bench.connect()
    client.write(b"never heard")
    wire.closing = True
    await turn()

    assert bench.log == []
    assert client.is_closing()


async def test_a_connection_that_cannot_be_written_to_keeps_no_other_waiting(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.ERROR)
    bench = Bench()
    (wire, broken), (_, good) = bench.connect("broken "), bench.connect("good ")
    wire.broken = True
    broken.write(b"a")
    good.write(b"b")
    await turn()

    assert bench.log == [("broken abort", None), ("good write", b"b")]
    assert [record.getMessage() for record in caplog.records] == [
        "a client's connection cannot be written to: RuntimeError"
    ]


async def test_reading_is_the_real_transports() -> None:
    bench = Bench()
    _, client = bench.connect()
    client.pause_reading()
    client.resume_reading()

    assert bench.log == [("pause", None), ("resume", None)]


async def test_everything_else_is_a_real_sockets() -> None:
    """Over uvloop or asyncio's own sockets: what the wrapper passes on is what they answer."""
    made: asyncio.Future[CorkedTransport] = asyncio.get_running_loop().create_future()
    cork = Cork()

    class Server(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            assert isinstance(transport, asyncio.Transport)
            made.set_result(CorkedTransport(transport, cork, asyncio.get_running_loop(), (1, 2)))

    server = await asyncio.get_running_loop().create_server(Server, "127.0.0.1", 0)
    async with server:
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        client = await made
        client.set_write_buffer_limits(high=4000, low=1000)
        assert client.get_write_buffer_limits() == (1000, 4000)
        assert (client.is_reading(), client.can_write_eof(), client.is_closing()) == (True, True, False)
        assert client.get_extra_info("peername") == writer.get_extra_info("sockname")
        protocol = client.get_protocol()
        client.set_protocol(protocol)
        client.write(b"good")
        client.write(b"bye")
        client.close()
        assert await reader.read() == b"goodbye"
        writer.close()
        await writer.wait_closed()
