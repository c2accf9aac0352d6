"""Leases: one holder at a time, by the store's own time, and a fence that grows."""

import asyncio

from services.credentials.stores.port import Busy, Granted, Stale, Store
from tests.contract.stores.conftest import Backend


def fence(answer: object) -> int:
    assert isinstance(answer, Granted)
    return answer.fence


async def test_one_of_many_is_granted_and_the_others_hear_how_long(store: Store, other: Store) -> None:
    asked = [(store if n % 2 else other).acquire("cred", "crd_a", f"owner{n}", ttl=5, seen=0) for n in range(20)]

    answers = await asyncio.gather(*asked)

    assert sum(isinstance(answer, Granted) for answer in answers) == 1
    busy = [answer for answer in answers if isinstance(answer, Busy)]
    assert len(busy) == 19
    assert all(0 < answer.seconds <= 5 for answer in busy)


async def test_leases_of_different_ids_and_kinds_do_not_meet(store: Store) -> None:
    assert isinstance(await store.acquire("cred", "crd_a", "one", ttl=5, seen=0), Granted)
    assert isinstance(await store.acquire("cred", "crd_b", "two", ttl=5, seen=0), Granted)
    assert isinstance(await store.acquire("meta", "crd_a", "three", ttl=5, seen=0), Granted)


async def test_a_newer_record_is_said_instead_of_a_grant(store: Store, other: Store) -> None:
    await store.put("cred", "crd_a", b"1", kid=1, expected=0)
    await store.put("cred", "crd_a", b"2", kid=1, expected=1)

    assert await other.acquire("cred", "crd_a", "me", ttl=5, seen=1) == Stale(2)
    assert isinstance(await other.acquire("cred", "crd_a", "me", ttl=5, seen=2), Granted)
    assert isinstance(await store.acquire("cred", "crd_a", "you", ttl=5, seen=2), Busy)
    assert await store.acquire("cred", "crd_a", "you", ttl=5, seen=0) == Stale(2)


async def test_a_lease_ends_by_itself_and_the_next_fence_is_higher(backend: Backend) -> None:
    first = await backend.store.acquire("cred", "crd_a", "one", ttl=0.4, seen=0)
    assert isinstance(await backend.other.acquire("cred", "crd_a", "two", ttl=0.4, seen=0), Busy)

    await backend.pass_time(0.5)
    second = await backend.other.acquire("cred", "crd_a", "two", ttl=5, seen=0)

    assert fence(second) > fence(first)
    assert not await backend.store.renew("cred", "crd_a", "one", ttl=5)


async def test_a_renewed_lease_outlives_its_first_term(backend: Backend) -> None:
    await backend.store.acquire("cred", "crd_a", "one", ttl=0.4, seen=0)
    await backend.pass_time(0.2)
    assert await backend.store.renew("cred", "crd_a", "one", ttl=5)
    await backend.pass_time(0.4)

    assert isinstance(await backend.other.acquire("cred", "crd_a", "two", ttl=5, seen=0), Busy)


async def test_a_lease_that_ended_or_is_anothers_or_nobodys_is_not_renewed(backend: Backend) -> None:
    assert not await backend.store.renew("cred", "crd_a", "one", ttl=5)
    await backend.store.acquire("cred", "crd_a", "one", ttl=0.3, seen=0)
    assert not await backend.store.renew("cred", "crd_a", "two", ttl=5)
    await backend.pass_time(0.4)

    assert not await backend.store.renew("cred", "crd_a", "one", ttl=5)


async def test_a_released_lease_is_free_at_once_and_its_fences_go_on(store: Store, other: Store) -> None:
    first = await store.acquire("cred", "crd_a", "one", ttl=30, seen=0)
    await store.release("cred", "crd_a", "one")
    second = await other.acquire("cred", "crd_a", "two", ttl=30, seen=0)

    assert fence(second) > fence(first)


async def test_nobody_releases_anothers_lease(store: Store, other: Store) -> None:
    await store.acquire("cred", "crd_a", "one", ttl=30, seen=0)
    await other.release("cred", "crd_a", "two")
    await other.release("cred", "crd_none", "two")

    assert isinstance(await other.acquire("cred", "crd_a", "two", ttl=30, seen=0), Busy)


async def test_the_same_owner_is_granted_anew_with_a_higher_fence(store: Store) -> None:
    """An acquire whose answer was lost is asked again; the first grant must not lock its own owner out."""
    first = await store.acquire("cred", "crd_a", "one", ttl=30, seen=0)
    second = await store.acquire("cred", "crd_a", "one", ttl=30, seen=0)

    assert fence(second) > fence(first)


async def test_a_lease_outlives_a_write_and_a_removal(store: Store, other: Store) -> None:
    await store.acquire("cred", "crd_a", "one", ttl=30, seen=0)
    await store.put("cred", "crd_a", b"1", kid=1, expected=0)
    await store.remove("cred", "crd_a", expected=1)

    assert isinstance(await other.acquire("cred", "crd_a", "two", ttl=30, seen=0), Busy)
