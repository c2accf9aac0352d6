"""Vaults over the memory store, and what to put into them."""

import hashlib

import msgspec

from services.credentials.contract import Kind
from services.credentials.keyring import Keyring
from services.credentials.records import Credential, Secrets
from services.credentials.stores.port import Store, Versioned
from services.credentials.vault import Trouble, Vault


def material(name: str) -> bytes:
    """Return a master key that is the same in every run."""
    return hashlib.sha256(name.encode()).digest()


FIRST = Keyring.generate(material("first"))
ADDED = FIRST.added(material("second"))
PROMOTED = ADDED.promoted(2)
RETIRED = PROMOTED.retired([1])
STRANGE = Keyring.generate(material("strange"))


def credential(number: int = 0, **changes: object) -> Credential:
    """Return a credential that is not stored yet."""
    record = Credential(
        id=f"crd_{number:012d}",
        provider="zai",
        kind=Kind.OAUTH,
        label=f"number {number}",
        secrets=Secrets(api_key=f"id.secret-{number}", refresh_token=f"refresh-{number}"),
        created_at=1_800_000_000.0,
        rotated_at=1_800_000_000.0,
    )
    return msgspec.structs.replace(record, **changes)


class Reports:
    """Collects what a vault reports."""

    def __init__(self) -> None:
        self.troubles: list[Trouble] = []

    def __call__(self, trouble: Trouble) -> None:
        self.troubles.append(trouble)


async def filled(store: Store, count: int, keyring: Keyring = FIRST) -> Vault:
    """Return a vault that claimed the store and holds so many credentials and a pepper."""
    vault = Vault(store, keyring)
    await vault.unlock(initialise=True)
    for number in range(count):
        await vault.write_credential(credential(number), 0)
    await vault.write_value("meta", "pepper", b"pepper" * 6, 0)
    return vault


async def contents(store: Store) -> dict[tuple[str, str], Versioned]:
    """Return every versioned value of a store, to compare it with later."""
    return {(kind, id_): value for kind in ("cred", "key", "meta") for id_, value in (await store.scan(kind)).items()}


async def overwrite(store: Store, kind: str, id_: str, value: bytes) -> int:
    """Do as somebody who can write to the store: replace a value, keep no rule. Returns the stored version."""
    stored = await store.get(kind, id_)
    version = 0 if stored is None else stored.version
    assert await store.put(kind, id_, value, kid=1, expected=version)
    return version + 1
