"""A request at the edge has its headers by name and an id of its own."""

import re

import pytest

from services.gateway.guard import ANONYMOUS
from services.gateway.inbound import Inbound, Wishes, wishes_of


def _inbound(*headers: tuple[bytes, bytes]) -> Inbound:
    return Inbound("POST", "/v1/messages", dict(headers), 12.5)


def test_it_holds_what_the_server_gave() -> None:
    inbound = _inbound((b"host", b"a"), (b"accept", b"*/*"))

    assert ("POST", "/v1/messages", 12.5) == (inbound.method, inbound.path, inbound.begun_at)
    assert {b"host": b"a", b"accept": b"*/*"} == inbound.headers


def test_of_a_repeated_header_the_last_one_counts() -> None:
    assert b"2" == _inbound((b"accept", b"1"), (b"accept", b"2")).headers[b"accept"]


def test_every_request_has_a_fresh_uuid4_of_our_own() -> None:
    first, second = _inbound((b"x-request-id", b"theirs")), _inbound()

    assert first.request_id != second.request_id
    for inbound in (first, second):
        assert re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", inbound.request_id)


def test_nobody_is_known_before_the_key_was_checked() -> None:
    assert ANONYMOUS == _inbound().caller
    assert () == _inbound().cors


def test_what_the_headers_ask_for_is_read_once_and_checked() -> None:
    headers = {
        b"accept-encoding": b"gzip, br;q=0.5, *;q=0",
        b"anthropic-beta": b"unheard-of, context-1m-2025-08-07",
        b"x-session-id": b"claude-1",
        b"session-id": b"codex-1",
    }

    asked = wishes_of(headers)

    assert asked == Wishes(b"gzip, br;q=0.5, *;q=0", b"context-1m-2025-08-07", b"claude-1", b"claude-1")
    assert _inbound(*headers.items()).wishes == asked
    assert wishes_of({b"session-id": b"codex-1"}) == Wishes(None, None, None, b"codex-1")
    assert wishes_of({b"x-session-id": b"no id"}) == wishes_of({}) == Wishes(None, None, None, None)


@pytest.mark.parametrize("coding", [b"", b"gzip%0d%0aX: y", b"gzip\x85", b"a" * 257])
def test_an_accept_encoding_of_anything_else_is_none(coding: bytes) -> None:
    assert wishes_of({b"accept-encoding": coding}).accept_encoding is None
