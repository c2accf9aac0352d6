"""What a backup holds, and that putting it back never makes anything older."""

import msgspec
import pytest

from services.credentials import backup
from services.credentials.backup import NotABackup, Restored
from services.credentials.client_keys import ClientKeyBook
from services.credentials.errors import Conflict
from services.credentials.keyring import Keyring
from services.credentials.stores.memory import MemoryStore
from services.credentials.vault import CREDENTIAL, META, Vault
from tests.support.clock import ManualClock
from tests.support.vaults import FIRST, PROMOTED, STRANGE, Reports, contents, filled, overwrite


async def empty(keyring: Keyring = FIRST) -> tuple[Vault, MemoryStore]:
    store = MemoryStore(ManualClock())
    vault = Vault(store, keyring)
    await vault.unlock(initialise=True)
    return vault, store


async def source(count: int = 3) -> tuple[Vault, MemoryStore]:
    store = MemoryStore(ManualClock())
    return await filled(store, count), store


async def refreshed(vault: Vault, number: int, times: int) -> str:
    """Change a record so many times; returns its newest token."""
    for _ in range(times):
        record = await vault.read_credential(f"crd_{number:012d}")
        token = f"refreshed-{record.version}-{record.secrets.refresh_token}"
        secrets = msgspec.structs.replace(record.secrets, refresh_token=token)
        await vault.write_credential(msgspec.structs.replace(record, secrets=secrets), record.version)
    return (await vault.read_credential(f"crd_{number:012d}")).secrets.refresh_token or ""


async def token_of(vault: Vault, number: int = 0) -> str | None:
    return (await vault.read_credential(f"crd_{number:012d}")).secrets.refresh_token


@pytest.mark.promise("P-69")
async def test_everything_comes_back_into_an_empty_store() -> None:
    vault, store = await source()
    token = await refreshed(vault, 0, 5)
    made = await backup.make(vault, store)
    other, target = await empty()
    done = await backup.restore(other, target, backup.read(other, made.data))

    assert (made.count, done.written, done.left, done.broken) == (4, 4, 0, ())
    assert await token_of(other) == token
    assert len(await other.credentials()) == 3
    pepper = await other.read_value(META, "pepper")
    assert pepper is not None
    assert pepper.data == b"pepper" * 6


async def test_nothing_of_it_can_be_read_without_the_keyring() -> None:
    vault, store = await source()
    made = await backup.make(vault, store)

    for canary in (b"crd_", b"number 1", b"zai", b"refresh", b"id.secret"):
        assert canary not in made.data
    stranger, _ = await empty(STRANGE)
    with pytest.raises(NotABackup, match="does not open with this keyring"):
        backup.read(stranger, made.data)


@pytest.mark.parametrize("how", ["empty", "cut", "flipped", "other"])
async def test_what_is_no_backup_is_refused(how: str) -> None:
    vault, store = await source()
    data = (await backup.make(vault, store)).data
    flipped = bytearray(data)
    flipped[-30] ^= 1
    for_other = b"zr-backup-1\n" + vault.seal_value("backup", "file", "backup", 1, b"other")
    with pytest.raises(NotABackup):
        backup.read(vault, {"empty": b"", "cut": data[:-1], "flipped": bytes(flipped), "other": for_other}[how])


@pytest.mark.promise("P-69")
async def test_what_is_newer_in_the_store_is_left_and_what_is_older_is_not() -> None:
    vault, store = await source()
    await refreshed(vault, 0, 2)
    made = await backup.make(vault, store)
    newest = await refreshed(vault, 0, 1)
    behind, target = await source()
    await refreshed(behind, 1, 3)  # newer there than in the backup
    token = await token_of(behind, 1)

    assert (await backup.restore(vault, store, backup.read(vault, made.data))).written == 0
    assert await token_of(vault) == newest

    done = await backup.restore(behind, target, backup.read(behind, made.data))
    assert done == Restored(written=1, left=3, broken=())
    assert await token_of(behind) == (await token_of(vault) or "").split("refreshed-3-")[1]
    assert await token_of(behind, 1) == token


@pytest.mark.promise("P-69")
async def test_an_age_outlives_the_versions_that_a_restore_begins_anew() -> None:
    vault, store = await source(1)
    await refreshed(vault, 0, 9)
    old = await backup.make(vault, store)
    other, target = await empty()
    await backup.restore(other, target, backup.read(other, old.data))
    newest = await refreshed(other, 0, 1)  # version 2 here, while the backup says 10

    assert (await backup.restore(other, target, backup.read(other, old.data))).written == 0
    assert await token_of(other) == newest

    third, last = await empty()
    await backup.restore(third, last, backup.read(third, (await backup.make(other, target)).data))
    assert (await backup.restore(third, last, backup.read(third, old.data))).written == 0
    assert await token_of(third) == newest


