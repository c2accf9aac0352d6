import pytest

from services.gateway.upstream.framing import check_head, has_no_body
from services.gateway.upstream.transport import AnswerLimits, AnswerTooLarge, ProtocolViolation

LIMITS = AnswerLimits(headers=100, header_count=3, body=1000)


@pytest.mark.parametrize(
    ("headers", "framed"),
    [
        ([], False),
        ([(b"x", b"y")], False),
        ([(b"content-length", b"1000")], True),
        ([(b"transfer-encoding", b"Chunked")], True),
    ],
)
def test_framed_or_until_the_connection_ends(headers: list[tuple[bytes, bytes]], framed: bool) -> None:
    assert check_head(200, "1.1", headers, dict(headers), LIMITS) is framed


@pytest.mark.parametrize(
    ("status", "version", "headers"),
    [
        (101, "1.1", []),
        (200, "0.9", []),
        (200, "2.0", []),
        (200, "1.1", [(b"content-length", b"1"), (b"transfer-encoding", b"chunked")]),
        (200, "1.1", [(b"content-length", b"1"), (b"content-length", b"1")]),
        (200, "1.1", [(b"transfer-encoding", b"chunked"), (b"transfer-encoding", b"chunked")]),
        (200, "1.1", [(b"transfer-encoding", b"gzip, chunked")]),
        (200, "1.0", [(b"transfer-encoding", b"chunked")]),
        (200, "1.1", [(b"content-length", b"1_000")]),
        (200, "1.1", [(b"content-length", b"")]),
    ],
)
def test_ambiguity_is_refused(status: int, version: str, headers: list[tuple[bytes, bytes]]) -> None:
    with pytest.raises(ProtocolViolation):
        check_head(status, version, headers, dict(headers), LIMITS)


@pytest.mark.parametrize(
    "headers",
    [[(b"x", b"y")] * 4, [(b"x", b"y" * 96)], [(b"x", b"y" * 45)] * 2 + [(b"z", b"")], [(b"content-length", b"1001")]],
    ids=["count", "one-large", "sum", "announced-body"],
)
def test_limits_hold(headers: list[tuple[bytes, bytes]]) -> None:
    with pytest.raises(AnswerTooLarge):
        check_head(200, "1.1", headers, dict(headers), LIMITS)


@pytest.mark.parametrize(
    ("method", "status", "none"),
    [("HEAD", 200, True), ("POST", 204, True), ("POST", 304, True), ("POST", 200, False), ("GET", 205, False)],
)
def test_no_body(method: str, status: int, none: bool) -> None:
    assert has_no_body(method, status) is none
