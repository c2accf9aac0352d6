"""Writing to a client that reads, one that does not, and one that left."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from services.chassis.direct import ClientGone
from services.chassis.process import Tasks
from services.gateway.downstream import AsgiDownstream, BodyTooLarge, Downstream
from tests.support.memory_client import MemoryClient, settle

HEADERS = [(b"content-type", b"text/plain")]


@pytest.fixture
async def tasks() -> AsyncIterator[Tasks]:
    async with Tasks() as made:
        yield made


def _downstream(client: MemoryClient, tasks: Tasks) -> Downstream:
    return AsgiDownstream(client.receive, client.send, tasks)


@pytest.mark.parametrize("parts", [(b"abcdef",), (b"abc", b"def"), (b"", b"abcdef", b"")])
async def test_a_body_is_read_whole_whatever_its_parts(tasks: Tasks, parts: tuple[bytes, ...]) -> None:
    assert await _downstream(MemoryClient(*parts), tasks).read_body(6) == b"abcdef"


@pytest.mark.parametrize("parts", [(b"abcdef",), (b"abc", b"def"), (b"abcdef", b""), (b"abcdef", b"g", b"h")])
async def test_a_body_above_the_limit_is_refused(tasks: Tasks, parts: tuple[bytes, ...]) -> None:
    with pytest.raises(BodyTooLarge) as refusal:
        await _downstream(MemoryClient(*parts), tasks).read_body(5)

    assert refusal.value.limit == 5


async def test_a_body_above_the_limit_is_not_read_to_its_end(tasks: Tasks) -> None:
    client = MemoryClient()
    client.say(b"abcdef", more=True)

    with pytest.raises(BodyTooLarge):
        await _downstream(client, tasks).read_body(5)


@pytest.mark.parametrize("said", [[], [b"abc"]])
async def test_a_client_that_leaves_before_its_body_is_complete_is_gone(tasks: Tasks, said: list[bytes]) -> None:
    client = MemoryClient()
    for part in said:
        client.say(part, more=True)
    client.leave()
    downstream = _downstream(client, tasks)

    with pytest.raises(ClientGone):
        await downstream.read_body(100)

    assert downstream.gone


async def test_what_is_written_arrives_in_order_without_a_task(tasks: Tasks) -> None:
    client = MemoryClient()
    downstream = _downstream(client, tasks)

    downstream.start(200, HEADERS)
    assert downstream.write(b"a")
    assert downstream.write(b"b")
    downstream.finish(b"c")
    await downstream.flushed()

    assert (client.status, client.headers, client.body, client.complete) == (200, dict(HEADERS), b"abc", True)
    assert downstream.started
    assert len(tasks) == 0


async def test_a_client_that_stops_reading_is_caught_up_with_once_it_reads(tasks: Tasks) -> None:
    client = MemoryClient()
    downstream = _downstream(client, tasks)
    drained: list[bytes] = []
    downstream.on_drained(lambda: drained.append(client.body))
    downstream.start(200, HEADERS)

    client.stop_reading()
    assert not downstream.write(b"a")
    assert not downstream.write(b"b")
    assert not downstream.write(b"c")
    await settle()
    assert drained == []
    client.read_on()
    await downstream.flushed()

    assert drained == [b"abc"]
    assert downstream.write(b"d")
    downstream.finish()
    assert client.body == b"abcd"
    assert client.complete


async def test_a_head_that_waits_holds_the_body_back(tasks: Tasks) -> None:
    client = MemoryClient()
    downstream = _downstream(client, tasks)

    client.stop_reading()
    downstream.start(200, HEADERS)
    assert not downstream.write(b"a")
    client.read_on()
    await downstream.flushed()

    assert (client.status, client.body) == (200, b"a")


async def test_an_answer_is_flushed_to_its_end_before_its_task_may_end(tasks: Tasks) -> None:
    client = MemoryClient()
    downstream = _downstream(client, tasks)
    drained: list[None] = []
    downstream.on_drained(lambda: drained.append(None))
    downstream.start(200, HEADERS)
    client.stop_reading()
    downstream.write(b"a")
    downstream.finish(b"b")

    flushing = asyncio.ensure_future(downstream.flushed())
    await settle()
    assert not flushing.done()
    client.read_on()
    await flushing

    assert (client.body, client.complete) == (b"ab", True)
    assert drained == []  # there is nothing more to ask for


async def test_an_end_that_waits_itself_is_flushed_too(tasks: Tasks) -> None:
    client = MemoryClient()
    downstream = _downstream(client, tasks)
    downstream.start(200, HEADERS)
    client.stop_reading()
    downstream.finish(b"a")

    client.read_on()
    await downstream.flushed()

    assert (client.body, client.complete) == (b"a", True)


async def test_nothing_follows_the_end(tasks: Tasks) -> None:
    client = MemoryClient()
    downstream = _downstream(client, tasks)
    downstream.start(200, HEADERS)
    downstream.finish(b"a")

    assert downstream.write(b"b")
    downstream.finish(b"c")

    assert client.body == b"a"


async def test_a_client_that_leaves_is_noticed_once(tasks: Tasks) -> None:
    client = MemoryClient(b"body")
    downstream = _downstream(client, tasks)
    await downstream.read_body(100)
    left: list[None] = []
    downstream.watch(lambda: left.append(None))
    downstream.start(200, HEADERS)

    client.leave()
    await settle()

    assert left == [None]
    assert downstream.gone
    assert downstream.write(b"a")
    downstream.finish(b"b")
    assert client.body == b""


async def test_a_client_that_leaves_after_the_end_is_nobodys_business(tasks: Tasks) -> None:
    client = MemoryClient()
    downstream = _downstream(client, tasks)
    left: list[None] = []
    downstream.watch(lambda: left.append(None))
    downstream.start(200, HEADERS)
    downstream.finish()

    client.leave()
    await settle()

    assert left == []
    assert not downstream.gone


@pytest.mark.parametrize("early", [True, False])
async def test_surplus_data_is_dropped_and_listened_past(tasks: Tasks, *, early: bool) -> None:
    """Whether it lies there already or comes later; the client's leaving is still heard."""
    client = MemoryClient()
    downstream = _downstream(client, tasks)
    left: list[None] = []
    if early:
        client.say(b"surplus")
        client.say(b"surplus")
    downstream.watch(lambda: left.append(None))
    client.say(b"surplus")
    await settle()
    assert left == []

    client.leave()
    await settle()

    assert left == [None]


