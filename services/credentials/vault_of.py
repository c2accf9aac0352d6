"""The vault that the settings name, for a command that opens it, does one thing and is done."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from services.credentials.opening import open_vault
from services.credentials.stores.factory import FILE_NAME, open_store
from services.credentials.stores.port import Store
from services.credentials.vault import Trouble, Vault, silent

KEYRING_NAME: Final = "keyring.json"  # in the directory, unless a file is named


@asynccontextmanager
async def vault_of(
    store_url: str | None,
    directory: Path,
    keyring: str | None = None,
    *,
    report: Callable[[Trouble], None] = silent,
) -> AsyncIterator[tuple[Vault, Store]]:
    """
    Open the store of `store_url` (None: SQLite in `directory`) with the keyring of that file (None: the laptop's own).

    `report` hears of records that do not open. Raises KeyringInvalid, StoreRefused, StoreUnavailable.
    """
    embedded = store_url is None or urlsplit(store_url).scheme in ("sqlite", "memory")
    store = await open_store(store_url, directory)
    try:
        path = keyring_path(directory, keyring)
        yield await open_vault(store, path, own=embedded and keyring is None, report=report), store
    finally:
        await store.aclose()


def is_untouched(store_url: str | None, directory: Path) -> bool:
    """Say whether the laptop's store was never made: then there is nothing to read, and no reason to make it."""
    return store_url is None and not (directory.expanduser() / FILE_NAME).exists()


def keyring_path(directory: Path, keyring: str | None) -> Path:
    return (directory / KEYRING_NAME if keyring is None else Path(keyring)).expanduser()
