"""From an upstream's body to a client's stream: turns, back-pressure, every way to end."""

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from services.chassis.process import Tasks
from services.gateway.downstream import AsgiDownstream
from services.gateway.event_stream import EventStream
from services.gateway.relay import StreamRelay
from services.gateway.translation.fault import Fault
from services.gateway.upstream.transport import ConnectionLost, TransportError
from tests.support.memory_client import MemoryClient, settle
from tests.support.memory_conversion import BROKEN, TRUNCATED, WordConversion
from tests.support.memory_upstream import MemoryAnswer

LOST = Fault(status=502, message="lost")


class Relayed:
    """An upstream's answer on its way to a client."""

    def __init__(self, tasks: Tasks, *, limit: int | None = None) -> None:
        self.client = MemoryClient()
        downstream = AsgiDownstream(self.client.receive, self.client.send, tasks)
        self.stream = EventStream(
            downstream, list, lambda fault: fault.message.encode(), now=time.monotonic(), hold=10.0, ping=15.0
        )
        self.answer = MemoryAnswer()
        self.conversion = WordConversion()
        self.relay = StreamRelay(self.answer, self.conversion, self.stream, downstream, self._fault_of, limit=limit)
        self.errors: list[TransportError] = []
        self.answer.consume(self.relay)

    def _fault_of(self, error: TransportError) -> Fault:
        self.errors.append(error)
        return LOST

    def open(self) -> None:
        """Let the client have its head, as the keeper does after a while."""
        self.stream.tick(time.monotonic() + 60)
        self.client.told.pop()

    @property
    def ended(self) -> bool:
        return self.relay.ended.done()

    @property
    def fault(self) -> Fault | None:
        return self.relay.ended.result()


@pytest.fixture
async def tasks() -> AsyncIterator[Tasks]:
    async with Tasks() as made:
        yield made


@pytest.fixture
async def relayed(tasks: Tasks) -> Relayed:
    return Relayed(tasks)


async def test_what_comes_in_one_read_goes_out_in_one_write(relayed: Relayed) -> None:
    relayed.answer.data(b"a b c")
    relayed.answer.data(b"-")
    relayed.answer.data(b"d")

    assert [message.get("body") for message in relayed.client.told] == [None, b"<a><b><c>", b"<d>"]
    assert relayed.relay.bytes_in == 7
    assert not relayed.ended


async def test_a_stream_ends_for_the_client_with_its_last_event(relayed: Relayed) -> None:
    relayed.answer.data(b"a .")
    assert (relayed.client.body, relayed.client.complete, relayed.ended) == (b"<a><end>", True, False)

    relayed.answer.data(b"late")
    relayed.answer.end()
    relayed.answer.end()

    assert relayed.fault is None
    assert relayed.client.body == b"<a><end>"


async def test_an_upstream_that_does_not_end_its_body_is_waited_for_only_briefly(relayed: Relayed) -> None:
    relayed.answer.data(b"a .")
    async with asyncio.timeout(2.0):
        assert await relayed.relay.ended is None


@pytest.mark.parametrize("late", [False, True])
async def test_an_error_is_a_status_while_that_can_be(relayed: Relayed, *, late: bool) -> None:
    if late:
        relayed.open()
    relayed.answer.data(b"!")

    assert relayed.fault is BROKEN
    assert (relayed.client.body, relayed.client.complete) == ((b"<error broken>", True) if late else (b"", False))
    assert relayed.stream.held is not late


async def test_an_error_after_the_first_event_is_an_event(relayed: Relayed) -> None:
    relayed.answer.data(b"a")
    relayed.answer.data(b"! b")

    assert relayed.fault is BROKEN
    assert relayed.client.complete
    assert relayed.client.body.startswith(b"<a><error broken>")


@pytest.mark.parametrize("begun", [False, True])
async def test_a_body_that_ends_too_early_is_an_error(relayed: Relayed, *, begun: bool) -> None:
    if begun:
        relayed.answer.data(b"a")
    relayed.answer.end()

    assert relayed.fault is TRUNCATED
    assert relayed.stream.held is not begun
    assert relayed.client.body == (b"<a><error truncated>" if begun else b"")


