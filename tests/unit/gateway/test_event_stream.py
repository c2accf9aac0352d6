"""The client's end of a stream: held, open, closed; silence, failure and the end of the process."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from services.chassis.process import Tasks
from services.gateway.downstream import AsgiDownstream
from services.gateway.event_stream import COMMENT, EventStream, Keeper
from services.gateway.translation.fault import Fault
from tests.support.memory_client import MemoryClient
from tests.support.memory_conversion import BROKEN, WordConversion

HEAD = [(b"content-type", b"text/event-stream")]
HOLD, PING = 10.0, 15.0
BORN = 100.0  # monotonic seconds


class Served:
    """A stream and its client."""

    def __init__(self, tasks: Tasks) -> None:
        self.client = MemoryClient()
        self.downstream = AsgiDownstream(self.client.receive, self.client.send, tasks)
        self.interrupted = 0
        self.stream = EventStream(self.downstream, lambda: HEAD, _error_event, now=BORN, hold=HOLD, ping=PING)

    def interrupt(self) -> None:
        self.interrupted += 1


def _error_event(fault: Fault) -> bytes:
    return b"<early error %b>" % fault.message.encode()


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    async with Tasks() as tasks:
        yield Served(tasks)


async def test_nothing_goes_out_before_the_first_event(served: Served) -> None:
    served.stream.tick(BORN + HOLD - 0.1)

    assert served.stream.held
    assert not served.stream.closed
    assert served.client.told == []


async def test_the_first_event_opens_the_stream(served: Served) -> None:
    assert served.stream.write(b"a", BORN + 1)
    assert served.stream.write(b"b", BORN + 2)
    served.stream.close(b"c")

    assert (served.client.status, served.client.headers) == (200, dict(HEAD))
    assert (served.client.body, served.client.complete) == (b"abc", True)
    assert served.stream.first_event_at == BORN + 1
    assert served.stream.closed


async def test_a_held_stream_opens_when_its_time_is_over_and_is_kept_alive(served: Served) -> None:
    served.stream.tick(BORN + HOLD)
    assert served.client.body == COMMENT
    served.stream.tick(BORN + HOLD + PING - 1)
    assert served.client.body == COMMENT
    served.stream.tick(BORN + HOLD + PING)
    assert served.client.body == COMMENT * 2

    served.stream.write(b"a", BORN + 60)
    assert served.stream.first_event_at == BORN + 60


async def test_b92_a_keep_alive_is_the_conversions_own_once_it_has_begun(served: Served) -> None:
    conversion = WordConversion()
    served.stream.attach(conversion)
    served.stream.tick(BORN + HOLD)
    served.stream.write(conversion.feed(b"a"), BORN + 20)
    served.stream.tick(BORN + 20 + PING - 1)
    served.stream.tick(BORN + 20 + PING)

    assert served.client.body == COMMENT + b"<a><ping>"


async def test_a_closed_stream_is_left_alone(served: Served) -> None:
    served.stream.close(b"a")
    served.stream.close(b"b")
    served.stream.fail(BROKEN)
    served.stream.cut(BROKEN)
    served.stream.tick(BORN + 1000)

    assert served.client.body == b"a"
    assert served.stream.cut_by is None


async def test_a_failure_before_the_first_event_is_written_by_the_dialect(served: Served) -> None:
    served.stream.attach(WordConversion())
    served.stream.tick(BORN + HOLD)
    served.stream.fail(BROKEN)

    assert served.client.body == COMMENT + b"<early error broken>"
    assert served.client.complete


async def test_a_failure_after_the_first_event_is_written_by_the_conversion(served: Served) -> None:
    conversion = WordConversion()
    served.stream.attach(conversion)
    served.stream.write(conversion.feed(b"a"), BORN)
    served.stream.fail(BROKEN)

    assert served.client.body == b"<a><error broken>"
    assert served.client.complete


async def test_nothing_of_ours_is_put_into_a_compressed_stream(served: Served) -> None:
    served.stream.coded = True
    served.stream.tick(BORN + HOLD)
    assert (served.client.status, served.client.body) == (200, b"")
    served.stream.write(b"\x1f\x8b", BORN + 20)
    served.stream.tick(BORN + 60)
    served.stream.fail(BROKEN)

    assert served.client.body == b"\x1f\x8b"
    assert not served.client.complete  # which is how the client sees that it is not whole
    assert served.stream.closed


async def test_a_stream_that_is_cut_while_open_ends_with_an_error(served: Served) -> None:
    served.stream.on_cut(served.interrupt)
    served.stream.write(b"a", BORN)
    served.stream.cut(BROKEN)

    assert served.client.body == b"a<early error broken>"
    assert (served.client.complete, served.interrupted, served.stream.cut_by) == (True, 1, BROKEN)


async def test_a_stream_that_is_cut_while_held_is_left_to_its_exchange(served: Served) -> None:
    served.stream.cut(BROKEN)
    served.stream.on_cut(served.interrupt)
    served.stream.cut(BROKEN)

    assert served.client.told == []
    assert (served.stream.held, served.interrupted, served.stream.cut_by) == (True, 1, BROKEN)


async def test_a_keeper_ticks_its_streams_until_they_are_removed(served: Served) -> None:
    keeper = Keeper(0.01)
    stream = EventStream(served.downstream, lambda: HEAD, _error_event, now=0.0, hold=0.0, ping=0.0)
    keeper.add(stream)
    keeper.add(stream)
    assert len(keeper) == 1

    await asyncio.sleep(0.05)
    alive = served.client.body.count(COMMENT)
    keeper.remove(stream)
    await asyncio.sleep(0.03)

    assert alive >= 2
    assert served.client.body.count(COMMENT) == alive
    assert len(keeper) == 0
    keeper.add(stream)
    await asyncio.sleep(0.03)
    assert served.client.body.count(COMMENT) > alive
    keeper.remove(stream)


async def test_a_keeper_survives_a_stream_that_cannot_be_ticked(
    served: Served,
) -> None:
    class Hostile(EventStream):
        def tick(self, now: float) -> None:
            keeper.remove(self)
            raise OSError(now)

    keeper = Keeper(0.01)
    failures: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: failures.append(context["exception"]))
    keeper.add(Hostile(served.downstream, lambda: HEAD, _error_event, now=0.0, hold=0.0, ping=0.0))
    stream = EventStream(served.downstream, lambda: HEAD, _error_event, now=0.0, hold=0.0, ping=0.0)
    keeper.add(stream)

    await asyncio.sleep(0.05)
    keeper.remove(stream)

    assert len(failures) == 1
    assert COMMENT in served.client.body


async def test_a_keeper_ends_all_its_streams(served: Served) -> None:
    keeper = Keeper()
    served.stream.write(b"a", BORN)
    keeper.add(served.stream)
    keeper.end_all(BROKEN)

    assert served.client.body == b"a<early error broken>"
    keeper.remove(served.stream)


async def test_a_stream_that_is_released_asks_nobody_any_more(served: Served) -> None:
    served.stream.on_cut(served.interrupt)
    served.stream.tick(BORN + HOLD)
    served.stream.release()
    served.stream.cut(BROKEN)

    assert served.client.body == COMMENT
    assert (served.client.complete, served.interrupted) == (True, 0)
