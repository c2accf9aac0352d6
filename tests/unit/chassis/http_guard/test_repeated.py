"""A repeated head is recognised by its bytes alone, and nothing but the whole of one request is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.chassis.direct import RequestHead, Serve
from services.chassis.http_guard.repeated import RepeatedHead, learn

HEAD = b"POST /direct HTTP/1.1\r\nHost: gate.example\r\nContent-Length: %b\r\nX-Api-Key: k\r\n\r\n"


class Nobody:
    """A route that is never asked."""

    def admit(self, head: RequestHead, peer: str | None) -> Serve | None:
        raise AssertionError(head, peer)


def request(body: bytes, head: bytes = HEAD) -> bytes:
    return head % (b"%d" % len(body)) + body


def taught(data: bytes, length: int, limit: int = 100) -> RepeatedHead | None:
    head = RequestHead(b"POST", b"/direct", {b"host": b"gate.example"})
    return learn(data, head, length=length, limit=limit, route=Nobody())


def known(limit: int = 100) -> RepeatedHead:
    made = taught(request(b"abc"), 3, limit)
    assert made is not None
    return made


@pytest.mark.parametrize("body", [b"x", b"abc", b"0123456789", b"\r\n\r\n", b"POST / HTTP/1.1\r\n\r\n", b"y" * 100])
def test_the_same_head_with_a_body_of_any_length_is_known(body: bytes) -> None:
    assert known().body(request(body)) == body


@pytest.mark.parametrize(
    "data",
    [
        request(b"abc")[:-1],  # not all of the body
        request(b"abc") + b"P",  # something behind it
        request(b"abc")[:40],  # not all of the head
        request(b""),  # no body
        request(b"y" * 101),  # above the limit
        request(b"abc").replace(b"POST", b"PUT "),
        request(b"abc").replace(b"X-Api-Key: k", b"X-Api-Key: l"),
        request(b"abc").replace(b"X-Api-Key: k", b"X-Api-Key: k\r\nX-More: 1"),
        request(b"abc").replace(b"Content-Length: 3", b"Content-Length: +3"),
        request(b"abc").replace(b"Content-Length: 3", b"Content-Length: 3 "),
        request(b"abc").replace(b"Content-Length: 3", b"Content-Length: 3, 3"),
        request(b"abc").replace(b"Content-Length: 3", b"Content-Length: "),
        request(b"abc").replace(b"Content-Length: 3", b"Content-Length: 0x3"),
        request(b"abc").replace(b"Content-Length: 3", b"Content-Length: \xb2\xb3"),
        request(b"abc").replace(b"Content-Length: 3\r\n", b"Content-Length: 3\n"),
        request(b"abc").replace(b"Content-Length: 3", b"Content-Length: 3" + b"0" * 20),
    ],
)
def test_anything_else_is_not(data: bytes) -> None:
    assert known().body(data) is None


@pytest.mark.parametrize(
    ("data", "length"),
    [
        (request(b"abc") + request(b"abc"), 3),  # two requests
        (request(b"abc")[:-1], 3),
        (b"POST /direct HTTP/1.1\r\nHost: a\r\n\r\n", 0),  # no length
        (request(b"abc").replace(b"X-Api-Key: k", b"content-length: 3"), 3),  # two of them
        (request(b"abc").replace(b": 3", b": 03"), 3),
        (request(b"abc").replace(b": 3\r\n", b": 3 \r\n"), 3),
        (b"\r\n\r\n" + request(b"abc"), 3),
    ],
)
def test_what_is_in_doubt_teaches_nothing(data: bytes, length: int) -> None:
    assert taught(data, length) is None


@pytest.mark.parametrize("spelling", [b"content-length:3", b"CONTENT-LENGTH: \t3", b"Content-Length:  3"])
def test_a_length_may_be_spelt_in_any_way_that_the_parser_takes(spelling: bytes) -> None:
    made = taught(request(b"abc").replace(b"Content-Length: 3", spelling), 3)

    assert made is not None
    assert made.body(request(b"12345").replace(b"Content-Length: 5", spelling.replace(b"3", b"5"))) == b"12345"


@given(st.binary(max_size=300), st.integers(0, 300), st.binary(max_size=3))
def test_no_bytes_are_mistaken_for_a_request(body: bytes, at: int, noise: bytes) -> None:
    data = request(body)
    data = data[:at] + noise + data[at:]
    found = known(1000).body(data)

    if found is not None:
        assert request(found) == data or request(found).replace(b"Length: ", b"Length: 0") == data
