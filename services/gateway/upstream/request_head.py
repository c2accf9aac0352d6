"""
The head of a request as bytes. Pure; both transports refuse the same requests by it, before anything is sent.

The framing headers (host, content-length, connection) are written here and nowhere else, so that no value that came
from a client can change where a request ends or who answers it.
"""

import functools
import re
from collections.abc import Sequence
from operator import itemgetter

from services.chassis.header_lines import header_lines
from services.chassis.verdicts import Verdicts
from services.gateway.upstream.transport import HeaderBlock, Origin, ProtocolViolation, UpstreamRequest

_PATH = re.compile(rb"/[!-~]*")
_NAME = re.compile(rb"(?!(?i:host|content-length|connection|transfer-encoding)\Z)[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_NAME_OF = itemgetter(0)
_BODILESS = frozenset({"GET", "HEAD", "DELETE", "OPTIONS"})  # an empty body of these is not announced (RFC 9110, 8.6)


def _decide(name: bytes) -> bool:
    return _NAME.fullmatch(name) is not None


_is_free_name = Verdicts(_decide).__getitem__


def own_lines(request: UpstreamRequest) -> bytes:
    """Return the request's own headers as lines; raise `ProtocolViolation` where one would break the framing."""
    _check_start(request.method, request.path)
    return request.fixed.lines + _lines(request.headers)


def header_block(pairs: Sequence[tuple[bytes, bytes]]) -> HeaderBlock:
    """Return headers that many requests share, checked and written once; raise `ProtocolViolation`."""
    return HeaderBlock(tuple(pairs), _lines(pairs))


@functools.lru_cache(maxsize=64)
def _check_start(method: str, path: bytes) -> None:
    if not (method.isascii() and method.isalpha() and method.isupper()):
        raise ProtocolViolation("the method of the request is not a token")
    if _PATH.fullmatch(path) is None:
        raise ProtocolViolation("the path of the request holds a character that does not belong in a request line")


def _lines(headers: Sequence[tuple[bytes, bytes]]) -> bytes:
    if not all(map(_is_free_name, map(_NAME_OF, headers))):
        raise ProtocolViolation("a header of the request is not a token, or belongs to the framing")
    try:
        return header_lines(headers)
    except ValueError as error:
        raise ProtocolViolation(f"the request cannot be written: {error}") from None


def announces_length(request: UpstreamRequest) -> bool:
    """Tell whether the request carries a content-length."""
    return bool(request.body) or request.method not in _BODILESS


class HeadWriter:
    """Writes heads for one origin; what is the same in all of them is built once."""

    __slots__ = ("_host",)

    def __init__(self, origin: Origin) -> None:
        self._host = b" HTTP/1.1\r\nhost: %b\r\n" % origin.authority.encode("ascii")

    def write(self, request: UpstreamRequest) -> bytes:
        """Return request line and headers with the empty line; raise `ProtocolViolation`."""
        lines = own_lines(request)
        end = b"content-length: %d\r\n\r\n" % len(request.body) if announces_length(request) else b"\r\n"
        return b"".join((request.method.encode(), b" ", request.path, self._host, lines, end))
