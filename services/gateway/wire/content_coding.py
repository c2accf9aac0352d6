"""
Undoes a content coding bit by bit and within bounds, for metering a copy and for reading compressed errors.

What a client gets is never decoded here; a bomb can cost no more than the limit (promises.md P-46).
"""

import zlib
from collections.abc import Callable, Iterator
from typing import Final

import brotli
import zstandard

_PIECE: Final = 64 * 1024  # bytes decoded at once
_WINDOW: Final = 8 * 1024 * 1024  # bytes; what RFC 8878 asks every decoder of a web page to manage
_SLICE: Final = 128  # bytes of zstd fed at once, at most 4 MiB decoded

Decode = Callable[[bytes], Iterator[bytes]]


class CodingError(Exception):
    """The body is not what its content-encoding says, or too large, or in a coding we do not know. Safe to show."""


class ContentDecoder:
    """Decodes one body as it arrives. `limit` bounds the decoded size, in bytes."""

    __slots__ = ("_decode", "_left")

    def __init__(self, coding: str, limit: int) -> None:
        """`coding` is the value of content-encoding; raises `CodingError` for what is unknown or stacked."""
        name = coding.strip().lower()
        if name not in _CODINGS:
            raise CodingError(f"content-encoding {name[:40]!r} is not known here")
        self._decode = _CODINGS[name]()
        self._left = limit

    def pieces(self, data: bytes) -> Iterator[bytes]:
        """Yield what these bytes decode to, in small pieces. Raises `CodingError`; nothing can be read after that."""
        for piece in self._decode(data):
            self._left -= len(piece)
            if self._left < 0:
                raise CodingError("the decoded body is larger than the limit")
            yield piece


def decoded(body: bytes, coding: str, limit: int) -> bytes:
    """Return a whole body without its coding. Raises `CodingError`."""
    return b"".join(ContentDecoder(coding, limit).pieces(body))


def _identity() -> Decode:
    def decode(data: bytes) -> Iterator[bytes]:
        yield data

    return decode


class _Gzip:
    """Gzip, of any number of members."""

    wbits = 16 + zlib.MAX_WBITS

    def __init__(self) -> None:
        self._inflate = zlib.decompressobj(self.wbits)

    def __call__(self, data: bytes) -> Iterator[bytes]:
        try:
            while data:
                piece = self._inflate.decompress(data, _PIECE)
                if piece:
                    yield piece
                data = self._inflate.unconsumed_tail
                if self._inflate.eof:
                    data = self._inflate.unused_data
                    self._inflate = zlib.decompressobj(self.wbits)
        except zlib.error as error:
            raise CodingError("the body is not valid gzip or deflate") from error


class _Deflate(_Gzip):
    """Deflate in its zlib wrapper, or bare as some servers send it; the first two bytes tell."""

    wbits = zlib.MAX_WBITS

    def __init__(self) -> None:
        super().__init__()
        self._head = b""

    def __call__(self, data: bytes) -> Iterator[bytes]:
        if len(self._head) < 2:
            data = self._head + data
            self._head = data[:2]
            if len(data) < 2:
                return iter(())
            if data[0] & 15 != 8 or int.from_bytes(data[:2]) % 31:
                self._inflate = zlib.decompressobj(-zlib.MAX_WBITS)
        return super().__call__(data)


class _Brotli:
    def __init__(self) -> None:
        self._decoder = brotli.Decompressor()

    def __call__(self, data: bytes) -> Iterator[bytes]:
        try:
            piece = self._decoder.process(data, output_buffer_limit=_PIECE)
            while piece:
                yield piece
                piece = self._decoder.process(b"", output_buffer_limit=_PIECE)
        except brotli.error as error:
            raise CodingError("the body is not valid brotli") from error


class _Zstandard:
    """Takes small slices, because the library bounds no output and four bytes can stand for a block of 128 KiB."""

    def __init__(self) -> None:
        self._decoder = zstandard.ZstdDecompressor(max_window_size=_WINDOW).decompressobj(read_across_frames=True)

    def __call__(self, data: bytes) -> Iterator[bytes]:
        try:
            for start in range(0, len(data), _SLICE):
                piece = self._decoder.decompress(data[start : start + _SLICE])
                if piece:
                    yield piece
        except zstandard.ZstdError as error:
            raise CodingError("the body is not valid zstd") from error


_CODINGS: Final[dict[str, Callable[[], Decode]]] = {
    "": _identity,
    "identity": _identity,
    "gzip": _Gzip,
    "x-gzip": _Gzip,
    "deflate": _Deflate,
    "br": _Brotli,
    "zstd": _Zstandard,
}
