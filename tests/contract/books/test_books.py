"""Totals of processes add up, may be written again, and are forgotten; turns come to one of all."""

import asyncio

from services.gateway.books.port import Tally, UsageKey
from tests.contract.books.conftest import Shared

KEY = UsageKey(480_000, "glm-5.2[1m]", "abcdefghijkl", "crd_abc")
OTHER = UsageKey(480_001, "glm-5.2[1m]", "abcdefghijkl", "crd_abc")


async def test_what_processes_used_adds_up(shared: Shared) -> None:
    await shared.first.write({KEY: Tally(requests=1, input=10, output=5), OTHER: Tally(requests=1)})
    await shared.second.write({KEY: Tally(requests=2, failures=1, cache_read=3, cache_write=4, reasoning=5)})

    expected = Tally(requests=3, failures=1, input=10, cache_read=3, cache_write=4, output=5, reasoning=5)
    assert {KEY: expected, OTHER: Tally(requests=1)} == await shared.first.read(KEY.hour, OTHER.hour)
    assert {OTHER: Tally(requests=1)} == await shared.second.read(OTHER.hour, OTHER.hour + 5)


async def test_a_write_may_be_made_again(shared: Shared) -> None:
    await shared.first.write({KEY: Tally(requests=1)})
    for _ in range(2):
        await shared.first.write({KEY: Tally(requests=2)})

    assert {KEY: Tally(requests=2)} == await shared.second.read(KEY.hour, KEY.hour)


async def test_what_is_written_does_not_follow_what_is_counted_on(shared: Shared) -> None:
    tally = Tally(requests=1)
    await shared.first.write({KEY: tally})
    tally.requests = 99

    assert {KEY: Tally(requests=1)} == await shared.first.read(KEY.hour, KEY.hour)


async def test_nothing_is_read_where_nothing_was_written(shared: Shared) -> None:
    assert {} == await shared.first.read(1, 800)
    assert await shared.first.recall("quota") is None


async def test_a_turn_comes_to_one_of_all_and_comes_again(shared: Shared) -> None:
    assert [True, False] == sorted(
        await asyncio.gather(shared.first.claim("quota", 0.2), shared.second.claim("quota", 0.2)), reverse=True
    )
    assert await shared.first.claim("something else", 0.2)
    assert not await shared.first.claim("quota", 0.2)

    await shared.pass_time(0.3)
    assert await shared.second.claim("quota", 60)


async def test_a_note_is_everybodys_until_its_time_is_over(shared: Shared) -> None:
    await shared.first.note("quota", b"first", 60)
    await shared.first.note("quota", b"\x00second", 60)
    assert b"\x00second" == await shared.second.recall("quota")

    await shared.first.note("quota", b"third", 0.1)
    await shared.pass_time(0.2)
    assert await shared.second.recall("quota") is None
