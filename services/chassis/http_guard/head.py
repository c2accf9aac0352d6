"""
Is this request head one that every server in a chain would read the same way? Pure.

llhttp has already refused what it knows to be malformed: bare CR or LF, folded lines, spaces before a colon,
several or unclean Content-Lengths, Content-Length beside Transfer-Encoding. What follows is what it lets through
(promises.md T09, T10; each rule has a probe in tests/component/guard/test_probes.py).
"""

import re
from collections.abc import Sequence
from typing import Final

import msgspec

from services.chassis.http_guard.limits import GuardLimits, Refusal

# Headers whose meaning hangs on there being one of them. Two credentials of one kind are a bypass waiting to happen;
# whether an Authorization and an X-API-Key agree is the application's question.
_SINGLE: Final = frozenset(
    {
        b"host",
        b"content-length",
        b"transfer-encoding",
        b"content-encoding",
        b"content-type",
        b"expect",
        b"upgrade",
        b"authorization",
        b"x-api-key",
    }
)
_HOST: Final = re.compile(rb"(?:[A-Za-z0-9._-]{1,255}|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?")
_LOW_LINE: Final = 0x5F  # numbers, because bytes are looked for in bytes by way of an exception
_HASH: Final = 0x23
_SEPARATORS: Final = 4  # ": " and CRLF
_BODILESS: Final = (b"GET", b"HEAD")


class Head(msgspec.Struct, frozen=True, gc=False):
    """What the body of an admitted request will be."""

    length: int = 0  # as declared; 0 without a body and with a chunked one
    chunked: bool = False
    limit: int = 0  # bytes of payload this path may take
    expects: bool = False  # the client waits for 100 Continue
    upgrade: bool = False  # the client offers another protocol, which is ignored


BARE: Final = Head()


def examine(
    method: bytes,
    url: bytes,
    version: str,
    headers: Sequence[tuple[bytes, bytes]],
    single: dict[bytes, bytes],
    limits: GuardLimits,
) -> Head:
    """
    Return what the head says of the body, or raise Refusal. Header names are in lower case; `single` is the dict of
    them.

    This runs for every request, so that a good head is recognised by a few operations over all headers at once; only
    a head that fails one of them is gone through rule by rule, to say which.
    """
    names = b"".join(single)
    host = single.get(b"host")
    if (
        len(single) != len(headers)
        or len(single) > limits.header_count
        or len(names) + len(b"".join(single.values())) + _SEPARATORS * len(single) > limits.headers
        or _LOW_LINE in names
        or url[:1] != b"/"
        or len(url) > limits.request_line
        or _HASH in url
        or not url.isascii()
        or (version != "1.1" and version != "1.0")  # noqa: PLR1714 -- a set would be hashed into for each request
        or method == b"CONNECT"
        or host is None
        or _HOST.fullmatch(host) is None
    ):
        _check_start_line(method, url, version, limits)
        _check_headers(headers, limits)
    length, coding = single.get(b"content-length"), single.get(b"transfer-encoding")
    if coding is None and b"upgrade" not in single and b"content-encoding" not in single:
        if length is None:
            return BARE
        if method == b"POST" and b"expect" not in single and length.isdigit():
            return _plain_body(int(length), limit_for(url, limits))
    return _describe_body(method, url, version, single, limits)


def _check_start_line(method: bytes, url: bytes, version: str, limits: GuardLimits) -> None:
    if len(url) > limits.request_line:
        raise Refusal(414, f"The request line is longer than {limits.request_line} bytes.")
    if method == b"CONNECT":
        raise Refusal(400, "This server is not a proxy.")
    # Absolute and asterisk forms let a Host in the URL contradict the header.
    if url[:1] != b"/" or b"#" in url or not url.isascii():
        raise Refusal(400, "The request target must be a path.")
    if version not in {"1.1", "1.0"}:
        raise Refusal(505, "This server speaks HTTP/1.1.")


def _check_headers(headers: Sequence[tuple[bytes, bytes]], limits: GuardLimits) -> None:
    if len(headers) > limits.header_count:
        raise Refusal(431, f"There are more than {limits.header_count} headers.")
    if sum(len(name) + len(value) + _SEPARATORS for name, value in headers) > limits.headers:
        raise Refusal(431, f"The headers are longer than {limits.headers} bytes.")
    seen: dict[bytes, bytes] = {}
    for name, value in headers:
        if b"_" in name:
            # Many servers read X_Y and X-Y as one name, so that one can pose as the other.
            raise Refusal(400, "Header names with an underscore are not accepted.")
        if name in _SINGLE and name in seen:
            raise Refusal(400, f"There are two {name.decode()} headers.")
        seen[name] = value
    if _HOST.fullmatch(seen.get(b"host", b"")) is None:
        raise Refusal(400, "A request carries exactly one well-formed Host header.")


def _describe_body(method: bytes, url: bytes, version: str, single: dict[bytes, bytes], limits: GuardLimits) -> Head:
    coding = single.get(b"content-encoding")
    if coding is not None and coding.strip().lower() != b"identity":
        raise Refusal(415, "Compressed request bodies are not accepted.")
    expectation = single.get(b"expect")
    if expectation is not None and expectation.lower() != b"100-continue":
        raise Refusal(417, "The only expectation this server knows is 100-continue.")
    length, chunked = _framing(version, single)
    if not length and not chunked:
        return Head(upgrade=True) if b"upgrade" in single else BARE
    if method in _BODILESS:
        raise Refusal(400, f"A {method.decode()} request has no body.")
    limit = limit_for(url, limits)
    if length > limit:
        raise too_large(limit)
    upgrade = b"upgrade" in single
    if upgrade and chunked:
        raise Refusal(400, "A request that offers another protocol must state its body's length.")
    return Head(length, chunked, limit, expectation is not None, upgrade)


def _plain_body(length: int, limit: int) -> Head:
    if length > limit:
        raise too_large(limit)
    return Head(length, False, limit) if length else BARE


def _framing(version: str, single: dict[bytes, bytes]) -> tuple[int, bool]:
    """Return the declared length and whether the body is chunked."""
    length, coding = single.get(b"content-length"), single.get(b"transfer-encoding")
    if coding is not None:
        if length is not None or version != "1.1" or coding.lower() != b"chunked":
            raise Refusal(400, "A body is framed by Content-Length or by Transfer-Encoding: chunked, in HTTP/1.1.")
        return 0, True
    if length is None:
        return 0, False
    digits = length.rstrip(b" \t")  # llhttp keeps what follows the number
    if not digits.isdigit():
        raise Refusal(400, "Content-Length is not a number.")
    return int(digits), False


def limit_for(url: bytes, limits: GuardLimits) -> int:
    """Return how many bytes of payload a request to this target may carry."""
    paths = limits.body_paths
    return limits.body if paths is None or url.partition(b"?")[0] in paths else limits.other_body


def too_large(limit: int) -> Refusal:
    """Return the refusal of a body beyond `limit` bytes."""
    return Refusal(413, f"The request body is larger than {limit} bytes.")
