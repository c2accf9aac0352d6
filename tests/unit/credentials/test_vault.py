"""The vault: what it reads back, when it refuses to start, and that it never trusts the store."""

import pytest

from services.chassis import sealing
from services.chassis.sealing import Purpose, Why
from services.credentials.contract import State
from services.credentials.errors import Conflict, KeyringInvalid, NotFound, Undecryptable
from services.credentials.records import Secrets
from services.credentials.stores.memory import MemoryStore
from services.credentials.stores.port import Versioned
from services.credentials.vault import CHECK, META, Opened, Trouble, Vault
from tests.support.vaults import (
    ADDED,
    FIRST,
    PROMOTED,
    STRANGE,
    Reports,
    contents,
    credential,
    filled,
    material,
    overwrite,
)


async def test_a_credential_is_read_as_it_was_written() -> None:
    vault = await filled(MemoryStore(), 0)

    written = await vault.write_credential(credential(), 0)

    assert written.version == 1
    assert await vault.read_credential(written.id) == written == credential(version=1)
    changed = await vault.write_credential(credential(state=State.DISABLED, secrets=Secrets(api_key="new")), 1)
    assert await vault.read_credential(written.id) == changed
    assert changed.version == 2


async def test_all_credentials_are_listed_by_id() -> None:
    vault = await filled(MemoryStore(), 3)

    assert await vault.credentials() == tuple(credential(number, version=1) for number in range(3))


async def test_a_credential_that_is_not_there_is_not_found() -> None:
    vault = await filled(MemoryStore(), 0)

    with pytest.raises(NotFound):
        await vault.read_credential("crd_none")


async def test_who_was_slower_gets_a_conflict_and_writes_nothing() -> None:
    vault = await filled(MemoryStore(), 1)
    other = Vault(vault._store, FIRST)
    await other.write_credential(credential(label="faster"), 1)

    for expected in (0, 1, 3):
        with pytest.raises(Conflict):
            await vault.write_credential(credential(label="slower"), expected)

    assert (await vault.read_credential(credential().id)).label == "faster"


async def test_no_secret_reaches_the_store() -> None:
    store = MemoryStore()
    vault = await filled(store, 1)
    await vault.write_value(META, "x", b"id.secret-value", 0)

    for value in (await contents(store)).values():
        assert b"secret" not in value.value
        assert b"refresh-" not in value.value
        assert b"pepper" not in value.value
        assert value.kid == 1


async def test_a_stored_value_is_read_as_it_was_written_and_does_not_print() -> None:
    vault = await filled(MemoryStore(), 0)

    assert await vault.read_value(META, "none") is None
    assert await vault.write_value(META, "some", b"canary", 0) == 1
    opened = await vault.read_value(META, "some")

    assert opened is not None
    assert (opened.version, opened.data) == (1, b"canary")
    assert "canary" not in repr(opened)


async def test_all_values_of_a_kind_are_listed_and_what_does_not_open_is_reported_and_left_out() -> None:
    store, reports = MemoryStore(), Reports()
    await filled(store, 0)
    vault = Vault(store, FIRST, report=reports)
    for id_ in ("b", "a", "c"):
        await vault.write_value("key", id_, id_.encode(), 0)
    await overwrite(store, "key", "c", b"rubbish")

    assert await vault.values("key") == {"a": Opened(1, b"a"), "b": Opened(1, b"b")}
    assert reports.troubles == [Trouble("key", "c", 2, Why.MALFORMED)]


async def test_a_value_beside_the_store_opens_only_in_its_place() -> None:
    reports = Reports()
    vault = Vault(MemoryStore(), FIRST, report=reports)
    sealed = vault.seal_value("spool", "crd_a", "secrets", 4, b"data")

    assert vault.open_value("spool", "crd_a", "secrets", 4, sealed) == b"data"
    for place in (("spool", "crd_b", "secrets", 4), ("spool", "crd_a", "other", 4), ("spool", "crd_a", "secrets", 5)):
        with pytest.raises(Undecryptable):
            vault.open_value(*place, sealed)
    with pytest.raises(Undecryptable):
        vault.open_value("login", "crd_a", "secrets", 4, sealed)

    assert [trouble.why for trouble in reports.troubles] == [Why.TAMPERED] * 3 + [Why.WRONG_KEY]


async def test_two_installations_that_share_a_store_do_not_open_each_others_records() -> None:
    ours, theirs = Vault(MemoryStore(), FIRST, namespace="a"), Vault(MemoryStore(), FIRST, namespace="b")

    with pytest.raises(Undecryptable, match="tampered"):
        theirs.open_value("spool", "x", "f", 1, ours.seal_value("spool", "x", "f", 1, b"data"))


def test_keys_for_other_uses_are_those_of_the_primary_or_of_a_key_that_is_named() -> None:
    vault = Vault(MemoryStore(), PROMOTED)

    assert vault.derive(Purpose.AUDIT) == sealing.derive(material("second"), Purpose.AUDIT)
    assert vault.derive(Purpose.AUDIT, 1) == sealing.derive(material("first"), Purpose.AUDIT)
    with pytest.raises(KeyringInvalid, match="no key 3"):
        vault.derive(Purpose.AUDIT, 3)


