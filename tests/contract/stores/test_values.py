"""Versioned values: what is read is what was written, and of two writers one wins."""

import asyncio

import msgspec
import pytest

from services.credentials.stores.port import Store, StoreUnavailable, Versioned

BYTES = bytes(range(256)) * 8


def _safe(found: dict[str, Versioned]) -> dict[str, Versioned]:
    """A listing says of what replicas should have only what it read; the values are what is compared here."""
    return {id_: msgspec.structs.replace(value, safe=True) for id_, value in found.items()}


async def test_what_is_not_there_is_none(store: Store) -> None:
    assert await store.get("cred", "crd_nobody") is None
    assert _safe(await store.scan("cred")) == {}


async def test_what_is_read_is_what_was_written_byte_for_byte(store: Store, other: Store) -> None:
    assert await store.put("cred", "crd_a", BYTES, kid=7, expected=0)

    assert await store.get("cred", "crd_a", durable=True) == Versioned(version=1, value=BYTES, kid=7)
    assert await other.get("cred", "crd_a", durable=True) == Versioned(version=1, value=BYTES, kid=7)


async def test_an_empty_value_and_kid_0_are_kept(store: Store) -> None:
    assert await store.put("meta", "empty", b"", kid=0, expected=0)

    assert await store.get("meta", "empty", durable=True) == Versioned(version=1, value=b"", kid=0)


async def test_a_write_over_another_version_writes_nothing(store: Store) -> None:
    await store.put("cred", "crd_a", b"one", kid=1, expected=0)

    assert not await store.put("cred", "crd_a", b"two", kid=1, expected=0)
    assert not await store.put("cred", "crd_a", b"two", kid=1, expected=2)
    assert not await store.put("cred", "crd_b", b"two", kid=1, expected=1)
    assert await store.get("cred", "crd_a", durable=True) == Versioned(version=1, value=b"one", kid=1)
    assert await store.get("cred", "crd_b") is None
    assert _safe(await store.scan("cred")) == {"crd_a": Versioned(version=1, value=b"one", kid=1)}


async def test_every_write_raises_the_version_by_one(store: Store) -> None:
    for version in range(5):
        assert await store.put("key", "abc", str(version).encode(), kid=version, expected=version)

    assert await store.get("key", "abc", durable=True) == Versioned(version=5, value=b"4", kid=4)


async def test_of_many_writers_of_one_version_exactly_one_wins(store: Store, other: Store) -> None:
    writers = [(store if n % 2 else other).put("cred", "crd_a", b"%d" % n, kid=1, expected=0) for n in range(40)]

    won = await asyncio.gather(*writers)

    assert won.count(True) == 1
    assert await store.get("cred", "crd_a", durable=True) == Versioned(version=1, value=b"%d" % won.index(True), kid=1)


async def test_counting_by_compare_and_swap_loses_no_count(store: Store, other: Store) -> None:
    async def count(through: Store) -> None:
        for _ in range(10):
            while True:
                now = await through.get("meta", "counter") or Versioned(0, b"0", 0)
                more = b"%d" % (int(now.value) + 1)
                if await through.put("meta", "counter", more, kid=0, expected=now.version):
                    break

    await asyncio.gather(count(store), count(other), count(store), count(other))

    assert await store.get("meta", "counter", durable=True) == Versioned(version=40, value=b"40", kid=0)


async def test_a_scan_returns_one_kind_only(store: Store, other: Store) -> None:
    await store.put("cred", "crd_a", b"a", kid=1, expected=0)
    await store.put("cred", "crd_b", b"b", kid=2, expected=0)
    await store.put("key", "crd_a", b"k", kid=0, expected=0)
    await store.put("credit", "crd_c", b"c", kid=0, expected=0)

    assert _safe(await other.scan("cred")) == {"crd_a": Versioned(1, b"a", 1), "crd_b": Versioned(1, b"b", 2)}


async def test_a_scan_of_many_returns_all(store: Store) -> None:
    for start in range(0, 500, 20):
        puts = (store.put("cred", f"crd_{n}", b"%d" % n, kid=1, expected=0) for n in range(start, start + 20))
        assert all(await asyncio.gather(*puts))

    found = await store.scan("cred")

    assert {id_: value.value for id_, value in found.items()} == {f"crd_{n}": b"%d" % n for n in range(500)}


async def test_only_the_expected_version_is_removed(store: Store, other: Store) -> None:
    await store.put("cred", "crd_a", b"a", kid=1, expected=0)
    await store.put("cred", "crd_a", b"b", kid=1, expected=1)

    assert not await store.remove("cred", "crd_a", expected=1)
    assert not await store.remove("cred", "crd_a", expected=0)
    assert not await store.remove("cred", "crd_none", expected=0)
    assert await other.get("cred", "crd_a") is not None
    assert await store.remove("cred", "crd_a", expected=2)
    assert await other.get("cred", "crd_a") is None
    assert _safe(await other.scan("cred")) == {}


async def test_what_was_removed_can_be_written_anew(store: Store) -> None:
    await store.put("cred", "crd_a", b"a", kid=1, expected=0)
    await store.remove("cred", "crd_a", expected=1)

    assert await store.put("cred", "crd_a", b"again", kid=1, expected=0)
    assert _safe(await store.scan("cred")) == {"crd_a": Versioned(1, b"again", 1)}


BAD_IDS = ("", "a b", "a}b", "a*", "a\n", "x" * 129, "ä", "a/b", "a{b")
BAD_KINDS = ("", "Cred", "c:d", "cred\n", "x" * 17)


@pytest.mark.parametrize(
    ("bad", "id_"), [*(("cred", id_) for id_ in BAD_IDS), *((kind, "crd_a") for kind in BAD_KINDS)]
)
async def test_a_name_of_other_characters_is_refused_before_anything_is_asked(store: Store, bad: str, id_: str) -> None:
    for call in (
        store.get(bad, id_),
        store.put(bad, id_, b"", kid=0, expected=0),
        store.remove(bad, id_, expected=1),
        store.acquire(bad, id_, "me", ttl=1, seen=0),
        store.renew(bad, id_, "me", ttl=1),
        store.release(bad, id_, "me"),
        store.put_once(bad, id_, b"", ttl=1),
        store.take(bad, id_),
    ):
        with pytest.raises(ValueError, match="not made of the characters"):
            await call


async def test_a_closed_store_is_unavailable_and_closes_twice(store: Store) -> None:
    await store.aclose()
    await store.aclose()

    for call in (store.get("cred", "crd_a"), store.scan("cred"), store.generation(), store.now()):
        with pytest.raises(StoreUnavailable):
            await call
