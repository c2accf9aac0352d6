"""
The fast path of pass-through: a read that holds only more of the same is passed on after a few scans over all of it.

Nearly all frames of a stream differ in one string only, the delta's. Once such a frame has been read in full and found
to change nothing in the machine's state, it becomes a template: what stands before the string's text, and what stands
after it. Any further frame with that head and that tail, and a string's text in between, means the same and is treated
the same. A read that consists of such frames throughout is recognised by counting, without being taken apart:

    head text tail head text tail head text tail        joint = tail + head

    starts with the head, ends with the tail; n = joints + 1; as many marks as n frames have

Marks are line ends and unescaped quotes. They cannot stand inside a JSON string, so where there are no more of them
than the frames need, nothing but text is between a head and its tail. Escaped quotes are told apart by walking over the
backslashes, of which ordinary text has few.

A template also knows the frame it turned into, for the repair that recurs in every frame of some upstreams (GLM
repeats the role in each): head and tail are exchanged in all of them at once.
"""

from bisect import bisect_left
from typing import Final

import msgspec

_BLANKS: Final = b" \t"
# Numbers, because bytes are looked for in bytes by way of an exception, which costs twenty times as much.
_QUOTE: Final = 0x22
_BACKSLASH: Final = 0x5C
_LF: Final = 0x0A
_CR: Final = 0x0D
_MARKS: Final = b'"\n\r'


class Template(msgspec.Struct, frozen=True, gc=False):
    """See above. `removed` is what the new head lacks, where that is all that changes and stands nowhere else."""

    head: bytes
    tail: bytes
    joint: bytes
    new_head: bytes
    new_tail: bytes
    small: int  # bytes of what is one frame at most
    marks: int
    unchanged: bool
    removed: bytes
    start: int  # of the text, in a frame
    least: int  # bytes of a frame without text

    def reach(self, data: bytes) -> int:
        """Return where the last tail ends if the data starts with the head, else 0."""
        if not data.startswith(self.head):
            return 0
        at = data.rfind(self.tail)
        return at + len(self.tail) if at >= 0 else 0

    def run(self, data: bytes) -> bytes | None:
        """Return what becomes of data up to its `reach`; None if it is not all of this kind."""
        if len(data) < len(self.joint) + len(self.head):
            return self.one(data)
        frames = data.count(self.joint) + 1
        marks = len(data) - len(data.translate(None, _MARKS))  # one pass; counting each would take one for each
        if _BACKSLASH in data:
            marks -= self._escaped_quotes(data)
        if marks != frames * self.marks:
            return None
        return data if self.unchanged else self._changed(data, frames)

    def _escaped_quotes(self, data: bytes) -> int:
        """Return how many quotes are escaped, the number of all quotes and more if one of them is a tail's."""
        escaped = 0
        parts = iter(data.split(b"\\"))
        next(parts)
        for part in parts:
            if not part:
                next(parts, None)  # an escaped backslash: what follows it is not escaped
            elif part[0] == _QUOTE:
                if part.startswith(self.tail):
                    return len(data)
                escaped += 1
        return escaped

    def one(self, raw: bytes) -> bytes | None:
        """Return what becomes of one frame; None if it is of another kind."""
        size = len(raw)
        if size < self.least or not raw.startswith(self.head) or not raw.endswith(self.tail):
            return None
        start = self.start
        text = raw[start : size - self.least + start]
        if _LF in text or _CR in text:
            return None
        if _BACKSLASH in text or _QUOTE in text:
            bare = text.replace(b"\\\\", b"").replace(b'\\"', b"")
            if b'"' in bare or bare.endswith(b"\\"):
                return None
        return raw if self.unchanged else self.new_head + text + self.new_tail

    def _changed(self, data: bytes, frames: int) -> bytes:
        if self.removed:
            short = b"".join(data.split(self.removed))  # which is faster than `replace`
            if len(short) == len(data) - frames * len(self.removed):
                return short
        text = data[len(self.head) : -len(self.tail)].replace(self.joint, self.new_tail + self.new_head)
        return self.new_head + text + self.new_tail


def learn(raw: bytes, out: bytes, key: bytes, literal: bytes) -> Template | None:
    """
    Make a template of a frame and what it turned into.

    `key` is the name of the string that varies, with its quotes and colon, and `literal` the string as it stands in
    both. None where the name occurs twice, because then it is not plain which string it is.
    """
    before, after = _around(raw, key, literal), _around(out, key, literal)
    if before is None or after is None:
        return None
    (head, tail), (new_head, new_tail) = before, after
    frame = head + tail
    return Template(
        head=head,
        tail=tail,
        joint=tail + head,
        new_head=new_head,
        new_tail=new_tail,
        small=2 * len(frame) - 1,
        marks=len(frame) - len(frame.translate(None, _MARKS)),
        unchanged=before == after,
        removed=_removed(head, new_head) if tail == new_tail else b"",
        start=len(head),
        least=len(frame),
    )


def _around(frame: bytes, key: bytes, literal: bytes) -> tuple[bytes, bytes] | None:
    if frame.count(key) != 1 or literal[:1] != b'"':
        return None
    at = frame.index(key) + len(key)
    while frame[at] in _BLANKS:
        at += 1
    if not frame.startswith(literal, at):
        return None
    return frame[: at + 1], frame[at + len(literal) - 1 :]


def _removed(head: bytes, new_head: bytes) -> bytes:
    """Return the one stretch of `head` that `new_head` lacks; empty if they differ in another way."""
    size = len(head) - len(new_head)
    if size <= 0:
        return b""
    # By halves, because this is done in many streams, and byte by byte it costs ten times as much.
    same = bisect_left(range(1, len(new_head) + 1), x=True, key=lambda end: head[:end] != new_head[:end])
    stretch = head[same : same + size]
    return stretch if head[:same] + head[same + size :] == new_head and head.count(stretch) == 1 else b""
