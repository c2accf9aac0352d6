"""The record format: its bytes, and that nothing but what was sealed opens where it was sealed."""

from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.chassis import sealing
from services.chassis.sealing import OVERHEAD, RANDOM_SIZE, Place, Purpose, Unopened, Why
from tests.support.golden import ROOT

VECTORS = msgspec.json.decode((Path(ROOT) / "sealing" / "vectors.json").read_bytes())
MASTER = bytes(range(32))
OTHER_MASTER = bytes(range(1, 33))
PLACE = Place("cred", "zr", "crd_abcdefghijkl", "secrets", 3)
RANDOM = bytes(range(100, 100 + RANDOM_SIZE))


def seal(plain: bytes = b"secret", place: Place = PLACE, *, kid: int = 7, master: bytes = MASTER) -> bytes:
    return sealing.seal(plain, place, purpose=Purpose.CREDENTIAL, kid=kid, master=master, random=RANDOM)


def why_not(
    sealed: bytes, place: Place = PLACE, *, purpose: Purpose = Purpose.CREDENTIAL, master: bytes = MASTER
) -> Why:
    with pytest.raises(Unopened) as caught:
        sealing.unseal(sealed, place, purpose=purpose, master=master)
    return caught.value.why


@pytest.mark.parametrize("vector", VECTORS["vectors"], ids=lambda vector: str(vector["name"]))
def test_a_value_is_sealed_to_the_bytes_of_the_test_vector(vector: dict[str, Any]) -> None:
    place = msgspec.convert(vector["place"], Place)
    master, purpose = bytes.fromhex(vector["master"]), Purpose(vector["purpose"])

    sealed = sealing.seal(
        bytes.fromhex(vector["plain"]),
        place,
        purpose=purpose,
        kid=vector["kid"],
        master=master,
        random=bytes.fromhex(vector["random"]),
    )

    assert sealed.hex() == vector["sealed"]
    assert sealed[21:37].hex() == vector["commitment"]
    assert sealing.kid_of(sealed) == vector["kid"]
    assert sealing.unseal(sealed, place, purpose=purpose, master=master).hex() == vector["plain"]


@pytest.mark.parametrize("derived", VECTORS["derived"], ids=lambda derived: str(derived["purpose"]))
def test_a_key_for_another_use_is_that_of_the_test_vector(derived: dict[str, str]) -> None:
    key = sealing.derive(bytes.fromhex(derived["master"]), Purpose(derived["purpose"]))

    assert key.hex() == derived["key"]


def test_a_fingerprint_is_that_of_the_test_vector_and_tells_keys_apart() -> None:
    vector = VECTORS["fingerprint"]

    assert sealing.fingerprint(bytes.fromhex(vector["master"])) == vector["fingerprint"]
    assert sealing.fingerprint(OTHER_MASTER) != vector["fingerprint"]


@given(st.binary(max_size=300), st.binary(min_size=RANDOM_SIZE, max_size=RANDOM_SIZE))
def test_what_was_sealed_opens_and_is_65_bytes_longer(plain: bytes, random: bytes) -> None:
    sealed = sealing.seal(plain, PLACE, purpose=Purpose.SPOOL, kid=1, master=MASTER, random=random)

    assert len(sealed) == len(plain) + OVERHEAD == len(plain) + 65
    assert sealing.unseal(sealed, PLACE, purpose=Purpose.SPOOL, master=MASTER) == plain


@pytest.mark.promise("P-24")
@pytest.mark.parametrize(
    "place",
    [
        msgspec.structs.replace(PLACE, type="meta"),
        msgspec.structs.replace(PLACE, namespace="other"),
        msgspec.structs.replace(PLACE, id="crd_abcdefghijkm"),
        msgspec.structs.replace(PLACE, field="value"),
        msgspec.structs.replace(PLACE, version=2),
        msgspec.structs.replace(PLACE, version=4),
        # The same characters in a row, cut in other places.
        Place("cre", "dzr", PLACE.id, PLACE.field, PLACE.version),
        Place("cred", "zrcrd_", "abcdefghijkl", PLACE.field, PLACE.version),
    ],
)
def test_a_value_does_not_open_in_another_place(place: Place) -> None:
    assert why_not(seal(), place) is Why.TAMPERED


@pytest.mark.promise("P-24")
def test_a_value_does_not_open_after_any_bit_was_flipped() -> None:
    sealed = seal()
    reasons = set()

    for bit in range(len(sealed) * 8):
        spoilt = bytearray(sealed)
        spoilt[bit // 8] ^= 1 << bit % 8
        reasons.add(why_not(bytes(spoilt)))

    assert reasons == {Why.MALFORMED, Why.WRONG_KEY, Why.TAMPERED}


@pytest.mark.promise("P-24")
def test_a_value_does_not_open_when_it_is_shorter_or_longer() -> None:
    sealed = seal()

    reasons = {why_not(sealed[:length]) for length in range(len(sealed))} | {why_not(sealed + b"\0")}

    assert reasons == {Why.MALFORMED, Why.TAMPERED}


def test_a_value_commits_to_one_master_key_before_anything_is_decrypted() -> None:
    assert why_not(seal(), master=OTHER_MASTER) is Why.WRONG_KEY


def test_a_value_does_not_open_for_another_purpose() -> None:
    assert why_not(seal(), purpose=Purpose.BACKUP) is Why.WRONG_KEY


@pytest.mark.parametrize("version", [-1, sealing.NEWEST + 1, 2**64])
def test_a_version_that_no_store_can_count_to_is_malformed_and_no_crash(version: int) -> None:
    assert why_not(seal(), msgspec.structs.replace(PLACE, version=version)) is Why.MALFORMED


def test_a_kid_is_not_read_from_what_is_not_a_sealed_value() -> None:
    for bad in (b"", b"\x01" * (OVERHEAD - 1), b"\x02" + seal()[1:]):
        with pytest.raises(Unopened) as caught:
            sealing.kid_of(bad)
        assert caught.value.why is Why.MALFORMED


@pytest.mark.parametrize("random", [b"", RANDOM[:-1], RANDOM + b"\0"])
def test_sealing_takes_exactly_the_random_bytes_it_needs(random: bytes) -> None:
    with pytest.raises(ValueError, match="28 random bytes"):
        sealing.seal(b"", PLACE, purpose=Purpose.META, kid=1, master=MASTER, random=random)


@pytest.mark.parametrize("master", [b"", MASTER[:-1], MASTER + b"\0"])
def test_a_master_key_of_another_size_is_refused(master: bytes) -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        seal(master=master)


def test_what_another_project_sealed_is_opened_with_the_right_key_and_only_with_it() -> None:
    # AES-256-GCM of the letters "abc" under 32 zero bytes, made with another implementation.
    key, nonce, body = bytes(32), bytes(12), bytes.fromhex("afc52354109ef65a2f5ccbb3f052097814df3c")

    assert sealing.open_foreign(key, nonce, body) == b"abc"
    assert sealing.open_foreign(MASTER, nonce, body) is None
    assert sealing.open_foreign(key, nonce, body[:-1] + b"\0") is None


def test_no_purpose_can_be_spelled_with_another_one_and_a_salt() -> None:
    names = [purpose.value for purpose in Purpose]

    # A salt is 16 bytes: two names whose lengths differ by that could meet; so could a name that starts like `key/`.
    assert max(map(len, names)) - min(map(len, names)) < 16
    assert not [name for name in names if "key/".startswith(name) or name.startswith("key/")]
    assert len({sealing.derive(MASTER, purpose) for purpose in Purpose}) == len(Purpose)