@pytest.mark.parametrize("early", [True, False])
async def test_the_watch_is_released(tasks: Tasks, *, early: bool) -> None:
    client = MemoryClient()
    downstream = _downstream(client, tasks)
    left: list[None] = []
    if early:
        client.say(b"surplus")
    downstream.watch(lambda: left.append(None))

    downstream.stop_watching()
    downstream.stop_watching()
    client.leave()
    await settle()

    assert left == []


async def test_a_client_that_leaves_while_it_does_not_read_takes_nothing_more(tasks: Tasks) -> None:
    client = MemoryClient()
    downstream = _downstream(client, tasks)
    downstream.watch(lambda: None)
    downstream.start(200, HEADERS)
    client.stop_reading()
    downstream.write(b"a")
    downstream.write(b"b")

    client.leave()
    await downstream.flushed()
    await settle()

    assert b"b" not in client.body
    assert len(tasks) == 0


async def test_an_answer_that_is_broken_off_has_no_end(tasks: Tasks) -> None:
    client = MemoryClient()
    downstream = _downstream(client, tasks)
    downstream.start(200, HEADERS)
    downstream.write(b"a")

    downstream.abort()
    downstream.write(b"b")
    downstream.finish(b"c")

    assert (client.body, client.complete) == (b"a", False)


async def test_an_answer_that_is_broken_off_does_not_wait_for_a_slow_client(tasks: Tasks) -> None:
    client = MemoryClient()
    downstream = _downstream(client, tasks)
    downstream.start(200, HEADERS)
    client.stop_reading()
    downstream.write(b"a")

    downstream.abort()
    await downstream.flushed()

    assert client.body == b""
    assert len(tasks) == 0
