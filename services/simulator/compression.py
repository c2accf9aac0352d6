"""Compresses bodies in the codings that clients offer, event by event so that a stream stays a stream. Pure."""

import zlib
from collections.abc import Callable, Iterator, Sequence
from typing import Final, Literal

import brotli
import zstandard

Name = Literal["gzip", "br", "zstd", "deflate"]
_NAMES: Final[tuple[Name, ...]] = ("zstd", "br", "gzip", "deflate")
_MEBIBYTE: Final = 1024 * 1024


def offered(accept_encoding: bytes) -> Name | None:
    """Return the coding to use for an accept-encoding header, None for identity."""
    accepted = {}
    for item in accept_encoding.decode("latin-1").lower().split(","):
        name, _, quality = item.partition(";")
        accepted[name.strip()] = quality.replace(" ", "") not in {"q=0", "q=0.0", "q=0.00", "q=0.000"}
    return next((name for name in _NAMES if accepted.get(name)), None)


def compress(name: Name, frames: Sequence[bytes]) -> list[bytes]:
    """Return the frames compressed as one body; each can be decoded as soon as it has arrived."""
    feed, finish = _coder(name)
    coded = [feed(frame) for frame in frames]
    coded.append(finish())
    return [piece for piece in coded if piece]


def _coder(name: Name) -> tuple[Callable[[bytes], bytes], Callable[[], bytes]]:
    match name:
        case "gzip" | "deflate":
            deflate = zlib.compressobj(wbits=31 if name == "gzip" else 15)
            return lambda data: deflate.compress(data) + deflate.flush(zlib.Z_SYNC_FLUSH), deflate.flush
        case "br":
            coder = brotli.Compressor(quality=4)
            return lambda data: bytes(coder.process(data) + coder.flush()), lambda: bytes(coder.finish())
        case "zstd":
            frame = zstandard.ZstdCompressor().compressobj()
            block = zstandard.COMPRESSOBJ_FLUSH_BLOCK
            return lambda data: frame.compress(data) + frame.flush(block), frame.flush


def gzip_bomb(prefix: bytes, size: int, suffix: bytes) -> Iterator[bytes]:
    """
    Yield a valid gzip body that inflates to `prefix`, `size` times the letter x, and `suffix`.

    A mebibyte is compressed once and its deflate block repeated, which a full flush allows: blocks refer to nothing
    before it. So a gibibyte costs about a megabyte on the wire and little time here; the checksum is made on the way.
    """
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
    block = b"x" * _MEBIBYTE
    opening = deflate.compress(prefix) + deflate.flush(zlib.Z_FULL_FLUSH)
    repeated = deflate.compress(block) + deflate.flush(zlib.Z_FULL_FLUSH)
    rest = b"x" * (size % _MEBIBYTE) + suffix
    ending = deflate.compress(rest) + deflate.flush()
    checksum = zlib.crc32(prefix)
    yield b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\xff" + opening
    for _ in range(size // _MEBIBYTE):
        checksum = zlib.crc32(block, checksum)
        yield repeated
    checksum = zlib.crc32(rest, checksum)
    total = len(prefix) + size + len(suffix)
    yield ending + checksum.to_bytes(4, "little") + (total % 2**32).to_bytes(4, "little")
