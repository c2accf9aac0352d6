"""
What the head of an answer says about its body, and what we refuse to guess. Pure; both transports judge by it.

RFC 9112 section 6.3 with every ambiguity refused instead of resolved: an answer with both content-length and
transfer-encoding, two content-lengths, a transfer coding other than one `chunked`, chunked in HTTP/1.0, a switch of
protocols nobody asked for.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from services.gateway.upstream.transport import AnswerLimits, AnswerTooLarge, ProtocolViolation

_LINE: Final = 4  # ": " and the line break, which count as header bytes
_BODILESS: Final = frozenset({204, 304})
_FRAMING: Final = frozenset({b"content-length", b"transfer-encoding"})


def check_head(
    status: int,
    version: str,
    headers: Sequence[tuple[bytes, bytes]],
    fields: Mapping[bytes, bytes],
    limits: AnswerLimits,
    *,
    most: int | None = None,
) -> bool:
    """
    Return whether the head frames the body; if not, only the end of the connection ends it. `fields` are the headers
    by name, and `most` is how many bytes the head has at most, where that is known.

    Raises `ProtocolViolation` or `AnswerTooLarge` for a final head that is not to be trusted.
    """
    if version not in {"1.1", "1.0"}:
        raise ProtocolViolation("the upstream's answer is not HTTP/1.1")
    if status < 200:
        raise ProtocolViolation("the upstream switched protocols unasked")
    if len(headers) > limits.header_count:
        raise AnswerTooLarge(f"the upstream's answer has more than {limits.header_count} headers")
    if (most is None or most > limits.headers) and _size(headers) > limits.headers:
        raise AnswerTooLarge(f"the headers of the upstream's answer exceed {limits.headers} bytes")
    length, coding = fields.get(b"content-length"), fields.get(b"transfer-encoding")
    if (length is not None and coding is not None) or (len(fields) != len(headers) and _framings(headers) > 1):
        raise ProtocolViolation("the upstream's answer is framed more than once")
    if length is not None:
        _check_length(length, limits)
    elif coding is None:
        return False
    elif coding.lower() != b"chunked" or version == "1.0":
        raise ProtocolViolation("the upstream's answer has a transfer coding that was not offered")
    return True


def _size(headers: Sequence[tuple[bytes, bytes]]) -> int:
    return sum(len(name) + len(value) + _LINE for name, value in headers)


def _framings(headers: Sequence[tuple[bytes, bytes]]) -> int:
    return sum(name in _FRAMING for name, _ in headers)


def _check_length(length: bytes, limits: AnswerLimits) -> None:
    if not length.isdigit():
        raise ProtocolViolation("the upstream's answer has a content-length that is not a number")
    if int(length) > limits.body:
        raise AnswerTooLarge(f"the upstream announced a body of more than {limits.body} bytes")


def has_no_body(method: str, status: int) -> bool:
    """Tell whether the answer ends with its head, whatever the head says."""
    return method == "HEAD" or status in _BODILESS
