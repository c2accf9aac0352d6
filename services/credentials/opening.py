"""
The vault as the settings name it, for a process or a command: store and keyring opened, and proven to fit together.

On a laptop (SQLite, no keyring named) both are made on first use. Anywhere else a missing keyring or a store that was
never initialised is an error, because making them there would hide that the wrong ones were named.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from services.chassis.clock import Clock
from services.credentials import keyring_file
from services.credentials.keyring import Keyring
from services.credentials.stores.factory import FILE_NAME, open_store
from services.credentials.stores.port import Store
from services.credentials.vault import CHECK, META, Trouble, Vault

KEYRING_NAME: Final = "keyring.json"


def _silent(_: Trouble) -> None:
    pass


def is_untouched(store_url: str | None, directory: Path) -> bool:
    """Say whether the laptop's store was never made: then there is nothing to read, and no reason to make it."""
    return store_url is None and not (directory.expanduser() / FILE_NAME).exists()


@asynccontextmanager
async def open_vault(
    store_url: str | None,
    directory: Path,
    keyring: str | None = None,
    *,
    clock: Clock | None = None,
    report: Callable[[Trouble], None] = _silent,
) -> AsyncIterator[tuple[Vault, Store]]:
    """
    Open the store of `store_url` (None: SQLite in `directory`) with the keyring of that file (None: the laptop's own).

    `report` hears of records that do not open.

    Raises KeyringInvalid, StoreRefused, StoreUnavailable.
    """
    embedded = store_url is None or urlsplit(store_url).scheme in ("sqlite", "memory")
    store = await open_store(store_url, directory, clock=clock)
    try:
        # A keyring that went missing must not be replaced by one that opens nothing.
        is_new = embedded and await store.get(META, CHECK) is None
        vault = Vault(store, load_keyring(directory, keyring, generate=is_new), report=report)
        await vault.unlock(initialise=embedded)
        yield vault, store
    finally:
        await store.aclose()


def load_keyring(directory: Path, keyring: str | None, *, generate: bool) -> Keyring:
    """Load the keyring of a file, or the one in `directory`; only the latter is ever made. Raises KeyringInvalid."""
    if keyring is not None:
        return keyring_file.load(Path(keyring).expanduser())
    path = directory.expanduser() / KEYRING_NAME
    return keyring_file.load_or_generate(path) if generate else keyring_file.load(path)
