"""
The clients' keys: made, listed, replaced and revoked, and handed to gateways as MACs under a pepper (promises.md C6).

Theory of operation. A key is shown once, to whoever asked for it, and then known to its holder only. Everything kept of
it is one sealed record (`key/<id>`), so that nobody who can write to the store can add a key, move a MAC to another
key, lengthen a life or undo a revocation. The pepper lies sealed beside it and is made with the first key.

    active      --rotate-->    replaced    both secrets are good
    replaced    --rotate-->    replaced    the older of the two is good no longer
    replaced    --settle-->    active      only the newer one is good
    any         --revoke-->    revoked     for good; the record stays, so that a listing shows it and a gateway that
                                           had only this key does not begin to serve without one
"""

import base64
import contextlib
import secrets
from collections.abc import Callable
from typing import Final

import msgspec

from services.chassis.secret import Secret
from services.credentials import key_format
from services.credentials.contract import ClientKey
from services.credentials.errors import Conflict, NotFound, Undecryptable
from services.credentials.leases import KnownKeys
from services.credentials.stores.port import Store
from services.credentials.vault import CLIENT_KEY, META, Vault

_PEPPER: Final = "pepper"
_ACTIVE: Final = 2  # secrets of one key that are good at a time
_TRIES: Final = 8


class KeyRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """All that is kept of a key. Times are seconds since the epoch, by the store's clock."""

    id: str
    macs: tuple[str, ...]  # in hex, the newest first
    name: str
    owner: str = ""
    models: tuple[str, ...] = ()  # empty: all
    created_at: float
    rotated_at: float  # when the newest secret was made
    expires_at: float | None = None
    revoked_at: float | None = None
    version: int = 0  # of the stored record


class NewKey(msgspec.Struct, frozen=True):
    """A key that was just made: the only time that the whole of it exists here."""

    key: Secret
    record: KeyRecord


_decoder: Final = msgspec.json.Decoder(KeyRecord)


class ClientKeyBook:
    """Safe for concurrent use on one event loop, and by several processes."""

    def __init__(self, vault: Vault, store: Store, *, random: Callable[[int], bytes] = secrets.token_bytes) -> None:
        self._vault = vault
        self._store = store
        self._random = random

    async def create(
        self, name: str, *, owner: str = "", models: tuple[str, ...] = (), expires_at: float | None = None
    ) -> NewKey:
        """Make a key. Raises Conflict when the name is taken by a key that is not revoked."""
        if any(record.name == name and record.revoked_at is None for record in await self.all()):
            raise Conflict(f"there is a key named {name} already; choose another name, or rotate or revoke that one")
        now = await self._store.now()
        id_ = key_format.make_id(self._random(key_format.ID_SIZE))
        key, mac = await self._new_secret(id_)
        record = KeyRecord(
            id=id_,
            macs=(mac,),
            name=name,
            owner=owner,
            models=models,
            created_at=now,
            rotated_at=now,
            expires_at=expires_at,
        )
        return NewKey(key, await self._write(record))

    async def all(self) -> tuple[KeyRecord, ...]:
        """Return every key's record that opens, the oldest first."""
        records = []
        for id_, opened in (await self._vault.values(CLIENT_KEY)).items():
            with contextlib.suppress(Undecryptable):
                records.append(_read(id_, opened.version, opened.data))
        return tuple(sorted(records, key=lambda record: (record.created_at, record.id)))

    async def known(self) -> KnownKeys:
        """
        Return the keys as a snapshot carries them; `Broker(client_keys=…)` asks for it at every change.

        With a pepper that is lost or does not open there are keys and no pepper, so that gateways let nobody in.
        """
        keys = tuple(_for_gateways(record) for record in await self.all())
        pepper = None
        if keys:
            with contextlib.suppress(Undecryptable):
                pepper = await self._vault.read_value(META, _PEPPER)
        return KnownKeys(keys=keys, pepper="" if pepper is None else base64.b64encode(pepper.data).decode())

    async def revoke(self, id_: str) -> KeyRecord:
        """End a key for good; one that is revoked already stays so. Raises NotFound, Undecryptable, Conflict."""
        now = await self._store.now()
        return await self._change(
            id_, lambda found: found if found.revoked_at is not None else msgspec.structs.replace(found, revoked_at=now)
        )

    async def rotate(self, id_: str) -> NewKey:
        """
        Give a key a new secret; the one before it stays good until `settle` or the next rotation.

        Raises NotFound, Undecryptable, Conflict; Conflict also for a revoked key.
        """
        now = await self._store.now()
        key, mac = await self._new_secret(id_)

        def with_new(found: KeyRecord) -> KeyRecord:
            _require_active(found)
            return msgspec.structs.replace(found, macs=(mac, *found.macs)[:_ACTIVE], rotated_at=now)

        return NewKey(key, await self._change(id_, with_new))

    async def settle(self, id_: str) -> KeyRecord:
        """End the older secret of a key that was rotated. Raises as `rotate`."""

        def newest_only(found: KeyRecord) -> KeyRecord:
            _require_active(found)
            return msgspec.structs.replace(found, macs=found.macs[:1])

        return await self._change(id_, newest_only)

    # -- inside

    async def _new_secret(self, id_: str) -> tuple[Secret, str]:
        pepper = await self._pepper()
        key = key_format.make(id_, self._random(key_format.SECRET_SIZE))
        parsed = key_format.parse(key.reveal().encode())
        if parsed is None:
            raise NotFound("that is not the id of a key")
        return key, key_format.mac(pepper, parsed.secret).hex()

    async def _pepper(self) -> bytes:
        """Return the pepper; the first of all who need one makes it."""
        found = await self._vault.read_value(META, _PEPPER)
        if found is not None:
            return found.data
        made = self._random(key_format.PEPPER_SIZE)
        try:
            _ = await self._vault.write_value(META, _PEPPER, made, 0)
        except Conflict:
            return await self._pepper()
        return made

    async def _change(self, id_: str, change: Callable[[KeyRecord], KeyRecord]) -> KeyRecord:
        for _ in range(_TRIES):
            opened = await self._vault.read_value(CLIENT_KEY, id_)
            if opened is None:
                raise NotFound(f"there is no key with the id {id_}")
            found = _read(id_, opened.version, opened.data)
            changed = change(found)
            if changed == found:
                return found
            try:
                return await self._write(changed)
            except Conflict:
                continue  # a rotation of the master key, or another person
        raise Conflict("the key is being changed by somebody else; try again")

    async def _write(self, record: KeyRecord) -> KeyRecord:
        data = msgspec.json.encode(msgspec.structs.replace(record, version=0))
        version = await self._vault.write_value(CLIENT_KEY, record.id, data, record.version)
        return msgspec.structs.replace(record, version=version)


def _read(id_: str, version: int, data: bytes) -> KeyRecord:
    try:
        record = _decoder.decode(data)
    except msgspec.MsgspecError:
        raise Undecryptable(f"the key {id_} was written by another release") from None
    return msgspec.structs.replace(record, version=version)


def _require_active(record: KeyRecord) -> None:
    if record.revoked_at is not None:
        raise Conflict("the key is revoked; create another one")


def _for_gateways(record: KeyRecord) -> ClientKey:
    return ClientKey(
        id=record.id,
        macs=record.macs,
        name=record.name,
        owner=record.owner,
        models=record.models,
        expires_at=record.expires_at,
        disabled=record.revoked_at is not None,
    )
