"""
The start of every process that seals: a keyring from its file, a vault over its store, and proof that they belong.

What is wrong is found before anything is written; whoever starts the process says it in one line and exits with 78.

    keyring file   store            `own` (laptop)                        else (cluster)
    there          claimed          opened if the keyring is the store's  the same
    there          empty            claimed                               KeyringInvalid until somebody says `init`
    missing        empty            a keyring is made, store claimed      KeyringInvalid
    missing        holds anything   KeyringInvalid: a new key would only  KeyringInvalid
                                    hide that the old one is lost
"""

from collections.abc import Callable
from pathlib import Path

from services.credentials import keyring_file
from services.credentials.errors import KeyringInvalid
from services.credentials.keyring import Keyring
from services.credentials.stores.port import Store
from services.credentials.vault import NAMESPACE, Trouble, Vault, is_empty, silent


async def open_vault(
    store: Store,
    path: Path,
    *,
    own: bool = False,
    initialise: bool = False,
    namespace: str = NAMESPACE,
    report: Callable[[Trouble], None] = silent,
) -> Vault:
    """
    Return an unlocked vault. Raises KeyringInvalid, with nothing written.

    `own`: store and keyring are this machine's alone, so that its first start may make both. `initialise`: a person
    said that this keyring is to claim this store.
    """
    vault = Vault(store, await _keyring(store, path, own=own), namespace=namespace, report=report)
    await vault.unlock(initialise=own or initialise)
    return vault


async def _keyring(store: Store, path: Path, *, own: bool) -> Keyring:
    if not own or keyring_file.present(path):
        return keyring_file.load(path)
    if not await is_empty(store):
        raise KeyringInvalid(f"the keyring {path} is missing and the store holds records; restore the keyring")
    return keyring_file.load_or_generate(path)
