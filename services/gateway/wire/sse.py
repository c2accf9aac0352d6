"""
An incremental parser of server-sent events, on bytes.

It is lenient where real upstreams are (translation.md A12): LF, CRLF and CR line ends, no space after the colon, a
byte order mark, comments, several `data:` lines, a last event without its blank line. It does not decode text: a
frame's data is whatever bytes stood there.

Most frames are one `data:` line, or one `event:` and one `data:` line, and end in LF LF. Those are cut out with one
`split` for everything that a read brought; only what looks different is read line by line.
"""

from typing import Final

import msgspec

_BOM: Final = b"\xef\xbb\xbf"
_BLANK_LINE: Final = b"\n\n"


class Frame(msgspec.Struct, frozen=True, gc=False):
    """One event that carries data. `event` is empty where the stream did not name it."""

    event: bytes
    data: bytes


class SseParser:
    """
    Takes a stream in pieces of any size; the frames are the same however it was cut.

    `limit` bounds one event, in bytes. Once an event is larger, `too_large` is set and nothing more is returned.
    """

    __slots__ = ("_after_cr", "_at_start", "_limit", "_rest", "too_large")

    def __init__(self, limit: int = 1024 * 1024) -> None:
        self._limit = limit
        self._rest = bytearray()  # an event that is not complete, with line ends already LF
        self._after_cr = False
        self._at_start = True
        self.too_large = False

    @property
    def rest(self) -> bytes:
        """What has come of an event that is not complete."""
        return bytes(self._rest)

    def feed(self, data: bytes) -> list[Frame]:
        """Return the events that these bytes complete."""
        if self._after_cr or b"\r" in data:
            data = self._with_line_feeds(data)
        rest = self._rest
        if rest or self._at_start:
            # Growing in place keeps a large event that comes in many small pieces linear in its size.
            ends = _BLANK_LINE in data or (data[:1] == b"\n" and rest[-1:] == b"\n")
            rest += data
            if self._at_start:
                self._drop_mark()
            if not ends:
                self._check(len(rest) - 1)
                return []
            data = bytes(rest)
        blocks = data.split(_BLANK_LINE)
        rest[:] = blocks.pop()
        if len(data) > self._limit:
            blocks = self._within_limit(blocks)
            self._check(len(rest) - 1)
        return _frames(blocks)

    def eof(self) -> list[Frame]:
        """Return the last event if the stream ended without its blank line."""
        blocks = self._within_limit([bytes(self._rest)])
        self._rest.clear()
        return _frames(blocks)

    def _with_line_feeds(self, data: bytes) -> bytes:
        """
        Turn every line end into LF. A CR ends its line at once, and an LF that follows it in the next read is dropped:
        waiting for that read instead would hold a complete event back.
        """
        if self._after_cr and data:
            self._after_cr = False
            data = data.removeprefix(b"\n")
        if data.endswith(b"\r"):
            self._after_cr = True
        return data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")

    def _drop_mark(self) -> None:
        rest = self._rest
        if _BOM.startswith(rest[:3]) and len(rest) < len(_BOM):
            return
        if rest.startswith(_BOM):
            del rest[: len(_BOM)]
        self._at_start = False

    def _check(self, size: int) -> None:
        if size > self._limit:
            self.too_large = True
            self._rest.clear()
            self._limit = -1

    def _within_limit(self, blocks: list[bytes]) -> list[bytes]:
        for position, block in enumerate(blocks):
            if len(block) > self._limit:
                self._check(len(block))
                return blocks[:position]
        return blocks


def _frames(blocks: list[bytes]) -> list[Frame]:
    frames: list[Frame] = []
    for block in blocks:
        if block.startswith(b"data: ") and b"\n" not in block:
            frame = Frame(b"", block[6:])
        elif block.startswith(b"event: "):
            name, _, line = block.partition(b"\n")
            if line.startswith(b"data: ") and b"\n" not in line:
                frame = Frame(name[7:], line[6:])
            else:
                frame = _frame_of_lines(block)
        else:
            frame = _frame_of_lines(block)
        if frame.data:
            frames.append(frame)
    return frames


def _frame_of_lines(block: bytes) -> Frame:
    event = b""
    parts: list[bytes] = []
    for line in block.split(b"\n"):
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data":
            parts.append(value)
        elif name == b"event":
            event = value
    return Frame(event, b"\n".join(parts))
