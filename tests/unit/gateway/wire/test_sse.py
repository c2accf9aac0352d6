import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.wire.sse import Frame, SseParser


def read(stream: bytes, limit: int = 1 << 20) -> list[Frame]:
    parser = SseParser(limit)
    return parser.feed(stream) + parser.eof()


@pytest.mark.parametrize(
    ("stream", "frames"),
    [
        (b"data: a\n\n", [Frame(b"", b"a")]),
        (b"event: e\ndata: a\n\n", [Frame(b"e", b"a")]),
        (b"event:e\ndata:a\n\n", [Frame(b"e", b"a")]),
        (b"data: a\r\n\r\ndata: b\r\n\r\n", [Frame(b"", b"a"), Frame(b"", b"b")]),
        (b"event: e\rdata: a\r\rdata: b\r\r", [Frame(b"e", b"a"), Frame(b"", b"b")]),
        (b": comment\n\n: keepalive\ndata: a\n\n", [Frame(b"", b"a")]),
        (b"data: a\ndata: b\n\n", [Frame(b"", b"a\nb")]),
        (b"data: a\nevent: e\n\n", [Frame(b"e", b"a")]),
        (b"id: 7\nretry: 10\ndata: a\n\n", [Frame(b"", b"a")]),
        (b"\xef\xbb\xbfdata: a\n\n", [Frame(b"", b"a")]),
        (b"event: ping\n\n", []),
        (b"data:\n\ndata\n\ndata: \n\n", []),
        (b"data:  two\n\n", [Frame(b"", b" two")]),
        (b"data: a\n\n\n\ndata: b\n\n", [Frame(b"", b"a"), Frame(b"", b"b")]),
        (b"\n\ndata: a\n\n", [Frame(b"", b"a")]),
        ("data: a\u2028b\u0085c\x0bd\x0ce\x1cf\n\n".encode(), [Frame(b"", "a\u2028b\u0085c\x0bd\x0ce\x1cf".encode())]),
        (b"data: \xff\xfe\n\n", [Frame(b"", b"\xff\xfe")]),
        (b"", []),
        (b"\xef\xbb", []),
    ],
)
def test_b85_every_legal_spelling_is_read(stream: bytes, frames: list[Frame]) -> None:
    assert read(stream) == frames


@pytest.mark.parametrize("ending", [b"", b"\n", b"\r", b"\r\n"])
def test_b88_a_last_event_without_its_blank_line_is_read(ending: bytes) -> None:
    assert read(b"data: a\n\nevent: e\ndata: b" + ending) == [Frame(b"", b"a"), Frame(b"e", b"b")]


PIECES = [
    b"data: a\n\n",
    b"data: a\r\n\r\n",
    b"event: e\ndata: {}\n\n",
    b"event:e\rdata:{}\r\r",
    b": c\n\n",
    "data: 你好\n\n".encode(),
    b"\n",
    b"\r",
    b"\r\n",
    b"data: x\ndata: y\n\n",
    b"id: 1\n",
    b"data",
    b":",
    b"\xef\xbb\xbf",
]


@pytest.mark.promise("P-47")
@given(st.lists(st.sampled_from(PIECES), max_size=8).map(b"".join), st.data())
def test_b155_frames_do_not_depend_on_how_the_stream_is_cut(stream: bytes, data: st.DataObject) -> None:
    whole = read(stream)

    for at in range(len(stream) + 1):
        parser = SseParser()
        assert whole == parser.feed(stream[:at]) + parser.feed(stream[at:]) + parser.eof()
    parser, frames, at = SseParser(), [], 0
    while at < len(stream):
        size = data.draw(st.integers(0, 5))
        frames += parser.feed(stream[at : at + size])
        at += size
    assert whole == frames + parser.eof()


def test_b86_a_character_split_over_reads_is_whole() -> None:
    stream = 'data: {"a":"é😀"}\n\n'.encode()
    parser = SseParser()
    frames = [frame for byte in stream for frame in parser.feed(bytes([byte]))]

    assert frames == [Frame(b"", '{"a":"é😀"}'.encode())]


def test_a_carriage_return_completes_an_event_at_once() -> None:
    parser = SseParser()

    assert parser.feed(b"data: a\r\r") == [Frame(b"", b"a")]
    assert parser.feed(b"\ndata: b\r\n\r") == [Frame(b"", b"b")]
    assert parser.feed(b"") == []
    assert parser.feed(b"\n\n") == []


def test_the_rest_is_what_is_not_complete() -> None:
    parser = SseParser()
    parser.feed(b'data: a\n\n{"error"')

    assert parser.rest == b'{"error"'


@pytest.mark.parametrize("cut", range(1, 34, 4))
def test_an_event_above_the_limit_ends_the_stream_however_it_is_cut(cut: int) -> None:
    stream = b"data: 1234\n\ndata: 12345\n\ndata: 2\n\n"
    parser = SseParser(limit=10)
    frames = parser.feed(stream[:cut]) + parser.feed(stream[cut:]) + parser.eof()

    assert frames == [Frame(b"", b"1234")]
    assert parser.too_large
    assert parser.feed(b"data: 3\n\n") == []


def test_an_event_at_the_limit_passes_and_a_long_one_at_the_end_does_not() -> None:
    parser = SseParser(limit=10)

    assert parser.feed(b"data: 1234") == []
    assert parser.feed(b"\n") == []
    assert parser.feed(b"\ndata: 1") == [Frame(b"", b"1234")]
    assert not parser.too_large
    assert parser.feed(b"2345") == []
    assert parser.eof() == []
    assert parser.too_large


def test_a_long_beginning_after_a_whole_event_is_above_the_limit() -> None:
    parser = SseParser(limit=10)

    assert parser.feed(b"data: 1\n\ndata: 1234567890") == [Frame(b"", b"1")]
    assert parser.too_large


def test_a_large_event_in_small_pieces_takes_linear_time() -> None:
    parser = SseParser(limit=1 << 22)
    piece = b"x" * 64
    parser.feed(b"data: ")
    start = time.perf_counter()
    for _ in range(1 << 15):
        parser.feed(piece)
    [frame] = parser.feed(b"\n\n")

    assert len(frame.data) == 1 << 21
    assert time.perf_counter() - start < 5
