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


def check_head(
    status: int,
    version: str,
    headers: Sequence[tuple[bytes, bytes]],
    fields: Mapping[bytes, bytes],
    limits: AnswerLimits,
) -> bool:
    """
    Return whether the head frames the body; if not, only the end of the connection ends it. `fields` are the headers
    by name.

    Raises `ProtocolViolation` or `AnswerTooLarge` for a final head that is not to be trusted.
    """
    if version not in {"1.1", "1.0"}:
        raise ProtocolViolation("the upstream's answer is not HTTP/1.1")
    if status < 200:
        raise ProtocolViolation("the upstream switched protocols unasked")
    if len(headers) > limits.header_count:
        raise AnswerTooLarge(f"the upstream's answer has more than {limits.header_count} headers")
    length, coding = fields.get(b"content-length"), fields.get(b"transfer-encoding")
    lengths = [] if length is None else [length]
    codings = [] if coding is None else [coding]
    if len(fields) == len(headers):
        size = len(b"".join(fields)) + len(b"".join(fields.values()))
    else:  # some are repeated
        size = sum(len(name) + len(value) for name, value in headers)
        lengths = [value for name, value in headers if name == b"content-length"]
        codings = [value for name, value in headers if name == b"transfer-encoding"]
    if size + _LINE * len(headers) > limits.headers:
        raise AnswerTooLarge(f"the headers of the upstream's answer exceed {limits.headers} bytes")
    _check_framing(version, lengths, codings, limits)
    return bool(lengths or codings)


def _check_framing(version: str, lengths: list[bytes], codings: list[bytes], limits: AnswerLimits) -> None:
    if len(lengths) + len(codings) > 1:
        raise ProtocolViolation("the upstream's answer is framed more than once")
    if codings and (codings[0].lower() != b"chunked" or version == "1.0"):
        raise ProtocolViolation("the upstream's answer has a transfer coding that was not offered")
    if lengths:
        if not lengths[0].isdigit():
            raise ProtocolViolation("the upstream's answer has a content-length that is not a number")
        if int(lengths[0]) > limits.body:
            raise AnswerTooLarge(f"the upstream announced a body of more than {limits.body} bytes")


def has_no_body(method: str, status: int) -> bool:
    """Tell whether the answer ends with its head, whatever the head says."""
    return method == "HEAD" or status in _BODILESS
