"""An upstream's body that is read to its end: collected whole, or poured out as it comes."""

import asyncio

import pytest

from services.gateway.relay import collect, pour
from services.gateway.upstream.transport import ConnectionLost
from tests.support.memory_client import settle
from tests.support.memory_upstream import MemoryAnswer


async def test_a_whole_body_is_collected() -> None:
    answer = MemoryAnswer()
    collecting = asyncio.ensure_future(collect(answer))
    await settle()
    answer.data(b"a")
    answer.data(b"b")
    answer.end()

    assert await collecting == b"ab"


async def test_only_so_much_of_a_body_is_collected() -> None:
    answer = MemoryAnswer()
    collecting = asyncio.ensure_future(collect(answer, 3))
    await settle()
    answer.data(b"ab")
    answer.data(b"cdef")
    answer.data(b"ghi")
    answer.fail(ConnectionLost("reset"))

    assert await collecting == b"abc"


async def test_a_body_is_poured_as_it_comes() -> None:
    answer = MemoryAnswer()
    taken: list[bytes] = []
    pouring = asyncio.ensure_future(pour(answer, taken.append))
    await settle()
    answer.data(b"a")
    assert taken == [b"a"]
    answer.end()
    answer.end()
    await pouring


async def test_a_body_that_breaks_off_is_not_collected() -> None:
    answer = MemoryAnswer()
    collecting = asyncio.ensure_future(collect(answer))
    await settle()
    answer.data(b"a")
    answer.fail(ConnectionLost("reset"))

    with pytest.raises(ConnectionLost):
        await collecting


async def test_what_comes_after_collecting_was_given_up_is_ignored() -> None:
    answer = MemoryAnswer()
    collecting = asyncio.ensure_future(collect(answer))
    await settle()
    collecting.cancel()
    await settle()
    answer.data(b"a")
    answer.fail(ConnectionLost("reset"))
    answer.end()

    assert collecting.cancelled()
