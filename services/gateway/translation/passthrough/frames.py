"""
Cuts a stream of server-sent events into frames without changing a byte.

Unlike `wire.sse` it keeps each frame as it came, line ends, comments and blank line included, because that is what
is passed on. Reading what a frame says is left to `wire.sse`, but for the two spellings that nearly all frames have.
"""

import re
from typing import Final

from services.gateway.wire.sse import SseParser

_BOM: Final = b"\xef\xbb\xbf"
_CR: Final = 0x0D  # a number: see `template`

# A CR counts once it is known not to be the first half of a CRLF, so a cut between the two changes nothing.
_LINE_END: Final = rb"(?:\r\n|\n|\r(?=[^\n]))"
_BLANK_LINE: Final = re.compile(_LINE_END + _LINE_END)


class Framer:
    """Takes a stream in pieces of any size. `limit` bounds one frame, in bytes, its blank line included."""

    __slots__ = ("_at_start", "_limit", "_seen", "held", "too_large")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self.held = bytearray()  # a frame that is not complete
        self._seen = 0  # of `held`, searched for a blank line
        self._at_start = True
        self.too_large = False

    @property
    def waiting(self) -> bool:
        """Whether data must go through `join` first."""
        return self._at_start or len(self.held) > 0

    def join(self, data: bytes) -> bytes:
        """Return what is held and `data` once that completes a frame; until then nothing, and all of it is held."""
        held = self.held
        if self._at_start and not held and data[:1] != _BOM[:1] and _CR not in data and data.find(b"\n\n") >= 0:
            self._at_start = False  # the usual first read, which is not copied
            return data
        held += data
        if self._at_start and not self._drop_mark():
            return b""
        start = max(0, self._seen - 3)
        if held.find(b"\n\n", start) < 0 and (_CR not in held or _BLANK_LINE.search(held, start) is None):
            self._seen = len(held)
            self._check(len(held))
            return b""
        whole = bytes(held)
        held.clear()
        self._seen = 0
        return whole

    def first(self, data: bytes, most: int) -> list[bytes]:
        """Return at most so many frames from the head of `data`; nothing is held."""
        if _CR in data or len(data) > self._limit:
            return []
        frames: list[bytes] = []
        start = 0
        while len(frames) < most:
            end = data.find(b"\n\n", start) + 2
            if end < 2:
                break
            frames.append(data[start:end])
            start = end
        return frames

    def cut(self, data: bytes) -> list[bytes]:
        """Return the frames that `data`, with what `join` made of it, completes, and hold the rest."""
        if _CR in data:
            ends = [found.end() for found in _BLANK_LINE.finditer(data)]
            frames = [data[start:end] for start, end in zip([0, *ends], ends, strict=False)]
            self.held += data[ends[-1] :] if ends else data
        else:
            blocks = data.split(b"\n\n")
            self.held += blocks.pop()
            frames = [block + b"\n\n" for block in blocks]
        if len(data) > self._limit:
            for position, frame in enumerate(frames):
                if len(frame) > self._limit:
                    self._check(len(frame))
                    return frames[:position]
            self._check(len(self.held))
        return frames

    def rest(self) -> bytes:
        """Return, at the stream's end, a frame that lacks its blank line."""
        whole = bytes(self.held)
        self.held.clear()
        return whole

    def _drop_mark(self) -> bool:
        """Drop a byte order mark; tells whether that is settled."""
        held = self.held
        if len(held) < len(_BOM) and _BOM.startswith(held):
            return False
        if held.startswith(_BOM):
            del held[: len(_BOM)]
        self._at_start = False
        return True

    def _check(self, size: int) -> None:
        if size > self._limit:
            self.too_large = True
            self.held.clear()


def read_frame(raw: bytes) -> tuple[bytes, bytes] | None:
    """Return name and data of a raw frame; None for comments, blank lines and events without data."""
    if _CR not in raw:
        if raw.startswith(b"data: {") and raw.find(b"\n") == len(raw) - 2:
            return b"", raw[6:-2]
        if raw.startswith(b"event: ") and raw.count(b"\n") == 3:
            name, _, line = raw.partition(b"\n")
            if line.startswith(b"data: {"):
                return name[7:], line[6:-2]
    parser = SseParser(len(raw))
    frames = parser.feed(raw) + parser.eof()
    return frames[0] if frames else None
