"""Secrets that a test plants, and the search for them in whatever they may have leaked into, under every disguise."""

import base64
import gzip
import json
import urllib.parse
import zlib
from collections.abc import Iterator

_WINDOW = 12  # bytes of a secret that must not be found anywhere; long enough to be no accident


class Canaries:
    """Registers secrets, and names those that are found in bytes."""

    def __init__(self) -> None:
        self._names: dict[bytes, str] = {}

    def plant(self, name: str, secret: str | bytes) -> None:
        """Watch for a secret of at least 24 bytes, and for its halves."""
        data = secret.encode() if isinstance(secret, str) else secret
        assert len(data) >= 2 * _WINDOW
        half = len(data) // 2
        for part in (data, data[:half], data[half:]):
            for form, disguised in _forms(part):
                self._names[disguised] = f"{name} ({form})"

    def found_in(self, *places: bytes) -> set[str]:
        """Return the names of all that is found, also inside compressed parts."""
        return {
            name
            for place in places
            for data in (place, *_inflated(place))
            for disguised, name in self._names.items()
            if disguised in data
        }


def _forms(data: bytes) -> Iterator[tuple[str, bytes]]:
    yield "raw", data
    yield "hex", data.hex().encode()
    yield "HEX", data.hex().upper().encode()
    yield "reversed", data[::-1]
    yield "UTF-16", data.decode("latin-1").encode("utf-16-le")
    for safe in ("", "/"):
        yield "URL", urllib.parse.quote_from_bytes(data, safe=safe).encode()
    yield "JSON", json.dumps(data.decode("latin-1"))[1:-1].encode()
    yield "repr", repr(data)[2:-1].encode()
    for offset in range(3):  # base64 of a text that holds it, however it falls into the groups of three
        for encode in (base64.standard_b64encode, base64.urlsafe_b64encode):
            yield f"base64 at {offset}", encode(b"\0" * offset + data).rstrip(b"=")[4 if offset else 0 : -2]


def _inflated(data: bytes) -> Iterator[bytes]:
    """Yield what every gzip or zlib stream in it holds."""
    starts = [at for magic in (b"\x1f\x8b\x08", b"\x78\x01", b"\x78\x9c", b"\x78\xda") for at in _all(data, magic)]
    for at in starts:
        try:
            yield zlib.decompressobj(wbits=47).decompress(data[at:], 1 << 20)
        except zlib.error:
            continue


def _all(data: bytes, what: bytes) -> Iterator[int]:
    at = data.find(what)
    while at >= 0:
        yield at
        at = data.find(what, at + 1)


def disguises(secret: bytes) -> dict[str, bytes]:
    """Return texts that give a secret away, for a test of the search itself."""
    found = {form: b"before" + disguised + b"after" for form, disguised in _forms(secret)}
    found["gzip"] = b"x" + gzip.compress(b"in the middle " + secret + b" of it")
    found["zlib"] = b"x" + zlib.compress(secret)
    for shift in range(3):
        found[f"base64 after {shift}"] = base64.b64encode(b"z" * shift + secret + b"and more")
    return found
