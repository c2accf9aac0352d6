"""The start: every line of the table."""

from pathlib import Path

import pytest

from services.credentials import keyring_file
from services.credentials.errors import KeyringInvalid
from services.credentials.opening import open_vault
from services.credentials.stores.memory import MemoryStore
from tests.support.vaults import FIRST, Reports, contents, credential, filled, overwrite


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "keyring"


async def test_the_first_start_of_a_laptop_makes_a_keyring_and_claims_the_store_and_the_second_opens_it(
    path: Path,
) -> None:
    store = MemoryStore()

    first = await open_vault(store, path, own=True)
    second = await open_vault(store, path, own=True)

    assert first.keyring == second.keyring == keyring_file.load(path)
    assert len(await contents(store)) == 1


async def test_a_laptop_claims_an_empty_store_with_the_keyring_it_has(path: Path) -> None:
    keyring_file.create(path, FIRST)

    assert (await open_vault(MemoryStore(), path, own=True)).keyring == FIRST


async def test_a_laptop_that_lost_its_keyring_does_not_make_another_one(path: Path) -> None:
    store = MemoryStore()
    await filled(store, 1)
    before = await contents(store)

    with pytest.raises(KeyringInvalid, match="restore the keyring"):
        await open_vault(store, path, own=True)

    assert not keyring_file.present(path)
    assert await contents(store) == before


async def test_a_cluster_claims_an_empty_store_only_when_somebody_says_so(path: Path) -> None:
    store = MemoryStore()
    with pytest.raises(KeyringInvalid, match="No such file"):
        await open_vault(store, path, initialise=True)
    keyring_file.create(path, FIRST)

    with pytest.raises(KeyringInvalid, match="never initialised"):
        await open_vault(store, path)
    assert await contents(store) == {}
    await open_vault(store, path, initialise=True)

    assert (await open_vault(store, path)).keyring == FIRST


async def test_what_does_not_open_is_reported_to_whom_it_may_concern(path: Path) -> None:
    store, reports = MemoryStore(), Reports()
    keyring_file.create(path, FIRST)
    await filled(store, 2)
    await overwrite(store, "cred", credential(1).id, b"rubbish")

    vault = await open_vault(store, path, report=reports)

    assert len(await vault.credentials()) == 1
    assert [trouble.id for trouble in reports.troubles] == [credential(1).id]
