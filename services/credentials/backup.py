"""
Backups: every sealed value of a store, sealed once more as a whole, and what of it may be put back.

    offset  bytes  what
    0       12     "zr-backup-1\\n"
    12      m      sealed (sealing.py): MessagePack of the time, and of each value its kind, id, version, age and bytes

A backup opens with the keyring it was made under, or one that still has that key; the keyring itself is not in it and
belongs in another place.

Theory of operation. A restore never takes a value back to an older one. A store counts versions from 1 again when a
value is put back where there was none, so versions alone do not tell which is older. A value's age does: its version,
and for a value that was put back once, the difference that was lost then. The differences are kept in one sealed value,
written before what it speaks of.

    in the store                 outcome
    nothing                      put back
    something that does not open put back over it
    something of a lower age     put back over it
    of the same age or a higher  left as it is
    keys under another pepper    Conflict, nothing written: the keys of either would be good for nothing
"""

import asyncio
import contextlib
import hmac
from collections.abc import Mapping
from typing import Final

import msgspec

from services.credentials import replicas
from services.credentials.errors import Conflict, CredentialsError, Undecryptable
from services.credentials.stores.port import Store, Versioned
from services.credentials.vault import CHECK, CLIENT_KEY, META, SEALED_KINDS, Vault

_MAGIC: Final = b"zr-backup-1\n"
_KIND, _ID, _FIELD, _VERSION = "backup", "file", "backup", 1  # where a backup is sealed for
_AGES: Final = "ages"
_PEPPER: Final = "pepper"
_TRIES: Final = 16
_AT_ONCE: Final = 32  # writes under way, so that a store that syncs each one can sync them together

_Name = tuple[str, str]


class NotABackup(CredentialsError):
    """The file is something else, or was cut off or changed."""

    status = 400


class Kept(msgspec.Struct, frozen=True, array_like=True):
    """One value of a backup, as it was stored."""

    kind: str
    id: str
    version: int
    age: int
    kid: int
    value: bytes


class Backup(msgspec.Struct, frozen=True, kw_only=True):
    """What a backup holds. `made_at` in seconds since the epoch, by the store's clock."""

    made_at: float
    values: tuple[Kept, ...]


class Made(msgspec.Struct, frozen=True, kw_only=True):
    """A backup's bytes, how many values are in it, and the names of those that did not open and are not."""

    data: bytes
    count: int
    left_out: tuple[str, ...]


class Restored(msgspec.Struct, frozen=True, kw_only=True):
    """How many values were put back, how many were as new or newer, and the names of those that do not open."""

    written: int
    left: int
    broken: tuple[str, ...]


_decoder: Final = msgspec.msgpack.Decoder(Backup)
_ages_decoder: Final = msgspec.json.Decoder(dict[str, int])


async def make(vault: Vault, store: Store) -> Made:
    """Return a backup of everything that opens. Raises StoreUnavailable."""
    ages, _ = await _ages(vault)
    values, left_out = [], []
    for kind in SEALED_KINDS:
        opened = await vault.sealed(kind)
        left_out += [f"{kind}/{id_}" for id_ in sorted((await store.scan(kind)).keys() - opened.keys())]
        for id_, stored in opened.items():
            if _is_kept(kind, id_):
                age = stored.version + ages.get(f"{kind}/{id_}", 0)
                values.append(Kept(kind, id_, stored.version, age, stored.kid, stored.value))
    plain = msgspec.msgpack.encode(Backup(made_at=await store.now(), values=tuple(values)))
    data = _MAGIC + vault.seal_value(_KIND, _ID, _FIELD, _VERSION, plain)
    return Made(data=data, count=len(values), left_out=tuple(left_out))


def read(vault: Vault, data: bytes) -> Backup:
    """Open a backup. Raises NotABackup."""
    if not data.startswith(_MAGIC):
        raise NotABackup("this is no backup of ours")
    try:
        plain = vault.open_value(_KIND, _ID, _FIELD, _VERSION, data[len(_MAGIC) :])
    except Undecryptable as error:
        raise NotABackup(f"the backup does not open with this keyring, or was changed ({error})") from None
    try:
        return _decoder.decode(plain)
    except msgspec.MsgspecError:
        raise NotABackup("the backup was made by another release") from None


