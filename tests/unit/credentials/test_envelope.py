"""What lies in a store: an open part that the sealed part vouches for."""

import msgspec
import pytest

from services.chassis import sealing
from services.chassis.sealing import Place, Purpose, Unopened, Why
from services.credentials import envelope
from services.credentials.contract import Kind, State
from services.credentials.records import Credential, Secrets

RECORD = Credential(
    id="crd_abcdefghijkl",
    provider="zai",
    kind=Kind.OAUTH,
    label="mine",
    secrets=Secrets(api_key="id.secret", refresh_token="refresh"),
    user_id="u1",
    created_at=1.5,
    rotated_at=2.5,
    expires_at=3.5,
    refreshed_at=4.5,
    state=State.COOLING,
    reason="1302",
    usable_at=5.5,
    blocked_models=("glm-x",),
    made_from="epoch",
    fence=3,
    version=4,
)


def sealed() -> bytes:
    return sealing.seal(b"x", Place("", "", "", "", 1), purpose=Purpose.META, kid=9, master=b"m" * 32, random=bytes(28))


def test_a_record_is_the_same_after_it_was_taken_apart() -> None:
    open_part, secret = envelope.take_apart(RECORD)

    assert envelope.put_together(RECORD.id, 4, open_part, secret) == RECORD


def test_the_open_part_holds_everything_but_the_secrets_and_what_the_store_says() -> None:
    open_part, secret = envelope.take_apart(RECORD)

    known = set(Credential.__struct_fields__) - {"id", "version", "secrets"}
    assert set(envelope._Open.__struct_fields__) == known
    for canary in ("id.secret", "refresh"):
        assert canary.encode() not in open_part.replace(b"refreshed_at", b"")
        assert canary.encode() in secret


def test_what_a_later_release_adds_is_passed_over() -> None:
    open_part, secret = envelope.take_apart(RECORD)
    newer = msgspec.json.decode(open_part) | {"colour": "blue"}

    assert envelope.put_together(RECORD.id, 4, msgspec.json.encode(newer), secret) == RECORD


@pytest.mark.parametrize(
    ("open_part", "secret"), [(b"", b"{}"), (b"{}", b"{}"), (b"\xff", b"{}"), (envelope.take_apart(RECORD)[0], b"[]")]
)
def test_a_record_that_cannot_be_read_is_malformed(open_part: bytes, secret: bytes) -> None:
    with pytest.raises(Unopened) as caught:
        envelope.put_together(RECORD.id, 1, open_part, secret)

    assert caught.value.why is Why.MALFORMED


@pytest.mark.parametrize("open_part", [b"", b"{}", b"x" * 70_000])
def test_two_parts_are_told_apart_again(open_part: bytes) -> None:
    value = envelope.join(open_part, sealed())

    assert value[:5] == b"\x01" + len(open_part).to_bytes(4, "big")
    assert envelope.split(value) == (open_part, sealed())
    assert envelope.kid_of(value) == 9


@pytest.mark.parametrize(
    "value",
    [b"", b"\x01\0\0\0", b"\x02" + envelope.join(b"", sealed())[1:], b"\x01\xff\xff\xff\xff" + sealed()],
)
def test_what_is_no_envelope_is_malformed(value: bytes) -> None:
    for read in (envelope.split, envelope.kid_of):
        with pytest.raises(Unopened) as caught:
            read(value)
        assert caught.value.why is Why.MALFORMED


def test_a_secret_comes_out_only_with_the_open_part_it_was_sealed_with() -> None:
    vouched = envelope.vouched(b'{"provider":"zai"}', b"secret")

    assert envelope.checked(b'{"provider":"zai"}', vouched) == b"secret"
    for open_part, opened in ((b'{"provider":"evil"}', vouched), (b"", b""), (b"", vouched[:31])):
        with pytest.raises(Unopened) as caught:
            envelope.checked(open_part, opened)
        assert caught.value.why is Why.TAMPERED