@pytest.mark.parametrize("begun", [False, True])
async def test_a_connection_that_is_lost_is_an_error(relayed: Relayed, *, begun: bool) -> None:
    if begun:
        relayed.answer.data(b"a")
    error = ConnectionLost("reset")
    relayed.answer.fail(error)
    relayed.answer.fail(error)

    assert relayed.fault is LOST
    assert relayed.errors == [error]
    assert relayed.stream.held is not begun
    assert relayed.client.body == (b"<a><error lost>" if begun else b"")


async def test_a_connection_that_is_lost_after_the_last_event_is_nobodys_loss(relayed: Relayed) -> None:
    relayed.answer.data(b"a .")
    relayed.answer.fail(ConnectionLost("reset"))

    assert relayed.fault is None
    assert relayed.client.body == b"<a><end>"


@pytest.mark.parametrize("lost", [False, True])
async def test_a_connection_that_ends_when_all_is_said_completes_the_stream(relayed: Relayed, *, lost: bool) -> None:
    relayed.answer.data(b"a ?")
    if lost:
        relayed.answer.fail(ConnectionLost("reset"))
    else:
        relayed.answer.end()

    assert relayed.fault is None
    assert relayed.client.body == b"<a><?><end>"
    assert relayed.client.complete


async def test_a10_11_when_all_is_said_silence_completes_the_stream(relayed: Relayed) -> None:
    started = time.monotonic()
    relayed.answer.data(b"a ?")
    await asyncio.sleep(0.5)
    relayed.answer.data(b"-")  # no news
    async with asyncio.timeout(3.0):
        assert await relayed.relay.ended is None

    assert relayed.client.body == b"<a><?><end>"
    assert 0.9 <= time.monotonic() - started <= 2.5


async def test_a10_12_what_comes_after_all_was_said_is_passed_on(relayed: Relayed) -> None:
    relayed.answer.data(b"a ?")
    await asyncio.sleep(0.6)
    relayed.answer.data(b"b ?")
    await asyncio.sleep(0.6)
    assert not relayed.ended
    relayed.answer.data(b".")
    relayed.answer.end()

    assert relayed.client.body == b"<a><?><b><?><end>"


async def test_a_client_that_does_not_keep_up_holds_the_upstream_back(relayed: Relayed) -> None:
    relayed.answer.data(b"a")
    relayed.client.stop_reading()
    relayed.answer.data(b"b")
    assert relayed.answer.paused
    await settle()
    assert relayed.answer.paused

    relayed.client.read_on()
    await settle()

    assert not relayed.answer.paused
    assert relayed.client.body == b"<a><b>"


async def test_silence_counts_only_while_the_upstream_is_read(relayed: Relayed) -> None:
    relayed.client.stop_reading()
    relayed.answer.data(b"a ?")
    await asyncio.sleep(1.2)
    assert not relayed.ended

    relayed.client.read_on()
    await asyncio.sleep(0.5)
    assert not relayed.ended
    async with asyncio.timeout(2.0):
        assert await relayed.relay.ended is None


async def test_a_client_that_catches_up_after_the_end_resumes_nothing(relayed: Relayed) -> None:
    relayed.client.stop_reading()
    relayed.answer.data(b"a")
    relayed.answer.fail(ConnectionLost("reset"))
    relayed.client.read_on()
    await settle()

    assert relayed.answer.paused
    assert relayed.client.body == b"<a><error lost>"


LARGE = b"word " * 20_000  # 100 kB
WRITTEN = LARGE.count(b"word")


async def test_a_large_read_is_taken_in_turns_with_the_upstream_paused(relayed: Relayed) -> None:
    relayed.answer.data(LARGE)
    assert relayed.answer.paused
    assert len(relayed.conversion.fed) == 1
    await settle()

    assert not relayed.answer.paused
    assert len(relayed.conversion.fed) == 7
    assert max(relayed.conversion.fed) <= 16 * 1024
    assert relayed.relay.bytes_in == len(LARGE)