async def test_a_record_that_does_not_open_is_left_out_and_is_put_back() -> None:
    vault, store = await source()
    made = await backup.make(vault, store)
    await overwrite(store, CREDENTIAL, "crd_000000000001", b"spoilt")
    with_gap = await backup.make(vault, store)

    assert with_gap.left_out == ("cred/crd_000000000001",)
    assert with_gap.count == made.count - 1
    done = await backup.restore(vault, store, backup.read(vault, made.data))
    assert (done.written, done.left) == (1, 3)
    assert await token_of(vault, 1) == "refresh-1"


async def test_a_backup_opens_after_the_master_key_was_replaced() -> None:
    vault, store = await source()
    made = await backup.make(vault, store)
    other, target = await empty(PROMOTED)
    await backup.restore(other, target, backup.read(other, made.data))

    assert {value.kid for value in (await target.scan(CREDENTIAL)).values()} == {2}
    assert len(await other.credentials()) == 3


async def test_a_value_that_does_not_open_in_the_backup_is_named_and_the_rest_comes_back() -> None:
    vault, store = await source()
    found = backup.read(vault, (await backup.make(vault, store)).data)
    spoilt = msgspec.structs.replace(found.values[0], value=b"spoilt")
    other, target = await empty()
    done = await backup.restore(other, target, msgspec.structs.replace(found, values=(spoilt, *found.values[1:])))

    assert (done.written, done.broken) == (3, ("cred/crd_000000000000",))


async def test_keys_under_another_pepper_are_not_mixed() -> None:
    vault, store = await empty()
    await ClientKeyBook(vault, store).create("mine")
    found = backup.read(vault, (await backup.make(vault, store)).data)
    other, target = await empty()
    await ClientKeyBook(other, target).create("theirs")
    before = await contents(target)

    with pytest.raises(Conflict, match="another pepper"):
        await backup.restore(other, target, found)
    assert await contents(target) == before

    third = await filled(MemoryStore(ManualClock()), 0)
    done = await backup.restore(third, third._store, found)
    assert (done.written, [key.name for key in await ClientKeyBook(third, third._store).all()]) == (2, ["mine"])
    mine, theirs = await vault.read_value(META, "pepper"), await third.read_value(META, "pepper")
    assert mine is not None
    assert theirs is not None
    assert mine.data == theirs.data


async def test_a_pepper_that_does_not_open_is_put_back() -> None:
    vault, store = await empty()
    await ClientKeyBook(vault, store).create("mine")
    found = backup.read(vault, (await backup.make(vault, store)).data)
    await overwrite(store, META, "pepper", b"spoilt")

    assert (await backup.restore(vault, store, found)).written == 1
    assert (await ClientKeyBook(vault, store).known()).pepper


async def test_the_check_record_and_what_replicas_say_stay_where_they_are() -> None:
    vault, store = await source(1)
    await vault.write_value(META, "kids:pod-1", b"x", 0)
    found = backup.read(vault, (await backup.make(vault, store)).data)

    assert {(kept.kind, kept.id) for kept in found.values} == {("cred", "crd_000000000000"), ("meta", "pepper")}
    sneaked = msgspec.structs.replace(found.values[0], kind=META, id="check")
    assert (await backup.restore(vault, store, msgspec.structs.replace(found, values=(sneaked,)))).written == 0


class Busy(MemoryStore):
    """Others are always faster with these ids."""

    taken: frozenset[str] = frozenset()

    async def put(self, kind: str, id_: str, value: bytes, *, kid: int, expected: int) -> bool:
        return id_ not in self.taken and await super().put(kind, id_, value, kid=kid, expected=expected)


async def test_what_somebody_writes_meanwhile_is_newer() -> None:
    vault, store = await source()
    await refreshed(vault, 0, 1)
    made = await backup.make(vault, store)
    busy = Busy(ManualClock())
    other = Vault(busy, FIRST, report=Reports())
    await other.unlock(initialise=True)
    busy.taken = frozenset({"crd_000000000002"})

    assert await backup.restore(other, busy, backup.read(other, made.data)) == Restored(written=3, left=1, broken=())

    busy.taken = frozenset({"ages"})
    with pytest.raises(Conflict, match="another restore"):
        await backup.restore(other, busy, backup.read(other, made.data))
