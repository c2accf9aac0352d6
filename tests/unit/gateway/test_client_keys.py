"""Which keys of a snapshot let in, as whom, and what those are told who are not let in."""

import base64
import random
from collections.abc import Sequence

import msgspec
import pytest

from services.chassis.secret import Secret
from services.credentials import key_format
from services.credentials.client import EMPTY
from services.credentials.contract import ClientKey, Snapshot
from services.gateway.client_keys import PROXY_KEY, SnapshotKeys
from services.gateway.errors import GatewayError, Overloaded, Unauthenticated
from services.gateway.guard import ANONYMOUS
from tests.support.clock import ManualClock

PEPPER = bytes(range(32))
ELSEWHERE = "10.0.0.1"


def key_of(number: int, secret: int = 0) -> bytes:
    id_ = key_format.make_id((number << 4).to_bytes(8))
    return key_format.make(id_, (number + secret * 2**200).to_bytes(32)).reveal().encode()


def mac_of(key: bytes, pepper: bytes = PEPPER) -> str:
    parsed = key_format.parse(key)
    assert parsed is not None
    return key_format.mac(pepper, parsed.secret).hex()


def known(key: bytes, *others: bytes, **more: object) -> ClientKey:
    parsed = key_format.parse(key)
    assert parsed is not None
    return msgspec.structs.replace(ClientKey(id=parsed.id, macs=tuple(mac_of(each) for each in (key, *others))), **more)


def snapshot_of(*keys: ClientKey, pepper: bytes = PEPPER, generation: int = 1) -> Snapshot:
    return Snapshot(generation=generation, client_keys=keys, pepper=base64.b64encode(pepper).decode())


def keys_of(snapshot: Snapshot, proxy_key: str | None = None, clock: ManualClock | None = None) -> SnapshotKeys:
    return SnapshotKeys(
        lambda: snapshot, proxy_key=None if proxy_key is None else Secret(proxy_key), clock=clock or ManualClock()
    )


def refusal(keys: SnapshotKeys, presented: bytes | None, peer: str | None = ELSEWHERE) -> GatewayError:
    with pytest.raises(GatewayError) as raised:
        keys.caller_of(presented, peer)
    return raised.value


def test_a_known_key_lets_in_as_its_id_with_its_models() -> None:
    keys = keys_of(snapshot_of(known(key_of(1), models=("glm-5.2",)), known(key_of(2))))

    assert keys.caller_of(key_of(1), ELSEWHERE).key_id == known(key_of(1)).id
    assert keys.caller_of(key_of(1), ELSEWHERE).models == ("glm-5.2",)
    assert keys.caller_of(key_of(2), ELSEWHERE).models == ()


@pytest.mark.parametrize(
    ("presented", "words"),
    [
        (key_of(3), "not known"),
        (key_of(1, secret=9), "not known"),
        (b"", "not known"),
        (b"sk-something", "not known"),
        (key_of(1)[:-1], "mistyped"),
        (key_of(1) + b"\n", "mistyped"),
        (b"zrp_' OR 1=1; --", "mistyped"),
        (None, "Authorization: Bearer"),
    ],
)
@pytest.mark.parametrize("peer", [ELSEWHERE, "127.0.0.1", None])
def test_anything_else_is_refused_wherever_it_comes_from(presented: bytes | None, words: str, peer: str | None) -> None:
    error = refusal(keys_of(snapshot_of(known(key_of(1)))), presented, peer)

    assert isinstance(error, Unauthenticated)
    assert error.fault.status == 401
    assert words in error.fault.message


def test_the_secret_of_one_key_does_not_open_another() -> None:
    mixed = msgspec.structs.replace(known(key_of(1)), macs=known(key_of(2)).macs)

    assert isinstance(refusal(keys_of(snapshot_of(mixed)), key_of(1)), Unauthenticated)


def test_both_secrets_are_good_while_a_key_is_replaced_and_no_third() -> None:
    old, new, third = key_of(1), key_of(1, secret=1), key_of(1, secret=2)
    keys = keys_of(snapshot_of(known(new, old, third)))

    assert keys.caller_of(old, ELSEWHERE) == keys.caller_of(new, ELSEWHERE)
    assert "not known" in refusal(keys, third).fault.message


def test_a_revoked_key_says_so_to_its_holder_only() -> None:
    keys = keys_of(snapshot_of(known(key_of(1), disabled=True)))

    assert "revoked" in refusal(keys, key_of(1)).fault.message
    assert "not known" in refusal(keys, key_of(1, secret=9)).fault.message
    assert isinstance(refusal(keys, None, "127.0.0.1"), Unauthenticated)


