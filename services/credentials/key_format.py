"""
What a client key looks like, and what is kept of one. Pure; the gateway checks keys with it (promises.md C6).

    zrp_<id: 12 of a-z2-7>_<secret: 43 of 0-9A-Za-z>_<CRC-32 of all before the last _, 8 hex digits>

The prefix is for scanners that look for leaked keys, the id is the lookup key and no secret, the secret is 256 random
bits in base 62, and the checksum finds typing errors before anything is looked up. Of the secret only an HMAC-SHA-256
is kept: a slow hash is for passwords, which can be guessed.
"""

import hmac
import re
import zlib
from base64 import b32encode
from hashlib import sha256
from typing import Final

import msgspec

from services.chassis.secret import Secret

PREFIX: Final = "zrp_"
ID_SIZE: Final = 8  # random bytes; 60 of the 64 bits are used
SECRET_SIZE: Final = 32  # random bytes
PEPPER_SIZE: Final = 32

_DIGITS: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_SECRET_LENGTH: Final = 43  # base-62 digits of 256 bits
_LENGTH: Final = 69
_SYNTAX: Final = re.compile(rb"zrp_([a-z2-7]{12})_([A-Za-z0-9]{43})_([a-f0-9]{8})")
_ID: Final = re.compile(r"(?:zrp_)?([a-z2-7]{12})")


class PresentedKey(msgspec.Struct, frozen=True):
    """A key whose syntax and checksum are right; whether it is known is another question. Does not print itself."""

    id: str
    secret: bytes

    def __repr__(self) -> str:
        return f"PresentedKey(id={self.id!r})"


def parse(presented: bytes) -> PresentedKey | None:
    """Read a key as it was presented; None unless it is exactly one."""
    if len(presented) != _LENGTH or (found := _SYNTAX.fullmatch(presented)) is None:
        return None
    id_, secret, checksum = found.groups()
    if int(checksum, 16) != zlib.crc32(presented[: found.end(2)]):
        return None
    return PresentedKey(id_.decode(), secret)


def make_id(random: bytes) -> str:
    """Return the id made of ID_SIZE random bytes."""
    _require(random, ID_SIZE)
    return b32encode(random)[:12].decode().lower()


def make(id_: str, random: bytes) -> Secret:
    """Return the key of an id and SECRET_SIZE random bytes."""
    _require(random, SECRET_SIZE)
    number, digits = int.from_bytes(random), ""
    for _ in range(_SECRET_LENGTH):
        number, digit = divmod(number, 62)
        digits = _DIGITS[digit] + digits
    body = f"{PREFIX}{id_}_{digits}"
    return Secret(f"{body}_{zlib.crc32(body.encode()):08x}")


def mac(pepper: bytes, secret: bytes) -> bytes:
    """Return what is kept of a secret, 32 bytes."""
    return hmac.digest(pepper, secret, sha256)


def id_in(text: str) -> str | None:
    """Read an id as a person types it, with the prefix or without; None if it is not one."""
    found = _ID.fullmatch(text)
    return None if found is None else found[1]


def _require(random: bytes, size: int) -> None:
    if len(random) != size:
        raise ValueError(f"this takes {size} random bytes")
