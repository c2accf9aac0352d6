"""Who may call: one key, or only this machine when there is none."""

import pytest

from services.chassis.secret import Secret
from services.gateway.errors import Unauthenticated
from services.gateway.guard import LoopbackOnly, SingleKey, peer_of, presented_key


@pytest.mark.parametrize("peer", ["127.0.0.1", "::1", "::ffff:127.0.0.1", None])
def test_without_a_key_this_machine_is_served_with_any_key_or_none(peer: str | None) -> None:
    assert LoopbackOnly().caller_of(None, peer) == LoopbackOnly().caller_of(b"whatever", peer)


@pytest.mark.parametrize("peer", ["10.0.0.1", "127.0.0.2.example", "::2", ""])
def test_without_a_key_nobody_else_is_served_and_is_told_the_setting(peer: str) -> None:
    with pytest.raises(Unauthenticated, match="proxyApiKey"):
        LoopbackOnly().caller_of(b"whatever", peer)


def test_the_key_lets_in_from_anywhere() -> None:
    assert "proxy-key" == SingleKey(Secret("k")).caller_of(b"k", "10.0.0.1").key_id


@pytest.mark.parametrize("presented", [None, b"", b"K", b"k ", b"kk", "ключ".encode()])
def test_anything_but_the_key_is_refused_even_from_loopback(presented: bytes | None) -> None:
    with pytest.raises(Unauthenticated) as refusal:
        SingleKey(Secret("k")).caller_of(presented, "127.0.0.1")

    assert 401 == refusal.value.fault.status


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, None),
        ({b"x-api-key": b"k"}, b"k"),
        ({b"authorization": b"Bearer k"}, b"k"),
        ({b"authorization": b"bearer  k "}, b"k"),
        ({b"authorization": b"Bearer k", b"x-api-key": b"k"}, b"k"),
    ],
)
def test_the_key_is_found_in_either_header(headers: dict[bytes, bytes], expected: bytes | None) -> None:
    assert expected == presented_key(headers)


@pytest.mark.parametrize(
    "headers", [{b"authorization": b"Basic abc"}, {b"authorization": b"Bearer a", b"x-api-key": b"b"}]
)
def test_what_is_ambiguous_is_refused(headers: dict[bytes, bytes]) -> None:
    with pytest.raises(Unauthenticated):
        presented_key(headers)


def test_the_peer_is_the_connections_address() -> None:
    assert "10.0.0.1" == peer_of({"client": ("10.0.0.1", 1)})
    assert peer_of({"client": None}) is None
    assert peer_of({}) is None
