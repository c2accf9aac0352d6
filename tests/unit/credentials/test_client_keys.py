"""The life of client keys over a real vault; what gateways make of them is tests/unit/gateway/test_client_keys.py."""

import asyncio
import base64

import pytest

from services.credentials import key_format
from services.credentials.client_keys import ClientKeyBook, NewKey
from services.credentials.errors import Conflict, NotFound, Undecryptable
from services.credentials.stores.memory import MemoryStore
from services.credentials.stores.port import Versioned
from services.credentials.vault import CLIENT_KEY, META, Vault
from tests.support.clock import ManualClock
from tests.support.vaults import FIRST, PROMOTED, contents, overwrite


class Bench:
    """A store, a vault and a book over them."""

    def __init__(self, store: MemoryStore, vault: Vault, clock: ManualClock) -> None:
        self.store = store
        self.vault = vault
        self.clock = clock
        self.book = ClientKeyBook(vault, store)


async def bench(store: MemoryStore | None = None) -> Bench:
    clock = ManualClock()
    store = store or MemoryStore(clock)
    vault = Vault(store, FIRST)
    await vault.unlock(initialise=True)
    return Bench(store, vault, clock)


def secret_of(new: NewKey) -> bytes:
    parsed = key_format.parse(new.key.reveal().encode())
    assert parsed is not None
    assert parsed.id == new.record.id
    return parsed.secret


async def lets_in(book: ClientKeyBook, new: NewKey) -> bool:
    known = await book.known()
    mac = key_format.mac(base64.b64decode(known.pepper), secret_of(new)).hex()
    return any(mac in key.macs and not key.disabled for key in known.keys if key.id == new.record.id)


async def test_a_new_key_is_known_by_its_mac_and_what_was_said_of_it() -> None:
    on = await bench()
    new = await on.book.create("ci", owner="team", models=("glm-5.2",), expires_at=on.clock.now() + 60)
    (known,) = (await on.book.known()).keys

    assert await lets_in(on.book, new)
    assert (known.name, known.owner, known.models) == ("ci", "team", ("glm-5.2",))
    assert known.expires_at == on.clock.now() + 60
    assert not known.disabled
    assert await on.book.all() == (new.record,)


async def test_without_keys_there_is_no_pepper_and_nothing_is_written() -> None:
    on = await bench()
    before = await contents(on.store)
    known = await on.book.known()

    assert (known.keys, known.pepper) == ((), "")
    assert await contents(on.store) == before


@pytest.mark.promise("P-20")
async def test_neither_key_nor_mac_nor_pepper_lies_open_in_the_store() -> None:
    on = await bench()
    new = await on.book.create("canary-name", owner="canary-owner")
    known = await on.book.known()
    lying = b"".join(value.value for value in (await contents(on.store)).values())

    for canary in (new.key.reveal(), secret_of(new).decode(), known.keys[0].macs[0], "canary-owner"):
        assert canary.encode() not in lying
    assert base64.b64decode(known.pepper) not in lying


async def test_two_secrets_are_good_while_a_key_is_replaced() -> None:
    on = await bench()
    first = await on.book.create("ci")
    on.clock.advance(5)
    second = await on.book.rotate(first.record.id)

    assert second.key != first.key
    assert second.record.rotated_at == first.record.created_at + 5
    assert await lets_in(on.book, first)
    assert await lets_in(on.book, second)

    await on.book.settle(first.record.id)

    assert not await lets_in(on.book, first)
    assert await lets_in(on.book, second)


async def test_a_third_secret_ends_the_first() -> None:
    on = await bench()
    first = await on.book.create("ci")
    second = await on.book.rotate(first.record.id)
    third = await on.book.rotate(first.record.id)

    assert [await lets_in(on.book, each) for each in (first, second, third)] == [False, True, True]


async def test_a_revoked_key_stays_listed_lets_nobody_in_and_cannot_come_back() -> None:
    on = await bench()
    new = await on.book.create("ci")
    revoked = await on.book.revoke(new.record.id)
    on.clock.advance(5)

    assert revoked.revoked_at is not None
    assert await on.book.revoke(new.record.id) == revoked
    assert not await lets_in(on.book, new)
    assert await on.book.all() == (revoked,)
    for again in (on.book.rotate, on.book.settle):
        with pytest.raises(Conflict, match="revoked"):
            await again(new.record.id)


async def test_a_name_is_taken_until_its_key_is_revoked() -> None:
    on = await bench()
    new = await on.book.create("ci")
    with pytest.raises(Conflict, match="named ci"):
        await on.book.create("ci")

    await on.book.revoke(new.record.id)
    assert (await on.book.create("ci")).record.id != new.record.id


