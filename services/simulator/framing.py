"""Frames an HTTP/1.1 answer: its head and its body's transfer coding, right or wrong as the script says. Pure."""

import http
from collections.abc import Iterator

from services.simulator.plan import Header, Plan
from services.simulator.script import FramingKind, Script

_LONGER = 64
_SHORTER = 8
_HEADER_SIZE = 8000  # of one of many extra headers


class Framing:
    """The framing of one body. `sent` counts the body's own bytes."""

    def __init__(self, kind: FramingKind, length: int) -> None:
        self._kind = kind
        self._length = length
        self._chunked = kind in {"chunked", "both", "bad-chunk"}
        self._number = 0
        self.sent = 0
        self.reusable = kind in {"chunked", "length"}

    @classmethod
    def of(cls, plan: Plan, script: Script) -> "Framing":
        """Choose the framing: a body made on the way, or a stream, has no known length."""
        kind = script.framing
        if kind == "default" or plan.lazy is not None:
            kind = "chunked" if plan.streamed else "length"
        return cls(kind, sum(map(len, plan.frames)))

    def headers(self) -> tuple[Header, ...]:
        """Return the headers that announce the framing."""
        coding = (b"transfer-encoding", b"chunked")
        length = self._length
        table: dict[FramingKind, tuple[Header, ...]] = {
            "chunked": (coding,),
            "bad-chunk": (coding,),
            "both": (_length(length), coding),
            "two-lengths": (_length(length), _length(length + 1)),
            "long": (_length(length + _LONGER),),
            "short": (_length(max(0, length - _SHORTER)),),
            "close": (),
        }
        return table.get(self._kind, (_length(length),))

    def data(self, piece: bytes) -> bytes:
        """Return a piece of the body as it goes on the wire; an empty one is nothing, not the end."""
        if not piece:
            return b""
        self.sent += len(piece)
        self._number += 1
        if self._kind == "bad-chunk" and self._number > 1:
            return b"zz\r\n" + piece + b"\r\n"
        return b"%x\r\n%b\r\n" % (len(piece), piece) if self._chunked else piece

    def end(self) -> bytes:
        """Return what follows the last piece."""
        return b"0\r\n\r\n" if self._chunked else b""


def head(plan: Plan, script: Script, framing: Framing, *, keep_alive: bool) -> list[bytes]:
    """Return the informational heads and then the answer's own."""
    heads = [_status_line(status) + b"x-simulated: early\r\n\r\n" for status in script.informational]
    lines = [_status_line(plan.status) if script.framing != "bad-status" else b"HTTP/x.y OK\r\n"]
    reusable = keep_alive and framing.reusable
    headers = [*plan.headers, *framing.headers(), (b"server", b"zcode-simulator"), *_extra(script)]
    headers.append((b"connection", b"keep-alive" if reusable else b"close"))
    lines += (b"%b: %b\r\n" % header for header in headers)
    return [*heads, b"".join([*lines, b"\r\n"])]


def _status_line(status: int) -> bytes:
    try:
        phrase = http.HTTPStatus(status).phrase
    except ValueError:
        phrase = "Simulated"
    return f"HTTP/1.1 {status} {phrase}\r\n".encode()


def _length(length: int) -> Header:
    return (b"content-length", str(length).encode())


def _extra(script: Script) -> Iterator[Header]:
    if script.headers:
        yield (b"x-simulated-large", b"h" * script.headers)
    for index in range(script.header_count):
        yield (f"x-simulated-{index}".encode(), b"h")
    if script.bomb == "headers":
        size = 200_000 if script.size is None else script.size
        for index in range(-(-size // _HEADER_SIZE)):
            yield (f"x-simulated-bomb-{index}".encode(), b"h" * (_HEADER_SIZE - 24))
