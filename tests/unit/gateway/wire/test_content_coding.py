"""Undoing content codings, in pieces and within bounds."""

import contextlib
import gzip
import zlib
from collections.abc import Callable
from functools import partial

import brotli
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.wire.content_coding import CodingError, ContentDecoder, decoded

TEXT = b"the same words again and again, " * 40


def bare(data: bytes) -> bytes:
    deflate = zlib.compressobj(wbits=-15)
    return deflate.compress(data) + deflate.flush()


def zstd(data: bytes) -> bytes:
    return zstandard.ZstdCompressor().compress(data)


CODINGS: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "identity": ("identity", bytes),
    "none": ("", bytes),
    "gzip": ("gzip", gzip.compress),
    "x-gzip": ("X-GZip ", gzip.compress),
    "deflate": ("deflate", zlib.compress),
    "bare deflate": ("deflate", bare),
    "br": ("br", partial(brotli.compress, quality=5)),
    "zstd": ("zstd", zstd),
}
coded = pytest.mark.parametrize(("name", "encode"), CODINGS.values(), ids=CODINGS)


@coded
def test_a_body_is_what_it_was(name: str, encode: Callable[[bytes], bytes]) -> None:
    assert decoded(encode(TEXT), name, len(TEXT)) == TEXT
    assert decoded(encode(b""), name, 0) == b""


@coded
def test_a_body_that_comes_byte_by_byte_is_the_same(name: str, encode: Callable[[bytes], bytes]) -> None:
    decoder = ContentDecoder(name, len(TEXT))

    assert b"".join(piece for byte in encode(TEXT) for piece in decoder.pieces(bytes([byte]))) == TEXT


@coded
def test_a_body_above_the_limit_is_refused(name: str, encode: Callable[[bytes], bytes]) -> None:
    with pytest.raises(CodingError, match="larger than the limit"):
        decoded(encode(TEXT), name, len(TEXT) - 1)


@pytest.mark.promise("P-46")
@pytest.mark.parametrize("case", ["gzip", "deflate", "br", "zstd"])
def test_a_bomb_costs_no_more_than_the_limit_and_comes_in_small_pieces(case: str) -> None:
    name, encode = CODINGS[case]
    bomb = encode(bytes(1 << 26))
    assert len(bomb) < 100_000

    sizes = []
    with pytest.raises(CodingError, match="larger than the limit"):
        sizes.extend(len(piece) for piece in ContentDecoder(name, 1 << 23).pieces(bomb))
    assert sum(sizes) <= 1 << 23
    assert max(sizes) <= 1 << 22


@pytest.mark.parametrize("name", ["gzip", "br", "zstd", "deflate"])
def test_a_body_that_is_not_of_its_coding_is_refused(name: str) -> None:
    with pytest.raises(CodingError, match="not valid"):
        decoded(b"\xff\xff no such thing at all", name, 100)


@pytest.mark.parametrize("name", ["compress", "gzip, br", "?"])
def test_an_unknown_or_stacked_coding_is_refused(name: str) -> None:
    with pytest.raises(CodingError, match="not known here"):
        ContentDecoder(name, 100)


@pytest.mark.parametrize(("name", "encode"), [("gzip", gzip.compress), ("zstd", zstd)])
def test_several_members_are_one_body(name: str, encode: Callable[[bytes], bytes]) -> None:
    assert decoded(encode(b"one ") + encode(b"two"), name, 100) == b"one two"


@pytest.mark.parametrize("case", ["gzip", "deflate", "br", "zstd"])
def test_a_truncated_body_gives_what_there_is(case: str) -> None:
    name, encode = CODINGS[case]

    assert TEXT.startswith(decoded(encode(TEXT)[:-5], name, 10_000))


@given(st.sampled_from(["gzip", "deflate", "br", "zstd"]), st.binary(max_size=60))
def test_no_bytes_raise_anything_else(name: str, body: bytes) -> None:
    with contextlib.suppress(CodingError):
        assert len(decoded(body, name, 1000)) <= 1000
