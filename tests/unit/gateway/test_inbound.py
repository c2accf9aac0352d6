"""A request at the edge has its headers by name and an id of its own."""

import re

from services.gateway.guard import ANONYMOUS
from services.gateway.inbound import Inbound


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
