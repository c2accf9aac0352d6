"""Compressed bodies, and the bomb."""

import gzip
import zlib
from collections.abc import Callable

import brotli
import pytest
import zstandard

from services.simulator.compression import Name, compress, gzip_bomb, offered

_FRAMES = [b"data: one\n\n", b"data: two\n\n", b"data: three\n\n"]


def _feeder(name: Name) -> Callable[[bytes], bytes]:
    match name:
        case "gzip":
            return zlib.decompressobj(31).decompress
        case "deflate":
            return zlib.decompressobj(15).decompress
        case "br":
            return brotli.Decompressor().process  # type: ignore[no-any-return]  # untyped library
        case "zstd":
            return zstandard.ZstdDecompressor().decompressobj().decompress


@pytest.mark.parametrize("name", ["gzip", "deflate", "br", "zstd"])
def test_every_frame_can_be_read_as_soon_as_it_has_arrived(name: Name) -> None:
    feed = _feeder(name)
    coded = compress(name, _FRAMES)

    assert [feed(piece) for piece in coded][: len(_FRAMES)] == _FRAMES


@pytest.mark.parametrize(
    ("header", "name"),
    [
        (b"", None),
        (b"identity", None),
        (b"gzip", "gzip"),
        (b"gzip, deflate, br", "br"),
        (b"gzip, br, zstd", "zstd"),
        (b"zstd;q=0, gzip;q=0.5", "gzip"),
        (b"GZIP ; q=1", "gzip"),
    ],
)
def test_the_coding_is_one_the_client_offers(header: bytes, name: str | None) -> None:
    assert name == offered(header)


@pytest.mark.parametrize("size", [0, 10, 1024 * 1024, 3 * 1024 * 1024 + 7])
def test_the_bomb_is_a_valid_gzip_body(size: int) -> None:
    assert gzip.decompress(b"".join(gzip_bomb(b"<", size, b">"))) == b"<" + b"x" * size + b">"


def test_a_gibibyte_costs_about_a_megabyte() -> None:
    wire = sum(map(len, gzip_bomb(b"", 64 * 1024 * 1024, b""))) * 16

    assert wire < 1.2e6
