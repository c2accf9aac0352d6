"""
A head that is, byte for byte, the one before it on the same connection, but for its body's length. Pure.

A client that keeps its connection says the same head again and again. What the parser and `head.examine` found out
about those bytes is true of the same bytes, so they are compared instead of being taken apart anew, which costs a sixth
of a small request. Who calls is asked every time: a key may have been revoked meanwhile.
"""

from typing import Final

import msgspec

from services.chassis.direct import DirectRoute, RequestHead

_NAME: Final = b"\r\ncontent-length:"
_END: Final = b"\r\n\r\n"
_MOST_DIGITS: Final = 12
_BLANKS: Final = b" \t"


class RepeatedHead(msgspec.Struct, frozen=True, gc=False):
    """What a request served by `route` began with."""

    before: bytes  # up to the first digit of its length
    after: bytes  # from behind the last digit to the blank line
    head: RequestHead
    limit: int  # bytes of a body
    route: DirectRoute

    def body(self, data: bytes) -> bytes | None:
        """Return the body if the data is this head again and all of its body, and nothing else."""
        if not data.startswith(self.before):
            return None
        start = len(self.before)
        end = data.find(b"\r", start, start + _MOST_DIGITS)
        if end < 0 or not data.startswith(self.after, end):
            return None
        length, body = data[start:end], data[end + len(self.after) :]
        if not length.isdigit() or int(length) != len(body) or not 0 < len(body) <= self.limit:
            return None
        return body


def learn(data: bytes, head: RequestHead, *, length: int, limit: int, route: DirectRoute) -> RepeatedHead | None:
    """
    Remember the head of a request to `route` that was found good, with a body of `length` bytes.

    None unless the data is that one request from its first byte to its last, with its length said once.
    """
    end = data.find(_END) + len(_END)
    lower = data[:end].lower()
    at = lower.find(_NAME) + len(_NAME)
    if len(data) - end != length or at < len(_NAME) or lower.find(_NAME, at) >= 0:
        return None
    while data[at : at + 1] in _BLANKS:
        at += 1
    digits = b"%d" % length
    after = data[at + len(digits) : end]
    if not data.startswith(digits, at) or not after.startswith(b"\r\n"):
        return None
    return RepeatedHead(data[:at], after, head, limit, route)