async def restore(vault: Vault, store: Store, backup: Backup) -> Restored:
    """
    Put back what is older or missing in the store. May be run again after it was interrupted.

    Processes that have been running on this store since before it lost its values must be started anew: they do not
    believe in versions that are lower than those they saw. Raises Conflict, StoreUnavailable.
    """
    stored = {(kind, id_): value for kind in SEALED_KINDS for id_, value in (await store.scan(kind)).items()}
    opens = {(kind, id_) for kind in SEALED_KINDS for id_ in await vault.sealed(kind)}
    if await _another_pepper(vault, backup):
        if any(kind == CLIENT_KEY for kind, _ in stored):
            raise Conflict("the store has client keys under another pepper; restore into an empty store")
        opens.discard((META, _PEPPER))
    ages, _ = await _ages(vault)
    due = [kept for kept in backup.values if _is_due(kept, stored, opens, ages)]
    await _keep_ages(vault, {f"{kept.kind}/{kept.id}": kept.age - _version(stored, kept) - 1 for kept in due})
    due.sort(key=lambda kept: kept.kind != META)  # the pepper before the keys
    outcomes = []
    for start in range(0, len(due), _AT_ONCE):
        batch = due[start : start + _AT_ONCE]
        outcomes += await asyncio.gather(*(_put_back(vault, kept, _version(stored, kept)) for kept in batch))
    broken = tuple(f"{kept.kind}/{kept.id}" for kept, put in zip(due, outcomes, strict=True) if put is None)
    written = outcomes.count(True)
    return Restored(written=written, left=len(backup.values) - written - len(broken), broken=broken)


async def _put_back(vault: Vault, kept: Kept, expected: int) -> bool | None:
    """Return whether a value was put back; None when it does not open."""
    try:
        await vault.restore(kept.kind, kept.id, _stored(kept), expected)
    except Undecryptable:
        return None
    except Conflict:
        return False  # somebody wrote it meanwhile, and that is newer
    return True


def _stored(kept: Kept) -> Versioned:
    return Versioned(version=kept.version, value=kept.value, kid=kept.kid)


def _is_kept(kind: str, id_: str) -> bool:
    """Leave out what belongs to a store, not to what is in it."""
    return kind != META or (id_ not in (CHECK, _AGES) and not id_.startswith(replicas.PREFIX))


def _is_due(kept: Kept, stored: Mapping[_Name, Versioned], opens: set[_Name], ages: Mapping[str, int]) -> bool:
    if not _is_kept(kept.kind, kept.id) or kept.kind not in SEALED_KINDS:
        return False
    if (kept.kind, kept.id) not in opens:
        return True
    return _version(stored, kept) + ages.get(f"{kept.kind}/{kept.id}", 0) < kept.age


def _version(stored: Mapping[_Name, Versioned], kept: Kept) -> int:
    found = stored.get((kept.kind, kept.id))
    return 0 if found is None else found.version


async def _another_pepper(vault: Vault, backup: Backup) -> bool:
    """Say whether the store has a pepper that is not the backup's."""
    for kept in backup.values:
        if (kept.kind, kept.id) == (META, _PEPPER):
            with contextlib.suppress(Undecryptable):  # one that does not open is no pepper
                here = await vault.read_value(META, _PEPPER)
                return here is not None and not hmac.compare_digest(here.data, vault.peek(META, _PEPPER, _stored(kept)))
    return False


async def _ages(vault: Vault) -> tuple[dict[str, int], int]:
    kept = await vault.read_value(META, _AGES)
    return ({}, 0) if kept is None else (_ages_decoder.decode(kept.data), kept.version)


async def _keep_ages(vault: Vault, more: dict[str, int]) -> None:
    for _ in range(_TRIES if more else 0):
        ages, version = await _ages(vault)
        with contextlib.suppress(Conflict):
            await vault.write_value(META, _AGES, msgspec.json.encode(ages | more), version)
            return
    if more:
        raise Conflict("another restore is running")
