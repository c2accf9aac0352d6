"""Cutting a stream into frames without changing a byte."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.translation.passthrough.frames import Framer, read_frame
from services.gateway.wire.sse import SseParser


def cut(pieces: list[bytes], limit: int = 1000) -> tuple[list[bytes], bytes, bool]:
    framer = Framer(limit)
    frames: list[bytes] = []
    for piece in pieces:
        data = framer.join(piece) if framer.waiting else piece
        if data:
            frames += framer.cut(data)
        if framer.too_large:
            break
    return frames, framer.rest(), framer.too_large


STREAM = b": hello\n\ndata: a\r\n\r\ndata: b\rdata: c\r\r\n\n\ndata: d\n\r\nevent: e\ndata: f\n\ndata: rest"
FRAMES = [
    b": hello\n\n",
    b"data: a\r\n\r\n",
    b"data: b\rdata: c\r\r\n",
    b"\n\n",
    b"data: d\n\r\n",
    b"event: e\ndata: f\n\n",
]


def test_every_line_end_makes_a_frame_and_no_byte_is_lost() -> None:
    frames, rest, too_large = cut([STREAM])

    assert frames == FRAMES
    assert (rest, too_large) == (b"data: rest", False)
    assert b"".join(frames) + rest == STREAM


def test_a_stream_cut_at_any_byte_gives_the_same_frames() -> None:
    for at in range(len(STREAM) + 1):
        assert cut([STREAM[:at], STREAM[at:]]) == (FRAMES, b"data: rest", False), at


def test_a_stream_that_comes_byte_by_byte_gives_the_same_frames() -> None:
    assert cut([bytes([byte]) for byte in STREAM]) == (FRAMES, b"data: rest", False)


@given(
    st.lists(st.sampled_from([b"data: x", b"\n", b"\r", b"\r\n", b":", b"\n\n", b"\xef\xbb\xbf", b" "]), max_size=12),
    st.data(),
)
def test_where_a_stream_is_cut_makes_no_difference(tokens: list[bytes], data: st.DataObject) -> None:
    stream = b"".join(tokens)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=4)))
    pieces = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]

    assert cut(pieces) == cut([stream])


@pytest.mark.parametrize("pieces", [[b"\xef\xbb\xbfdata: x\n\n"], [b"\xef", b"\xbb", b"\xbfdata: x\n\n"]])
def test_a_byte_order_mark_is_dropped(pieces: list[bytes]) -> None:
    assert cut(pieces)[0] == [b"data: x\n\n"]


def test_half_a_mark_is_data() -> None:
    assert cut([b"\xef", b"data: x\n\n"])[0] == [b"\xefdata: x\n\n"]


@pytest.mark.parametrize("split", [False, True])
def test_a_frame_above_the_limit_ends_the_reading_and_those_before_it_count(split: bool) -> None:
    stream = b"data: 1\n\ndata: " + b"x" * 30 + b"\n\ndata: 2\n\n"

    pieces = [bytes([byte]) for byte in stream] if split else [stream]
    assert cut(pieces, limit=20) == ([b"data: 1\n\n"], b"", True)


def test_an_unfinished_frame_above_the_limit_ends_the_reading() -> None:
    assert cut([b"data: 1\n\ndata: " + b"x" * 30], limit=20) == ([b"data: 1\n\n"], b"", True)
    assert cut([b"data: ", b"x" * 30], limit=20) == ([], b"", True)


def test_a_frame_of_the_limit_is_within_it() -> None:
    assert cut([b"data: 1234567890123\n\n" * 3], limit=21)[0] == [b"data: 1234567890123\n\n"] * 3


@pytest.mark.parametrize(
    ("raw", "frame"),
    [
        (b'data: {"a":1}\n\n', (b"", b'{"a":1}')),
        (b'event: x\ndata: {"a":1}\n\n', (b"x", b'{"a":1}')),
        (b'event: x\nid: {"a":1}\n\n', None),
        (b'event:x\r\ndata:{"a":1}\r\n\r\n', (b"x", b'{"a":1}')),
        (b'data: {"a":\ndata: 1}\n\n', (b"", b'{"a":\n1}')),
        (b"data: [DONE]\n\n", (b"", b"[DONE]")),
        (b"data: [DONE]", (b"", b"[DONE]")),
        (b"data: \n\n", None),
        (b": comment\n\n", None),
        (b"\n\n", None),
    ],
)
def test_a_frame_is_read_as_the_standard_parser_reads_it(raw: bytes, frame: tuple[bytes, bytes] | None) -> None:
    assert read_frame(raw) == frame
    parser = SseParser()
    assert parser.feed(raw) + parser.eof() == ([] if frame is None else [frame])
