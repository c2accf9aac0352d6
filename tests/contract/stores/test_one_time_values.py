"""One-time values: taken once, by one; gone after their time."""

import asyncio

from services.credentials.stores.port import Store
from tests.contract.stores.conftest import Backend


async def test_a_value_is_taken_once(store: Store, other: Store) -> None:
    assert await store.put_once("login", "state1", b"\x00pending", ttl=30)

    assert await other.take("login", "state1") == b"\x00pending"
    assert await other.take("login", "state1") is None
    assert await store.take("login", "state1") is None


async def test_of_many_takers_exactly_one_gets_it(store: Store, other: Store) -> None:
    for n in range(5):
        await store.put_once("login", f"state{n}", b"pending", ttl=30)
        taken = await asyncio.gather(*((store, other)[at % 2].take("login", f"state{n}") for at in range(20)))
        assert sorted(taken, key=str) == [*[None] * 19, b"pending"]


async def test_an_id_is_used_once(store: Store, other: Store) -> None:
    put = [(store, other)[at % 2].put_once("nonce", "n1", b"", ttl=30) for at in range(20)]

    assert (await asyncio.gather(*put)).count(True) == 1


async def test_an_empty_value_is_taken_as_what_it_is(store: Store) -> None:
    await store.put_once("nonce", "n1", b"", ttl=30)

    assert await store.take("nonce", "n1") == b""


async def test_after_its_time_it_is_gone_and_the_id_is_free(backend: Backend) -> None:
    await backend.store.put_once("login", "s", b"old", ttl=0.3)
    assert not await backend.store.put_once("login", "s", b"new", ttl=0.3)
    await backend.pass_time(0.4)

    assert await backend.other.take("login", "s") is None
    assert await backend.store.put_once("login", "s", b"new", ttl=0.3)
    await backend.pass_time(0.4)
    assert await backend.store.put_once("login", "s", b"newer", ttl=30)
    assert await backend.other.take("login", "s") == b"newer"


async def test_kinds_do_not_meet_and_no_scan_shows_them(store: Store) -> None:
    await store.put_once("login", "x", b"login", ttl=30)
    await store.put_once("nonce", "x", b"nonce", ttl=30)

    assert await store.scan("login") == {}
    assert await store.take("nonce", "x") == b"nonce"
    assert await store.take("login", "x") == b"login"


async def test_they_do_not_raise_the_generation(store: Store) -> None:
    before = await store.generation()
    await store.put_once("login", "x", b"login", ttl=30)
    await store.take("login", "x")

    assert await store.generation() == before


async def test_one_that_must_last_is_kept_once_like_any_other(store: Store, other: Store) -> None:
    put = [
        (store, other)[at % 2].put_once("intent", "crd_a.e", b"%d" % at, ttl=30, durable=at % 3 > 0) for at in range(20)
    ]

    assert (await asyncio.gather(*put)).count(True) == 1
    assert await other.take("intent", "crd_a.e") is not None
