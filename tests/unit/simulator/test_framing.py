"""Heads and transfer codings, right and wrong."""

import pytest

from services.simulator.framing import Framing, head
from services.simulator.plan import Plan
from services.simulator.script import parse

_BATCH = Plan(status=200, headers=((b"content-type", b"application/json"),), frames=(b"0123456789", b"abc"))
_STREAM = Plan(status=200, headers=(), frames=(b"0123456789", b"abc"), streamed=True)


def _sent(plan: Plan, script: str) -> tuple[bytes, bytes]:
    framing = Framing.of(plan, parse(script))
    opening = head(plan, parse(script), framing, keep_alive=True)
    return b"".join(opening), b"".join(map(framing.data, plan.frames)) + framing.end()


def test_a_batch_answer_has_a_length_and_a_stream_is_chunked() -> None:
    batch, body = _sent(_BATCH, "")
    stream, chunked = _sent(_STREAM, "")

    assert b"content-length: 13\r\n" in batch
    assert b"connection: keep-alive\r\n" in batch
    assert body == b"0123456789abc"
    assert b"transfer-encoding: chunked\r\n" in stream
    assert chunked == b"a\r\n0123456789\r\n3\r\nabc\r\n0\r\n\r\n"


@pytest.mark.parametrize(
    ("framing", "present"),
    [
        ("length", [b"content-length: 13\r\n"]),
        ("long", [b"content-length: 77\r\n"]),
        ("short", [b"content-length: 5\r\n"]),
        ("both", [b"content-length: 13\r\n", b"transfer-encoding: chunked\r\n"]),
        ("two-lengths", [b"content-length: 13\r\n", b"content-length: 14\r\n"]),
        ("close", []),
    ],
)
def test_the_announced_framing_is_the_scripts(framing: str, present: list[bytes]) -> None:
    opening, _ = _sent(_STREAM, f"framing={framing}")
    announced = [line + b"\r\n" for line in opening.split(b"\r\n") if line.startswith((b"content-l", b"transfer"))]

    assert sorted(present) == sorted(announced)
    assert (b"connection: close" in opening) == (framing != "length")


def test_a_bad_chunk_size_comes_after_a_good_one() -> None:
    assert _sent(_STREAM, "framing=bad-chunk")[1].startswith(b"a\r\n0123456789\r\nzz\r\n")


def test_a_bad_status_line_is_none() -> None:
    assert _sent(_BATCH, "framing=bad-status")[0].startswith(b"HTTP/x.y OK\r\n")


def test_an_empty_piece_does_not_end_a_chunked_body() -> None:
    assert Framing("chunked", 0).data(b"") == b""


def test_informational_heads_come_first() -> None:
    opening, _ = _sent(_BATCH, "informational=100+103")

    assert opening.startswith(b"HTTP/1.1 100 Continue\r\n")
    assert opening.index(b"HTTP/1.1 103 Early Hints\r\n") < opening.index(b"HTTP/1.1 200 OK\r\n")


def test_an_unassigned_status_has_a_phrase() -> None:
    plan = Plan(status=529, headers=())

    assert _sent(plan, "")[0].startswith(b"HTTP/1.1 529 Simulated\r\n")


def test_headers_grow_as_asked() -> None:
    assert b"h" * 5000 in _sent(_BATCH, "headers=5000")[0]
    assert _sent(_BATCH, "header-count=150")[0].count(b"x-simulated-") == 150
    assert len(_sent(_BATCH, "bomb=headers")[0]) > 199_000
