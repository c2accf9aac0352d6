"""The generation: raised by every change, seen by everybody, waited for without asking all the time."""

import asyncio
import time

import pytest

from services.credentials.stores.port import Store, StoreUnavailable
from tests.contract.stores.conftest import Backend


async def test_a_write_and_a_removal_raise_it_for_everybody(store: Store, other: Store) -> None:
    seen = [await other.generation()]
    await store.put("cred", "crd_a", b"1", kid=1, expected=0)
    seen.append(await other.generation())
    await store.put("cred", "crd_a", b"2", kid=1, expected=1)
    seen.append(await other.generation())
    await other.remove("cred", "crd_a", expected=2)
    seen.append(await store.generation())

    assert sorted(set(seen)) == seen


async def test_what_writes_nothing_raises_nothing(store: Store) -> None:
    await store.put("cred", "crd_a", b"1", kid=1, expected=0)
    before = await store.generation()
    await store.put("cred", "crd_a", b"2", kid=1, expected=0)
    await store.remove("cred", "crd_a", expected=3)
    await store.acquire("cred", "crd_a", "me", ttl=1, seen=1)
    await store.release("cred", "crd_a", "me")
    await store.get("cred", "crd_a")

    assert await store.generation() == before


async def test_who_is_behind_is_answered_at_once(store: Store) -> None:
    before = await store.generation()
    await store.put("cred", "crd_a", b"1", kid=1, expected=0)

    started = time.monotonic()
    assert await store.changed(before, wait=20) > before
    assert time.monotonic() - started < 1


async def test_who_waits_hears_of_a_change_within_a_second(store: Store, other: Store) -> None:
    before = await store.generation()
    waiting = asyncio.gather(*(through.changed(before, wait=20) for through in (store, other, store)))
    await asyncio.sleep(0.3)
    started = time.monotonic()
    await store.put("cred", "crd_a", b"1", kid=1, expected=0)

    assert all(generation > before for generation in await waiting)
    assert time.monotonic() - started < 1


async def test_who_waits_in_vain_gets_what_it_is(backend: Backend) -> None:
    before = await backend.store.generation()

    started = time.monotonic()
    assert await backend.store.changed(before, wait=0.3) == before
    assert 0.25 <= time.monotonic() - started < 2


async def test_no_wait_is_an_answer_at_once(store: Store) -> None:
    before = await store.generation()

    assert await store.changed(before, wait=0) == before


async def test_a_wait_that_is_given_up_leaves_the_store_usable(store: Store) -> None:
    before = await store.generation()
    for _ in range(20):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await store.changed(before, wait=20)

    assert await store.put("cred", "crd_a", b"1", kid=1, expected=0)
    assert await store.changed(before, wait=1) > before


async def test_closing_ends_a_wait(store: Store) -> None:
    waiting = asyncio.ensure_future(store.changed(await store.generation(), wait=20))
    await asyncio.sleep(0.1)
    await store.aclose()

    started = time.monotonic()
    with pytest.raises(StoreUnavailable):
        await waiting
    assert time.monotonic() - started < 1.5


async def test_the_time_of_the_store_goes_on(backend: Backend) -> None:
    first = await backend.store.now()
    await backend.pass_time(0.2)
    second = await backend.other.now()

    assert 0.15 < second - first < 5
