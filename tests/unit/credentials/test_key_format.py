"""What a client key looks like, and that nothing else passes for one."""

import hmac
import zlib
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.credentials import key_format
from services.credentials.key_format import ID_SIZE, SECRET_SIZE, PresentedKey, id_in, make, make_id, parse

ID = "abcdefghij27"
KEY = make(ID, bytes(range(32))).reveal().encode()


def summed(body: bytes) -> bytes:
    return body + b"_%08x" % zlib.crc32(body)


def test_a_key_has_the_documented_form() -> None:
    prefix, id_, secret, checksum = KEY.decode().split("_")

    assert (prefix, id_, len(secret), len(checksum)) == ("zrp", ID, 43, 8)
    assert int(checksum, 16) == zlib.crc32(KEY[:-9])


@given(st.binary(min_size=ID_SIZE, max_size=ID_SIZE), st.binary(min_size=SECRET_SIZE, max_size=SECRET_SIZE))
def test_what_was_made_is_read_back(for_id: bytes, for_secret: bytes) -> None:
    id_ = make_id(for_id)
    found = parse(make(id_, for_secret).reveal().encode())

    assert found is not None
    assert found.id == id_
    digits = {digit: value for value, digit in enumerate(key_format._DIGITS)}
    number = 0
    for digit in found.secret.decode():
        number = number * 62 + digits[digit]
    assert number.to_bytes(32) == for_secret


@pytest.mark.parametrize("position", range(len(KEY)))
@pytest.mark.parametrize("instead", [b"x", b"7", b"_", b"\n", b"\x00", b"\xff"])
def test_a_key_with_one_other_character_is_none(position: int, instead: bytes) -> None:
    changed = KEY[:position] + instead + KEY[position + 1 :]

    assert changed == KEY or parse(changed) is None


@pytest.mark.parametrize(
    "presented",
    [
        b"",
        KEY + b"\n",
        b" " + KEY,
        KEY[:-1],
        KEY.upper(),
        summed(b"zrp_" + b"a" * 13 + b"_" + b"B" * 42),
        summed(b"zrp_" + b"1" * 12 + b"_" + b"B" * 43),
        summed(b"zrp_" + b"a" * 12 + b"_" + b"-" * 43),
        summed(b"zrp_" + b"a" * 12 + b"_" + b"' OR 1=1; --".ljust(43)),
        summed(b"zrp_" + b"*" * 12 + b"_" + b"B" * 43),
        summed(b"zrp_{a}:cred:x*_" + b"B" * 43),
        ("zrp_" + "\u0430" * 6 + "_" + "B" * 43).encode(),  # a letter of two bytes
        b"zrp_" * 100_000,
    ],
)
def test_anything_else_is_none(presented: bytes) -> None:
    assert parse(presented) is None


def test_the_mac_is_hmac_sha_256_of_the_secret() -> None:
    assert key_format.mac(b"pepper", b"secret") == hmac.new(b"pepper", b"secret", sha256).digest()


@pytest.mark.parametrize(("text", "expected"), [(ID, ID), (f"zrp_{ID}", ID), (KEY.decode(), None), ("", None)])
def test_an_id_is_read_with_its_prefix_or_without(text: str, expected: str | None) -> None:
    assert id_in(text) == expected


def test_a_key_does_not_print_its_secret() -> None:
    parsed = parse(KEY)

    assert parsed is not None
    assert repr(parsed) == str(PresentedKey(ID, b"")) == f"PresentedKey(id={ID!r})"
    assert parsed.secret.decode() not in f"{make(ID, bytes(range(32)))!r}"


def test_too_little_randomness_is_refused() -> None:
    with pytest.raises(ValueError, match="random bytes"):
        make(ID, bytes(31))
    with pytest.raises(ValueError, match="random bytes"):
        make_id(bytes(7))
