import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.upstream.request_head import HeadWriter
from services.gateway.upstream.transport import Origin, ProtocolViolation
from tests.support.transport_client import ask

ORIGIN = Origin("https", "api.test", 8443)
NAME = st.text("abcXYZ019-_.!#$%&'*+^`|~", min_size=1, max_size=10).map(str.encode)


def test_head_is_line_host_headers_length() -> None:
    head = HeadWriter(ORIGIN).write(ask(ORIGIN, b"four", headers=[(b"a", b"1"), (b"B", b"\xff\t2")]))
    assert head == (
        b"POST /v1/messages HTTP/1.1\r\nhost: api.test:8443\r\na: 1\r\nB: \xff\t2\r\ncontent-length: 4\r\n\r\n"
    )


@pytest.mark.parametrize(("method", "line"), [("POST", b"content-length: 0\r\n"), ("GET", b""), ("HEAD", b"")])
def test_empty_body_is_announced_where_one_is_expected(method: str, line: bytes) -> None:
    head = HeadWriter(ORIGIN).write(ask(ORIGIN, b"", method=method, headers=()))
    assert head.partition(b"8443\r\n")[2] == line + b"\r\n"


@given(st.lists(st.tuples(NAME | st.binary(max_size=6), st.binary(max_size=12)), max_size=5))
def test_what_is_written_has_exactly_the_lines_it_was_given(headers: list[tuple[bytes, bytes]]) -> None:
    try:
        head = HeadWriter(ORIGIN).write(ask(ORIGIN, b"x", headers=headers))
    except ProtocolViolation:
        return
    lines = head.split(b"\r\n")
    assert lines[2:-3] == [name + b": " + value for name, value in headers]
    assert head.count(b"\n") == head.count(b"\r") == len(headers) + 4
    assert lines[-3:] == [b"content-length: 1", b"", b""]


@pytest.mark.parametrize("name", [b"Host", b"CONTENT-LENGTH", b"transfer-encoding", b"connection"])
def test_framing_headers_are_refused_and_their_neighbours_are_not(name: bytes) -> None:
    with pytest.raises(ProtocolViolation):
        HeadWriter(ORIGIN).write(ask(ORIGIN, headers=[(name, b"1")]))
    assert b"\r\nx-" + name in HeadWriter(ORIGIN).write(ask(ORIGIN, headers=[(b"x-" + name, b"1")]))
