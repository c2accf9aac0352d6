"""
An incremental parser of server-sent events, on bytes.

It is lenient where real upstreams are (translation.md A12): LF, CRLF and CR line ends, no space after the colon, a
byte order mark, comments, several `data:` lines, a last event without its blank line. It does not decode text: a
frame's data is whatever bytes stood there.

Most frames are one `data:` line, or one `event:` and one `data:` line, and end in LF LF. Where all that a read brought
looks like that, one regular expression takes it apart; anything else is read line by line.
"""

import re
from collections.abc import Sequence
from typing import Final, NamedTuple

_BOM: Final = b"\xef\xbb\xbf"
_BLANK_LINE: Final = b"\n\n"
_CR: Final = 0x0D  # a number, because bytes are looked for in bytes by way of an exception

# Possessive, so that a long read leaves nothing behind to go back to.
_ALL_PLAIN: Final = re.compile(rb"(?:(?:event: [^\n]*+\n)?+data: [^\n]++\n\n)*+")
_PLAIN: Final = re.compile(rb"(?:event: ([^\n]*)\n)?data: ([^\n]+)\n\n")


class Frame(NamedTuple):
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
        return [Frame(event, text) for event, text in self.pairs(data)]

    def pairs(self, data: bytes) -> Sequence[tuple[bytes, bytes]]:
        """Return the same as plain tuples of event and data, which is twice as fast."""
        if self._after_cr or _CR in data:
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
        end = data.rfind(_BLANK_LINE) + len(_BLANK_LINE)
        if end < len(_BLANK_LINE):
            rest[:] = data
            self._check(len(rest) - 1)
            return []
        rest[:] = data[end:]
        whole = data[:end]
        if len(data) > self._limit:
            frames = _frames(self._within_limit(whole.split(_BLANK_LINE)))
            self._check(len(rest) - 1)
            return frames
        if _ALL_PLAIN.fullmatch(whole):
            pairs: list[tuple[bytes, bytes]] = _PLAIN.findall(whole)
            return pairs
        return _frames(whole.split(_BLANK_LINE))

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
    frames = map(_frame_of_lines, blocks)
    return [frame for frame in frames if frame.data]


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
