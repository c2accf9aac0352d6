"""
What the vault puts into a store: the part that may be read, and the sealed part that vouches for it. Pure.

    offset  bytes  what
    0       1      0x01, the format
    1       4      length of the open part, big endian
    5       n      the open part: of a credential, JSON of all but its secrets; else empty
    5+n     m      the sealed part (sealing.py): SHA-256 of the open part, then the secret

The open part can be listed and searched without a key, but not changed: its digest is sealed with the secret, so that
nobody who can write to the store can point a key at another provider. A sweep re-seals a value without reading either.
"""

import hmac
import struct
from hashlib import sha256
from typing import Final

import msgspec

from services.chassis import sealing
from services.chassis.sealing import Unopened, Why
from services.credentials.contract import Kind, State
from services.credentials.records import Credential, Secrets, Standing

FORMAT: Final = 1
_PREFIX: Final = struct.Struct(">BI")
_DIGEST: Final = sha256().digest_size


class _Open(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The open part of a credential. Id and version are the store's to say, and are sealed in."""

    provider: str
    kind: Kind
    label: str
    user_id: str | None = None
    created_at: float
    rotated_at: float
    expires_at: float | None = None
    refreshed_at: float | None = None
    state: State = State.READY
    reason: str = ""
    usable_at: float | None = None
    blocked_models: tuple[str, ...] = ()
    start_plan: Standing = Standing()
    made_from: str = ""
    fence: int = 0


_open_decoder: Final = msgspec.json.Decoder(_Open)
_secrets_decoder: Final = msgspec.json.Decoder(Secrets)


def join(open_part: bytes, sealed: bytes) -> bytes:
    """Put the two parts together."""
    return _PREFIX.pack(FORMAT, len(open_part)) + open_part + sealed


def split(value: bytes) -> tuple[bytes, bytes]:
    """Take the two parts apart. Raises Unopened."""
    if len(value) < _PREFIX.size:
        raise Unopened(Why.MALFORMED)
    version, length = _PREFIX.unpack_from(value)
    if version != FORMAT or len(value) < _PREFIX.size + length:
        raise Unopened(Why.MALFORMED)
    return value[_PREFIX.size : _PREFIX.size + length], value[_PREFIX.size + length :]


def kid_of(value: bytes) -> int:
    """Return which master key a stored value was sealed under, by what is sealed. Raises Unopened."""
    return sealing.kid_of(split(value)[1])


def vouched(open_part: bytes, secret: bytes) -> bytes:
    """Return what is to be sealed."""
    return sha256(open_part).digest() + secret


def checked(open_part: bytes, opened: bytes) -> bytes:
    """Return the secret of what was sealed, if the open part is the one it was sealed with. Raises Unopened."""
    if not hmac.compare_digest(opened[:_DIGEST], sha256(open_part).digest()):
        raise Unopened(Why.TAMPERED)
    return opened[_DIGEST:]


def take_apart(record: Credential) -> tuple[bytes, bytes]:
    """Return a credential's open part and its secret part."""
    open_part = _Open(**{name: getattr(record, name) for name in _Open.__struct_fields__})
    return msgspec.json.encode(open_part), msgspec.json.encode(record.secrets)


def put_together(id_: str, version: int, open_part: bytes, secret: bytes) -> Credential:
    """Return the credential of two parts that were checked. Raises Unopened if this release cannot read them."""
    try:
        found = _open_decoder.decode(open_part)
        secrets = _secrets_decoder.decode(secret)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise Unopened(Why.MALFORMED) from None
    return Credential(id=id_, version=version, secrets=secrets, **msgspec.structs.asdict(found))