def test_a_key_is_good_until_it_expires() -> None:
    clock = ManualClock()
    keys = keys_of(snapshot_of(known(key_of(1), expires_at=clock.now() + 10)), clock=clock)

    clock.advance(9.9)
    assert keys.caller_of(key_of(1), ELSEWHERE).key_id
    clock.advance(0.1)
    assert "expired" in refusal(keys, key_of(1)).fault.message


def test_the_seeds_one_key_lets_in_beside_the_others_or_alone() -> None:
    for snapshot in (snapshot_of(known(key_of(1))), snapshot_of(), EMPTY):
        keys = keys_of(snapshot, proxy_key="seed")
        assert keys.caller_of(b"seed", ELSEWHERE) == PROXY_KEY
        assert isinstance(refusal(keys, b"sees"), Unauthenticated if snapshot is not EMPTY else Overloaded)
    assert isinstance(refusal(keys_of(snapshot_of(), proxy_key="seed"), None, "127.0.0.1"), Unauthenticated)


@pytest.mark.parametrize("presented", [None, b"anything", key_of(1)])
def test_without_any_key_this_machine_is_served_and_nobody_else(presented: bytes | None) -> None:
    keys = keys_of(snapshot_of())

    assert keys.caller_of(presented, "127.0.0.1") == ANONYMOUS
    assert keys.caller_of(presented, None) == ANONYMOUS
    assert isinstance(refusal(keys, presented, ELSEWHERE), Unauthenticated)


@pytest.mark.parametrize("peer", [ELSEWHERE, "127.0.0.1", None])
@pytest.mark.parametrize("presented", [None, b"anything", key_of(1)])
def test_nobody_is_let_in_before_the_keys_are_known(presented: bytes | None, peer: str | None) -> None:
    error = refusal(keys_of(EMPTY), presented, peer)

    assert isinstance(error, Overloaded)
    assert (error.fault.status, error.fault.code) == (503, "credentials_unavailable")
    assert error.fault.retry_after


def test_without_a_pepper_nobody_is_let_in_not_even_by_a_mac_under_no_pepper() -> None:
    forged = msgspec.structs.replace(known(key_of(1)), macs=(mac_of(key_of(1), b""),))
    keys = keys_of(snapshot_of(forged, pepper=b""))

    for peer in (ELSEWHERE, "127.0.0.1"):
        assert isinstance(refusal(keys, key_of(1), peer), Unauthenticated)


def test_a_key_without_macs_lets_nobody_in() -> None:
    assert isinstance(refusal(keys_of(snapshot_of(known(key_of(1), macs=()))), key_of(1)), Unauthenticated)


def test_a_newer_snapshot_counts_from_the_next_request_on() -> None:
    snapshots = [snapshot_of(known(key_of(1)))]
    keys = SnapshotKeys(lambda: snapshots[-1], clock=ManualClock())
    assert keys.caller_of(key_of(1), ELSEWHERE).key_id

    snapshots.append(snapshot_of(known(key_of(1), disabled=True), known(key_of(2)), generation=2))

    assert "revoked" in refusal(keys, key_of(1)).fault.message
    assert keys.caller_of(key_of(2), ELSEWHERE).key_id


def test_no_refusal_repeats_what_was_presented() -> None:
    keys = keys_of(snapshot_of(known(key_of(1), disabled=True)))
    for presented in (key_of(1), key_of(1)[:-3], key_of(2), b"sk-canary"):
        assert presented[4:20].decode() not in str(refusal(keys, presented).fault)


@pytest.mark.promise("P-36")
def test_of_many_keys_in_any_order_each_is_itself() -> None:
    presented = [key_of(number) for number in range(200)]
    keys = keys_of(snapshot_of(*(known(key) for key in presented)))
    expected = {key: known(key).id for key in presented}
    order: Sequence[bytes] = random.Random(36).choices(presented, k=20_000)

    assert [key for key in order if keys.caller_of(key, ELSEWHERE).key_id != expected[key]] == []
    assert len(set(expected.values())) == 200


@pytest.mark.promise("P-38")
def test_guessing_reads_memory_only_and_does_not_stop_the_others() -> None:
    asked = 0
    snapshot = snapshot_of(known(key_of(1)))

    def newest() -> Snapshot:
        nonlocal asked
        asked += 1
        return snapshot

    keys = SnapshotKeys(newest, clock=ManualClock())
    for number in range(5_000):
        assert isinstance(refusal(keys, key_of(number + 2), ELSEWHERE), Unauthenticated)
        if number % 100 == 0:
            assert keys.caller_of(key_of(1), "10.0.0.2").key_id

    assert asked == 5_050  # the attribute read that every request does, and no other door out
