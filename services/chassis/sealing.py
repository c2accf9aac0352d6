"""
The record format: how a secret becomes bytes that a store may see, and back. Pure; the only module that touches AEAD.

    offset  bytes  what
    0       1      0x01, the format
    1       4      kid, big endian: which master key
    5       16     salt, random: makes one key per sealing
    21      16     commitment: HMAC-SHA-256(key, "commit"), cut to 16 bytes
    37      12     nonce, random
    49      n      ciphertext of AES-256-GCM, as long as the plain text
    49+n    16     tag

    key = HKDF-Expand-SHA-256(master[kid], "zr/v1/" + purpose + salt, 32)
    AAD = bytes 0..48, then type, namespace, id, field and version, each after its length
          (lengths are 4 bytes, the version is 8 bytes, both big endian; text is UTF-8)

A key seals one value only, so the number of values that a random 96-bit nonce allows per key never matters. The
commitment makes a sealed value open under one master key at most, which GCM alone does not promise. The associated data
ties a value to its place and version: a value that is moved, or kept and put back later, does not open there.
`tests/golden/sealing` holds test vectors. Source: promises.md C1.1, C1.5.
"""

import hmac
import struct
from enum import Enum
from hashlib import sha256
from typing import Final

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

FORMAT: Final = 1
MASTER_SIZE: Final = 32
RANDOM_SIZE: Final = 28  # salt and nonce of one sealing
OVERHEAD: Final = 65  # a sealed value is so many bytes longer than the plain one
NEWEST: Final = 2**63 - 1  # highest version; what SQLite and Redis can count to

_PREFIX: Final = struct.Struct(">BI16s16s12s")
_SALT: Final = 16
_TAG: Final = 16
_LABEL: Final = b"zr/v1/"


class Purpose(Enum):
    """What a key may be used for; a value sealed for one purpose does not open for another."""

    CREDENTIAL = "cred"
    CLIENT_KEY = "client-key"
    META = "meta"
    LOGIN = "login"
    SPOOL = "spool"
    BACKUP = "backup"
    CAPTCHA = "captcha"
    PAGE_SESSION = "page-session"
    INTERNAL_HMAC = "internal-hmac"
    AUDIT = "audit"
    FINGERPRINT = "fingerprint"


class Why(Enum):
    """Why a value does not open. Words for a log and a metric; none tells anything about a secret."""

    MALFORMED = "malformed"  # too short, or not this format
    UNKNOWN_KEY = "unknown_key"  # sealed under a key that is not in the keyring
    WRONG_KEY = "wrong_key"  # the commitment is not this key's: another key with the same number, or tampering
    TAMPERED = "tampered"  # not what was sealed, or not where and when it was sealed
    ROLLED_BACK = "rolled_back"  # older than what was read before


class Unopened(Exception):
    """A value did not open."""

    def __init__(self, why: Why) -> None:
        super().__init__(why.value)
        self.why = why


class Place(msgspec.Struct, frozen=True):
    """Where a value belongs. All of it is authenticated; moving a value to any other place spoils it."""

    type: str  # kind of the record
    namespace: str  # keeps installations apart that share a store
    id: str
    field: str
    version: int


def seal(plain: bytes, place: Place, *, purpose: Purpose, kid: int, master: bytes, random: bytes) -> bytes:
    """Seal a value for its place. `random` is RANDOM_SIZE fresh random bytes, never used before."""
    if len(random) != RANDOM_SIZE:
        raise ValueError(f"sealing takes {RANDOM_SIZE} random bytes")
    salt, nonce = random[:_SALT], random[_SALT:]
    key = _key(master, purpose, salt)
    header = _PREFIX.pack(FORMAT, kid, salt, _commitment(key), nonce)
    return header + AESGCM(key).encrypt(nonce, plain, header + _spelled(place))


def unseal(sealed: bytes, place: Place, *, purpose: Purpose, master: bytes) -> bytes:
    """Open a sealed value in its place; `master` is the key that `kid_of` names. Raises Unopened."""
    _, salt, commitment, nonce = _header(sealed)
    if not 0 <= place.version <= NEWEST:
        raise Unopened(Why.MALFORMED)
    key = _key(master, purpose, salt)
    if not hmac.compare_digest(commitment, _commitment(key)):
        raise Unopened(Why.WRONG_KEY)
    header, body = sealed[: _PREFIX.size], sealed[_PREFIX.size :]
    try:
        return AESGCM(key).decrypt(nonce, body, header + _spelled(place))
    except InvalidTag:
        raise Unopened(Why.TAMPERED) from None


def kid_of(sealed: bytes) -> int:
    """Return which master key a value was sealed under. Raises Unopened."""
    return _header(sealed)[0]


def derive(master: bytes, purpose: Purpose) -> bytes:
    """Return a key of 32 bytes for a use other than sealing, such as an HMAC; the same every time."""
    return _expand(master, _LABEL + b"key/" + purpose.value.encode())


def fingerprint(master: bytes) -> str:
    """Name a master key without telling anything about it: equal for equal keys, 16 hex digits."""
    return derive(master, Purpose.FINGERPRINT)[:8].hex()


def open_foreign(key: bytes, nonce: bytes, body: bytes) -> bytes | None:
    """Decrypt AES-256-GCM of somebody else's format, to import it; None if it does not open. Nothing is sealed so."""
    try:
        return AESGCM(key).decrypt(nonce, body, None)
    except InvalidTag:
        return None


def _header(sealed: bytes) -> tuple[int, bytes, bytes, bytes]:
    if len(sealed) < _PREFIX.size + _TAG:
        raise Unopened(Why.MALFORMED)
    version, kid, salt, commitment, nonce = _PREFIX.unpack_from(sealed)
    if version != FORMAT:
        raise Unopened(Why.MALFORMED)
    return kid, salt, commitment, nonce


def _key(master: bytes, purpose: Purpose, salt: bytes) -> bytes:
    return _expand(master, _LABEL + purpose.value.encode() + salt)


def _expand(master: bytes, info: bytes) -> bytes:
    if len(master) != MASTER_SIZE:
        raise ValueError(f"a master key is {MASTER_SIZE} bytes")
    return HKDFExpand(algorithm=SHA256(), length=32, info=info).derive(master)


def _commitment(key: bytes) -> bytes:
    return hmac.digest(key, b"commit", sha256)[:16]


def _spelled(place: Place) -> bytes:
    parts = [text.encode() for text in (place.type, place.namespace, place.id, place.field)]
    parts.append(place.version.to_bytes(8, "big"))
    return b"".join(len(part).to_bytes(4, "big") + part for part in parts)