@pytest.mark.parametrize("id_", ["aaaaaaaaaaaa", "nothing"])
async def test_a_key_that_is_not_there_is_not_found(id_: str) -> None:
    on = await bench()
    for action in (on.book.revoke, on.book.rotate, on.book.settle):
        with pytest.raises(NotFound):
            await action(id_)


async def test_a_key_outlives_the_master_key_it_was_sealed_under() -> None:
    on = await bench()
    new = await on.book.create("ci")
    await on.vault.adopt(PROMOTED)

    assert await on.vault.reseal(CLIENT_KEY, new.record.id)
    assert await on.vault.reseal(META, "pepper")
    assert {value.kid for value in (await on.store.scan(CLIENT_KEY)).values()} == {2}
    assert await lets_in(on.book, new)


async def test_of_all_who_need_a_pepper_at_once_one_makes_it() -> None:
    on = await bench()
    books = [ClientKeyBook(on.vault, on.store) for _ in range(5)]
    made = await asyncio.gather(*(book.create(f"key {number}") for number, book in enumerate(books)))

    assert all([await lets_in(on.book, each) for each in made])


class Late(MemoryStore):
    """Hides a value once, as if it were written right after it was asked for."""

    hidden: tuple[str, str] | None = None

    async def get(self, kind: str, id_: str, *, durable: bool = False) -> Versioned | None:
        if self.hidden == (kind, id_):
            self.hidden = None
            return None
        return await super().get(kind, id_, durable=durable)


async def test_a_pepper_that_another_was_faster_to_make_is_used() -> None:
    store = Late(ManualClock())
    on = await bench(store)
    first = await on.book.create("one")
    store.hidden = (META, "pepper")
    second = await on.book.create("two")

    assert await lets_in(on.book, first)
    assert await lets_in(on.book, second)


class Racing(MemoryStore):
    """Refuses so many writes of a key, as if somebody else had been faster."""

    refusals = 0

    async def put(self, kind: str, id_: str, value: bytes, *, kid: int, expected: int) -> bool:
        if kind == CLIENT_KEY and self.refusals:
            self.refusals -= 1
            return False
        return await super().put(kind, id_, value, kid=kid, expected=expected)


@pytest.mark.parametrize(("refusals", "gives_up"), [(3, False), (100, True)])
async def test_a_change_is_tried_again_when_somebody_was_faster(refusals: int, gives_up: bool) -> None:
    store = Racing(ManualClock())
    on = await bench(store)
    new = await on.book.create("ci")
    store.refusals = refusals

    if gives_up:
        with pytest.raises(Conflict, match="try again"):
            await on.book.revoke(new.record.id)
    else:
        await on.book.revoke(new.record.id)
    assert await lets_in(on.book, new) is gives_up


@pytest.mark.promise("P-24")
async def test_a_record_moved_to_another_key_or_forged_lets_nobody_in() -> None:
    on = await bench()
    mine = await on.book.create("mine")
    other = await on.book.create("other")
    stolen = await on.store.get(CLIENT_KEY, mine.record.id)
    assert stolen is not None
    await overwrite(on.store, CLIENT_KEY, other.record.id, stolen.value)
    forged = b'{"id":"aaaaaaaaaaaa","macs":["00"],"name":"x","created_at":0,"rotated_at":0}'
    await overwrite(on.store, CLIENT_KEY, "aaaaaaaaaaaa", forged)

    assert [key.id for key in (await on.book.known()).keys] == [mine.record.id]
    with pytest.raises(Undecryptable):
        await on.book.revoke(other.record.id)


async def test_a_revocation_is_not_undone_by_putting_the_old_record_back() -> None:
    on = await bench()
    new = await on.book.create("ci")
    old = await on.store.get(CLIENT_KEY, new.record.id)
    assert old is not None
    revoked = await on.book.revoke(new.record.id)
    await overwrite(on.store, CLIENT_KEY, revoked.id, old.value)

    assert not await lets_in(on.book, new)


@pytest.mark.parametrize("spoilt", ["changed", "gone"])
async def test_without_its_pepper_no_key_lets_anybody_in_and_the_keys_are_still_shown(spoilt: str) -> None:
    on = await bench()
    await on.book.create("ci")
    if spoilt == "changed":
        await overwrite(on.store, META, "pepper", b"not a pepper")
    else:
        await on.vault.remove(META, "pepper", 1)
    known = await on.book.known()

    assert (len(known.keys), known.pepper) == (1, "")


async def test_a_record_of_another_release_is_left_out_and_not_overwritten() -> None:
    on = await bench()
    await on.vault.write_value(CLIENT_KEY, "aaaaaaaaaaaa", b'{"id":5}', 0)

    assert await on.book.all() == ()
    with pytest.raises(Undecryptable, match="another release"):
        await on.book.revoke("aaaaaaaaaaaa")