# -- the check record


async def test_an_empty_store_is_claimed_only_when_told_to() -> None:
    store = MemoryStore()

    with pytest.raises(KeyringInvalid, match="never initialised"):
        await Vault(store, FIRST).unlock()
    assert await contents(store) == {}

    await Vault(store, FIRST).unlock(initialise=True)
    assert set(await contents(store)) == {(META, CHECK)}
    await Vault(store, FIRST).unlock()
    await Vault(store, FIRST).unlock(initialise=True)


@pytest.mark.parametrize("initialise", [False, True])
async def test_another_keyring_does_not_open_the_store_and_nothing_is_written(initialise: bool) -> None:
    store = MemoryStore()
    await filled(store, 3)
    before = await contents(store)

    with pytest.raises(KeyringInvalid, match="not the one this store was sealed with"):
        await Vault(store, STRANGE).unlock(initialise=initialise)

    assert await contents(store) == before


@pytest.mark.parametrize("initialise", [False, True])
@pytest.mark.parametrize("kind", ["cred", "key", "meta"])
async def test_records_without_a_check_record_are_not_claimed(kind: str, initialise: bool) -> None:
    store = MemoryStore()
    await store.put(kind, "some", b"value", kid=0, expected=0)
    before = await contents(store)

    with pytest.raises(KeyringInvalid, match="no check record"):
        await Vault(store, FIRST).unlock(initialise=initialise)

    assert await contents(store) == before


async def test_a_check_record_of_another_text_is_refused() -> None:
    store = MemoryStore()
    await Vault(store, FIRST).write_value(META, CHECK, b"check record 9", 0)

    with pytest.raises(KeyringInvalid, match="another release"):
        await Vault(store, FIRST).unlock()


async def test_of_two_that_claim_an_empty_store_with_different_keys_one_is_refused() -> None:
    store = Racing()
    store.rival = Vault(store, STRANGE)

    with pytest.raises(KeyringInvalid, match="not the one"):
        await Vault(store, FIRST).unlock(initialise=True)

    await Vault(store, STRANGE).unlock()


class Racing(MemoryStore):
    """Lets a rival write first, once."""

    rival: Vault | None = None

    async def put(self, kind: str, id_: str, value: bytes, *, kid: int, expected: int) -> bool:
        rival, self.rival = self.rival, None
        if rival is not None:
            await rival.unlock(initialise=True)
        return await super().put(kind, id_, value, kid=kid, expected=expected)


# -- another keyring


async def test_the_next_keyring_is_adopted_and_seals_from_then_on() -> None:
    store = MemoryStore()
    vault = await filled(store, 1)

    await vault.adopt(PROMOTED)
    await vault.write_credential(credential(label="new"), 1)

    assert vault.keyring == PROMOTED
    stored = await store.get("cred", credential().id)
    assert stored is not None
    assert stored.kid == 2
    assert (await Vault(store, ADDED).read_credential(credential().id)).label == "new"


async def test_a_keyring_that_does_not_belong_to_the_store_is_not_adopted() -> None:
    vault = await filled(MemoryStore(), 1)

    with pytest.raises(KeyringInvalid):
        await vault.adopt(STRANGE)

    assert vault.keyring == FIRST
    await vault.read_credential(credential().id)


async def test_a_keyring_may_be_adopted_before_the_store_is_claimed() -> None:
    vault = Vault(MemoryStore(), FIRST)

    await vault.adopt(STRANGE)

    assert vault.keyring == STRANGE


async def test_what_did_not_open_is_tried_again_with_the_next_keyring() -> None:
    store, reports = MemoryStore(), Reports()
    await filled(store, 1)
    behind = Vault(store, FIRST, report=reports)
    ahead = Vault(store, PROMOTED)
    await ahead.write_credential(credential(label="new"), 1)

    assert await behind.credentials() == ()
    assert [trouble.why for trouble in reports.troubles] == [Why.UNKNOWN_KEY]
    await behind.adopt(ADDED)

    assert (await behind.write_credential(credential(label="newer"), 2)).version == 3


# -- records that do not open


@pytest.mark.promise("P-24")
async def test_a_record_that_was_rolled_back_is_refused() -> None:
    store, reports = MemoryStore(), Reports()
    vault = await filled(store, 0)
    vault._report = reports
    await vault.write_credential(credential(), 0)
    first = await store.get("cred", credential().id)
    await vault.write_credential(credential(label="two"), 1)
    assert first is not None
    assert await store.remove("cred", credential().id, expected=2)
    assert await store.put("cred", credential().id, first.value, kid=1, expected=0)

    with pytest.raises(Undecryptable, match="rolled_back"):
        await vault.read_credential(credential().id)
    assert await vault.credentials() == ()
    with pytest.raises(Undecryptable):
        await vault.write_credential(credential(), 1)
    assert reports.troubles == [Trouble("cred", credential().id, 1, Why.ROLLED_BACK)]

    vault.forget()  # the operator restored a backup
    assert (await vault.read_credential(credential().id)).label == credential().label


