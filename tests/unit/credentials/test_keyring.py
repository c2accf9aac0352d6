"""The keyring: what is accepted, that every fault is named at once and no key with it, and how one follows another."""

import base64
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from services.chassis import sealing
from services.credentials.errors import KeyringInvalid
from services.credentials.keyring import HIGHEST_KID, Keyring, KeyState, MasterKey

OLD = bytes(range(32))
NEW = bytes(range(32, 64))


def b64(material: bytes) -> str:
    return base64.b64encode(material).decode()


def document(**changes: Any) -> dict[str, Any]:
    return {
        "primary": 7,
        "keys": [
            {"kid": 6, "b64": b64(OLD), "state": "decrypt"},
            {"kid": 7, "b64": b64(NEW), "state": "primary"},
        ],
        **changes,
    }


def faults(found: object) -> str:
    with pytest.raises(KeyringInvalid) as caught:
        Keyring.parse(found if isinstance(found, bytes) else msgspec.json.encode(found))
    message = str(caught.value)
    assert "\n" not in message
    for material in (OLD, NEW):
        assert b64(material) not in message
        assert material.hex() not in message
        assert str(material) not in message
    return message


def key(kid: object = 7, material: object = b64(NEW), state: object = "primary", **more: Any) -> dict[str, Any]:
    return {"kid": kid, "b64": material, "state": state, **more}


def test_a_keyring_is_read() -> None:
    keyring = Keyring.parse(msgspec.json.encode(document()))

    assert keyring.primary == MasterKey(7, NEW, KeyState.PRIMARY)
    assert keyring.find(6) == MasterKey(6, OLD, KeyState.DECRYPT)
    assert keyring.find(8) is None
    assert [each.kid for each in keyring] == [6, 7]


def test_what_is_written_is_read_again() -> None:
    keyring = Keyring.parse(msgspec.json.encode(document()))

    assert Keyring.parse(keyring.dump()) == keyring
    assert hash(Keyring.parse(keyring.dump())) == hash(keyring)
    assert keyring != Keyring.generate(NEW)
    assert keyring != keyring.dump()


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (b"", "it is not JSON"),
        (b"\xff\xfe{}", "it is not JSON"),
        (b"[]", "it is not a JSON object"),
        ({}, "`keys` is not a list"),
        (document(keys={}), "`keys` is not a list"),
        (document(keys=[]), "`primary` is not the number of the one key in state primary"),
        (document(primary=6), "`primary` is not the number of the one key in state primary"),
        (document(primary=None), "`primary` is not the number of the one key in state primary"),
        (document(keys=[key(), key(8, b64(OLD))]), "`primary` is not the number of the one key in state primary"),
        (document(keys=[key(state="decrypt")]), "`primary` is not the number of the one key in state primary"),
        (document(comment=1), "the keyring has 1 unknown field"),
        (document(keys=[key(added="x", by="y")]), "key 1 of the list has 2 unknown fields"),
        (document(keys=["x"]), "key 1 of the list is not an object"),
        (document(keys=[key(material=b64(NEW[:31]))]), "key 7 has 31 bytes instead of 32"),
        (document(keys=[key(material=b64(NEW + b"x"))]), "key 7 has 33 bytes instead of 32"),
        (document(keys=[key(material="")]), "key 7 has 0 bytes instead of 32"),
        (document(keys=[key(material=b64(bytes(32)))]), "key 7 is the same byte over and over"),
        (document(keys=[key(material=b64(b"a" * 32))]), "key 7 is the same byte over and over"),
        (document(keys=[key(material="not base64!")]), "key 1 of the list has no base64 in `b64`"),
        (document(keys=[key(material="é" * 44)]), "key 1 of the list has no base64 in `b64`"),
        (document(keys=[key(material=7)]), "key 1 of the list has no base64 in `b64`"),
        (document(keys=[key(), key(state="decrypt", material=b64(OLD))]), "there are several keys 7"),
        (document(keys=[key(), key(6, state="decrypt")]), "key 6 repeats another key"),
        (document(keys=[key(0)]), "key 1 of the list has no `kid`"),
        (document(keys=[key(HIGHEST_KID + 1)]), "key 1 of the list has no `kid`"),
        (document(keys=[key(True)]), "key 1 of the list has no `kid`"),
        (document(keys=[key("7")]), "key 1 of the list has no `kid`"),
        (document(keys=[key(state="spare")]), "key 1 of the list has no `state` of primary, decrypt, retired"),
        (document(keys=[key(state=["primary"])]), "key 1 of the list has no `state` of primary, decrypt, retired"),
    ],
)
def test_a_fault_is_named(found: object, said: str) -> None:
    assert said in faults(found)


def test_all_faults_are_named_at_once() -> None:
    message = faults(
        document(
            primary=3,
            spare=[],
            keys=[key(material=b64(bytes(32))), key(), key(8, material="?"), key("x", state="y"), 5],
        )
    )

    assert message.count(";") == 7
    for said in (
        "1 unknown field;",
        "key 3 of",
        "key 4 of",
        "key 5 of",
        "`primary`",
        "over and over",
        "several keys 7",
    ):
        assert said in message


def test_a_keyring_made_in_the_code_is_held_to_the_same_rules() -> None:
    with pytest.raises(KeyringInvalid, match="no keys are in state primary"):
        Keyring([MasterKey(1, OLD, KeyState.DECRYPT)])
    with pytest.raises(KeyringInvalid, match="2 keys are in state primary"):
        Keyring([MasterKey(1, OLD, KeyState.PRIMARY), MasterKey(2, NEW, KeyState.PRIMARY)])
    with pytest.raises(KeyringInvalid, match="3 bytes"):
        Keyring.generate(b"abc")


def test_a_keyring_prints_no_key() -> None:
    keyring = Keyring.generate(OLD)

    for shown in (repr(keyring), str(keyring), repr(list(keyring)), str(keyring.primary), f"{keyring.primary!r}"):
        assert shown.count("kid=1") == 1
        assert "\\x01" not in shown


def test_keys_are_told_apart_by_fingerprint() -> None:
    keyring = Keyring.generate(OLD).added(NEW)

    assert keyring.fingerprints() == {1: sealing.fingerprint(OLD), 2: sealing.fingerprint(NEW)}


def test_a_key_is_added_promoted_retired_and_deleted() -> None:
    first = Keyring.generate(OLD)
    added = first.added(NEW)
    promoted = added.promoted(2)
    retired = promoted.retired([1])

    assert [states(each) for each in (first, added, promoted, retired, retired.without(1))] == [
        {1: "primary"},
        {1: "primary", 2: "decrypt"},
        {1: "decrypt", 2: "primary"},
        {1: "retired", 2: "primary"},
        {2: "primary"},
    ]


@pytest.mark.parametrize(
    ("step", "said"),
    [
        (lambda keyring: keyring.promoted(9), "there is no key 9"),
        (lambda keyring: keyring.retired([2, 3]), "there is no key 2, 3"),
        (lambda keyring: keyring.retired([1]), "no keys are in state primary"),
        (lambda keyring: keyring.added(OLD), "key 2 repeats another key"),
        (lambda keyring: keyring.without(1), "key 1 is not retired"),
        (lambda keyring: keyring.without(2), "key 2 is not retired"),
    ],
)
def test_a_step_that_would_lose_a_key_is_refused(step: Callable[[Keyring], Keyring], said: str) -> None:
    with pytest.raises(KeyringInvalid, match=said):
        step(Keyring.generate(OLD))


def states(keyring: Keyring) -> dict[int, str]:
    return {each.kid: each.state.value for each in keyring}
