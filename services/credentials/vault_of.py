"""
The store and the vault that the settings name: for the service's process, and for a command that opens them, does one
thing and is done.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from services.chassis.redis.address import Login
from services.credentials import keyring_file
from services.credentials.errors import KeyringInvalid
from services.credentials.opening import open_vault
from services.credentials.settings import KeyringSettings, StoreSettings, directory, is_own, keyring_path
from services.credentials.stores.factory import open_store
from services.credentials.stores.memory import MemoryStore
from services.credentials.stores.port import Store
from services.credentials.vault import Trouble, Vault, silent


@asynccontextmanager
async def vault_of(
    settings: StoreSettings,
    keyring: KeyringSettings = KeyringSettings(),  # noqa: B008 -- frozen
    *,
    report: Callable[[Trouble], None] = silent,
) -> AsyncIterator[tuple[Vault, Store]]:
    """
    Open the store with its keyring. `report` hears of records that do not open.

    Raises KeyringInvalid, StoreRefused, StoreUnavailable.
    """
    look_at_keyring(settings, keyring)
    store = await store_of(settings)
    try:
        yield await vault_over(store, settings, keyring, report=report), store
    finally:
        await store.aclose()


def vault_over_nothing(settings: StoreSettings, keyring: KeyringSettings) -> Vault:
    """Return a vault that opens what lies outside the store. Makes nothing; raises KeyringInvalid."""
    path = keyring_path(settings, keyring)
    if not keyring_file.present(path):
        raise KeyringInvalid(f"there is no keyring {path}: put the copy back that you kept of it, then try again")
    return Vault(MemoryStore(), keyring_file.load(path))


async def store_of(settings: StoreSettings) -> Store:
    """Open the store. Raises StoreRefused, StoreUnavailable."""
    login = Login(
        username=settings.username,
        password=settings.password,
        sentinel_username=settings.sentinel_username,
        sentinel_password=settings.sentinel_password,
    )
    return await open_store(settings.url, directory(settings), login=login, ca_file=settings.ca_file)


async def vault_over(
    store: Store,
    settings: StoreSettings,
    keyring: KeyringSettings,
    *,
    report: Callable[[Trouble], None] = silent,
) -> Vault:
    """Open the vault over a store that is open. Raises KeyringInvalid, with nothing written."""
    path = keyring_path(settings, keyring)
    return await open_vault(store, path, own=is_own(settings, keyring), report=report)


async def claim(settings: StoreSettings, keyring: KeyringSettings) -> int:
    """
    Make the keyring if there is none, let it claim the store if that is empty; return its primary key's id.

    Raises KeyringInvalid when the two do not belong together, StoreRefused, StoreUnavailable.
    """
    store = await store_of(settings)
    try:
        vault = await open_vault(store, keyring_path(settings, keyring), own=True)
        return vault.keyring.primary.kid
    finally:
        await store.aclose()


def look_at_keyring(settings: StoreSettings, keyring: KeyringSettings) -> None:
    """Raise KeyringInvalid for a keyring that is no good, before a store is so much as opened."""
    path = keyring_path(settings, keyring)
    if not is_own(settings, keyring) or keyring_file.present(path):
        _ = keyring_file.load(path)