async def test_what_comes_during_the_turns_waits_for_its_own(relayed: Relayed) -> None:
    """A transport may have more at hand when it is paused."""
    relayed.answer.data(LARGE)
    relayed.answer.data(b"more ")
    relayed.answer.end()
    assert not relayed.ended
    await settle()

    assert relayed.fault is TRUNCATED
    assert relayed.client.body.endswith(b"<more><error truncated>")


@pytest.mark.parametrize("end", ["whole", "lost"])
async def test_the_end_waits_for_the_turns_before_it(relayed: Relayed, end: str) -> None:
    relayed.answer.data(LARGE + b".")
    if end == "whole":
        relayed.answer.end()
    else:
        relayed.answer.fail(ConnectionLost("reset"))
    assert not relayed.ended
    await settle()

    assert relayed.fault is None
    assert relayed.client.body.endswith(b"<end>")
    assert relayed.client.complete


async def test_the_framed_end_is_read_after_the_last_turn(relayed: Relayed) -> None:
    relayed.answer.data(LARGE + b".")
    await settle()

    assert not relayed.answer.paused
    assert relayed.client.complete
    assert not relayed.ended
    relayed.answer.end()
    assert relayed.fault is None


async def test_a_failure_waits_for_the_turns_before_it(relayed: Relayed) -> None:
    relayed.answer.data(LARGE)
    relayed.answer.fail(ConnectionLost("reset"))
    await settle()

    assert relayed.fault is LOST
    assert relayed.client.body.endswith(b"<error lost>")
    assert sum(relayed.conversion.fed) == len(LARGE)


async def test_turns_wait_for_a_client_that_does_not_keep_up(relayed: Relayed) -> None:
    relayed.answer.data(b"a")
    relayed.client.stop_reading()
    relayed.answer.data(LARGE)
    await settle()
    assert len(relayed.conversion.fed) == 2

    relayed.client.read_on()
    await settle()
    await settle()

    assert not relayed.answer.paused
    assert sum(relayed.conversion.fed) == len(LARGE) + 1


async def test_a_client_that_catches_up_with_a_keep_alive_changes_nothing(relayed: Relayed) -> None:
    """It was not this stream's writing that waited for it."""
    relayed.client.stop_reading()
    relayed.stream.tick(time.monotonic() + 60)
    relayed.answer.pause()
    relayed.client.read_on()
    await settle()

    assert relayed.answer.paused


async def test_timers_end_with_a_call_that_is_given_up(relayed: Relayed) -> None:
    relayed.answer.data(b"a .")
    relayed.relay.ended.cancel()
    await asyncio.sleep(0.7)

    assert relayed.relay.ended.cancelled()


async def test_turns_end_with_a_call_that_is_given_up(relayed: Relayed) -> None:
    relayed.answer.data(LARGE)
    relayed.relay.ended.cancel()
    await settle()

    assert len(relayed.conversion.fed) == 1


async def test_turns_end_with_an_error_among_them(relayed: Relayed) -> None:
    relayed.answer.data(LARGE + b"! " + LARGE)
    await settle()

    assert relayed.fault is BROKEN
    assert sum(relayed.conversion.fed) < len(LARGE) + 2 * 16 * 1024


async def test_silence_counts_after_the_last_turn(relayed: Relayed) -> None:
    relayed.answer.data(LARGE + b"?")
    async with asyncio.timeout(3.0):
        assert await relayed.relay.ended is None

    assert relayed.client.body.endswith(b"<?><end>")


async def test_a_body_above_the_limit_is_an_error(tasks: Tasks) -> None:
    relayed = Relayed(tasks, limit=10)
    relayed.answer.data(b"12345")
    relayed.answer.data(b"678901")

    assert relayed.fault is LOST
    assert "larger than 10 bytes" in str(relayed.errors[0])
