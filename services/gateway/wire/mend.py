"""
Makes an upstream's JSON text decodable where only its characters are at fault.

Two faults are mended: bytes that are no UTF-8, and `\\ud83d`-style escapes of half a surrogate pair (a server that cuts
its text between UTF-16 units sends those). Either becomes U+FFFD. Broken syntax stays broken.
"""

import re
from typing import Final

import msgspec

# What a decoder of msgspec raises for input that is not what it should be, nesting without end included.
BROKEN: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)

_ESCAPE: Final = re.compile(
    rb"\\(?:(?P<pair>u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})|(?P<lone>u[dD][89a-fA-F][0-9a-fA-F]{2})|.)",
    re.DOTALL,
)


def mended(data: bytes) -> bytes:
    """Return the same JSON text with every impossible character replaced."""
    return _ESCAPE.sub(_without_half, data.decode("utf-8", "replace").encode())


def _without_half(match: re.Match[bytes]) -> bytes:
    return rb"\ufffd" if match["lone"] else match[0]