async def test_a_record_that_was_read_while_a_newer_one_was_written_is_not_a_rollback() -> None:
    store = Slow()
    vault = await filled(store, 1)
    store.meanwhile = Vault(store, FIRST)

    found = await vault.read_credential(credential().id)

    assert found.version == 1
    assert (await vault.read_credential(credential().id)).version == 2


class Slow(MemoryStore):
    """Answers a read with what was there before another wrote, and that other is the same vault's."""

    meanwhile: Vault | None = None

    async def get(self, kind: str, id_: str, *, durable: bool = False) -> Versioned | None:
        found = await super().get(kind, id_, durable=durable)
        vault, self.meanwhile = self.meanwhile, None
        if vault is not None:
            await vault.write_credential(credential(label="meanwhile"), 1)
        return found


@pytest.mark.promise("P-26")
async def test_a_record_that_does_not_open_is_reported_once_and_neither_served_nor_overwritten() -> None:
    store, reports = MemoryStore(), Reports()
    await filled(store, 3)
    vault = Vault(store, FIRST, report=reports)
    version = await overwrite(store, "cred", credential(1).id, b"rubbish")
    before = await contents(store)

    for _ in range(3):
        assert [found.id for found in await vault.credentials()] == [credential(0).id, credential(2).id]
        with pytest.raises(Undecryptable, match="malformed"):
            await vault.read_credential(credential(1).id)
        with pytest.raises(Undecryptable, match="not overwritten"):
            await vault.write_credential(credential(1), version)

    assert reports.troubles == [Trouble("cred", credential(1).id, version, Why.MALFORMED)]
    assert await contents(store) == before


async def test_a_sealed_record_that_this_release_cannot_read_is_reported_and_left() -> None:
    store, reports = MemoryStore(), Reports()
    vault = Vault(store, FIRST, report=reports)
    await vault._write("cred", "crd_x", b"{}", b"{}", 0)

    with pytest.raises(Undecryptable, match="malformed"):
        await vault.read_credential("crd_x")
    with pytest.raises(Undecryptable, match="not overwritten"):
        await vault.write_credential(credential(id="crd_x"), 1)

    assert reports.troubles == [Trouble("cred", "crd_x", 1, Why.MALFORMED)]


async def test_a_record_that_does_not_open_can_be_removed_by_a_person_and_made_anew() -> None:
    store = MemoryStore()
    vault = await filled(store, 1)
    version = await overwrite(store, "cred", credential().id, b"rubbish")
    assert await vault.credentials() == ()

    with pytest.raises(Conflict):
        await vault.remove("cred", credential().id, version - 1)
    await vault.remove("cred", credential().id, version)

    assert (await vault.write_credential(credential(), 0)).version == 1
    assert len(await vault.credentials()) == 1


async def test_the_open_part_of_a_record_cannot_be_changed() -> None:
    store = MemoryStore()
    vault = await filled(store, 1)
    stored = await store.get("cred", credential().id)
    assert stored is not None
    assert stored.value.count(b'"zai"') == 1
    await store.remove("cred", credential().id, expected=1)
    await store.put("cred", credential().id, stored.value.replace(b'"zai"', b'"bad"'), kid=1, expected=0)

    with pytest.raises(Undecryptable, match="tampered"):
        await vault.read_credential(credential().id)


# -- re-sealing


async def test_a_value_is_sealed_anew_under_the_primary_and_stays_what_it_is() -> None:
    store = MemoryStore()
    vault = await filled(store, 1)
    await vault.adopt(PROMOTED)

    assert await vault.reseal("cred", credential().id)
    assert await vault.reseal(META, "pepper")
    assert await vault.reseal(META, CHECK)

    assert await vault.read_credential(credential().id) == credential(version=2)
    assert {stored.kid for stored in (await contents(store)).values()} == {2}
    await Vault(store, PROMOTED.retired([1]).without(1)).unlock()


async def test_there_is_nothing_to_seal_anew_when_it_is_done_or_gone_or_changed_meanwhile() -> None:
    store = Slow()
    vault = await filled(store, 1)

    assert not await vault.reseal("cred", credential().id)
    assert not await vault.reseal("cred", "crd_none")
    await vault.adopt(PROMOTED)
    store.meanwhile = Vault(store, FIRST)
    assert not await vault.reseal("cred", credential().id)

    assert (await vault.read_credential(credential().id)).label == "meanwhile"


async def test_what_does_not_open_is_not_sealed_anew() -> None:
    store = MemoryStore()
    vault = await filled(store, 1)
    await overwrite(store, "cred", credential().id, b"rubbish")
    before = await contents(store)

    with pytest.raises(Undecryptable):
        await vault.reseal("cred", credential().id)

    assert await contents(store) == before
