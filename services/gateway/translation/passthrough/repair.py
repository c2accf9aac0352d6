"""
What the two repairing machines of pass-through share.

Theory of operation: whole frames go in and out, so the client never sees half an event of ours. A read of nothing but
frames like the last one goes through `template` as it is; any other read is cut into frames, and each is either like
the template, or without data (a comment), or an event that the dialect's machine reads, repairs if it must, and passes
on. Where nothing needs repair the bytes that come out are the bytes that went in.

    state      input                          output                            next
    WAITING    comment, ping                  nothing, it is kept               WAITING
    WAITING    an event                       what was kept, then the event     BEGUN
    BEGUN      comment, ping, event           as it is, or repaired             BEGUN
    BEGUN      the dialect's last event       it, and what must come before     OVER
    BEGUN      end, the reason to stop known  the last event that is missing    OVER
    any        end otherwise, error, bad JSON an error event, `fault` is set    OVER, nothing follows
    OVER       anything                       nothing                           OVER

While no event has been passed on, the caller may make an HTTP status of `fault` and ignore the error event.
"""

import re
from abc import ABC, abstractmethod
from typing import Final

import msgspec

from services.gateway.translation.errors import error_event
from services.gateway.translation.fault import Fault
from services.gateway.translation.passthrough.frames import Framer, read_frame
from services.gateway.translation.passthrough.template import Template, learn
from services.gateway.translation.streams.events import Usage
from services.gateway.translation.streams.faults import NO_DATA, NOT_JSON, TOO_LARGE, TRUNCATED
from services.gateway.wire.formats import WireFormat
from services.gateway.wire.mend import BROKEN, mended

_WORTH_A_RUN: Final = 8  # frames; fewer are looked at one by one
_FIRST: Final = 6  # frames of a stream that are looked at before its first run
_LARGE: Final = 2048  # bytes of a read that may hold enough of them
EVENT_LIMIT: Final = 1024 * 1024
_NAMED: Final = re.compile(rb"(?:^|[\r\n])event[:\r\n]")
_PATIENCE: Final = 16  # templates that nothing was like; from then on few are made, because no two frames are alike


def plain(data: bytes) -> bytes:
    """Return JSON as a data line and a blank line; it may have come on several lines."""
    return b"data: " + (msgspec.json.format(data, indent=-1) if b"\n" in data else data) + b"\n\n"


class StreamRepair(ABC):
    """
    One per answer; pure. `feed` takes what one read brought and returns what the client gets for it.

    `begun`     an event has come that is no error, so that a status can be sent
    `finished`  the client's stream is complete, well or not; nothing is written after
    `fault`     what broke the stream
    `settled`   only the dialect's last event is missing
    `usage`     the tokens, as last heard
    """

    format: WireFormat
    ping_frame: bytes
    turn: int = 64 * 1024  # most of a large read is not even taken apart

    def __init__(self, request_id: str, *, limit: int = EVENT_LIMIT, now: float | None = None) -> None:
        """`limit` bounds one event, in bytes; `now`, in seconds since the epoch, makes reset times readable."""
        self.begun = False
        self.finished = False
        self.settled = False  # reason and usage are known: `eof` would complete it now (translation.md A10.11)
        self.fault: Fault | None = None
        self.usage: Usage | None = None
        self._request_id = request_id
        self._now = now
        self._limit = limit
        self._framer = Framer(limit)
        self._template: Template | None = None
        self._misses = 0  # frames that might have been like the template, since one last was
        self._at_end = False
        self._kept: list[bytes] = []
        self._kept_size = 0

    def feed(self, data: bytes) -> bytes:
        """Take what one read brought, return what the client gets for it."""
        if self.finished:
            return b""
        framer, template, out = self._framer, self._template, b""
        if template is not None and len(data) <= template.small and not framer.held:  # paced streams: an event a read
            passed = template.one(data)
            if passed is not None:
                self._misses = 0
                return passed
        if framer.waiting:
            data = framer.join(data)
        if data and self._template is None and len(data) > _LARGE:
            # Short answers come in one or two reads; most of such a read is more of what its first frames teach.
            out, data = self._first(data)
        if data:
            out = self._more(data, out)
        if framer.too_large and not self.finished:
            out += self.fail(TOO_LARGE)
        self._settle()
        return out

    def _settle(self) -> None:
        self.settled = self.begun and not self.finished and self.usage is not None and self._may_end()

    def _first(self, data: bytes) -> tuple[bytes, bytes]:
        """Take frames from the head of a read until one of them is a template; return also what follows them."""
        out, taken = b"", 0
        for frame in self._framer.first(data, _FIRST):
            out += self._frames([frame])
            taken += len(frame)
            if self._template is not None:
                break
        return out, data[taken:]

    def _more(self, data: bytes, before: bytes) -> bytes:
        """Take frames that may be like the template, and whatever follows those; returns them behind `before`."""
        template, run = self._template, b""
        if template is not None and len(data) <= self._limit:
            reach = template.reach(data)
            passed = template.run(data[:reach]) if reach else None
            if passed is not None:
                self._misses = 0
                run, data = passed, data[reach:]
        after = self._frames(self._framer.cut(data)) if data else b""
        return b"".join((before, run, after)) if before or after else run

    def eof(self) -> bytes:
        """Take note that the upstream ended; return what completes the stream, or an error event if it is not whole."""
        if self.finished:
            return b""
        self.settled = False
        rest = self._framer.rest()
        out = b""
        if rest.strip():
            # A last event without its blank line counts (A12); with it, clients see it too.
            self._at_end = True
            ended = rest.endswith((b"\r\r", b"\n\r"))
            last = rest if ended else rest.rstrip(b"\r\n") + b"\n\n"
            if ended or read_frame(last) is not None:  # else it was cut off before its data, and SDKs trip over that
                out = self._frames([last])
            if self.finished:
                return out
        if not self.begun:
            return out + self.fail(NO_DATA)
        if not self._may_end():
            return out + self.fail(TRUNCATED)
        self.finished = True
        return out + self._ending()

    def fail(self, fault: Fault) -> bytes:
        """End the stream with one error event."""
        self.finished = True
        self.settled = False
        self.fault = fault
        return error_event(self.format, fault, self._request_id)

    def ping(self) -> bytes:
        """Return a keep-alive; only whole events were written before, so it is legal at any moment."""
        return self.ping_frame

    def _frames(self, raws: list[bytes]) -> bytes:
        out: list[bytes] = []
        at, tried = 0, self._template  # the template that `feed` has tried on the whole read
        while at < len(raws) and not self.finished:
            template = self._template
            if template is not tried and template is not None and len(raws) - at >= _WORTH_A_RUN:
                # Learned within this very read: short answers come in one or two, and most of them is more of the same.
                tried = template
                passed, count = _run(template, b"".join(raws[at:]))
                if passed is not None:
                    out.append(passed)
                    at += count
                    continue
            raw = raws[at]
            at += 1
            passed = template.one(raw) if template is not None else None
            if passed is None:
                passed = self._frame(raw)
            else:
                self._misses = 0
            out.append(passed)
        return b"".join(out)

    def _frame(self, raw: bytes) -> bytes:
        frame = read_frame(raw)
        if frame is None:  # a comment, or a name without data, which SDKs fail on
            return b"" if _NAMED.search(raw) is not None else self._silent(raw)
        name, data = frame
        try:
            return self._event(raw, name, data)
        except BROKEN:
            data = mended(data)
        try:
            return self._event(raw, name, data)
        except BROKEN:
            if self._at_end and self._may_end():  # a `[DONE]` that was cut off
                return b""
            return self.fail(TRUNCATED if self._at_end else NOT_JSON)

    def _silent(self, raw: bytes) -> bytes:
        """Pass on what is no event, but nothing before the first event."""
        if self.begun:
            return raw
        self._kept_size += len(raw)
        if self._kept_size <= self._limit:
            self._kept.append(raw)
        return b""

    def _passed(self, out: bytes) -> bytes:
        """Pass an event on, with what was kept before it if it is the first."""
        if self.begun:
            return out
        self.begun = True
        out = b"".join(self._kept) + out
        self._kept.clear()
        return out

    def _learn(self, raw: bytes, out: bytes, key: bytes, literal: bytes) -> None:
        """Take this frame for a template; only for one that changed nothing in this machine."""
        self._misses += 1
        if self._misses <= _PATIENCE or self._misses % _PATIENCE == 0:
            self._template = learn(raw, out, key, literal) or self._template

    @abstractmethod
    def _event(self, raw: bytes, name: bytes, data: bytes) -> bytes:
        """Read one event; return its raw frame as it came, or repaired, or nothing. Raises one of `BROKEN`."""

    @abstractmethod
    def _may_end(self) -> bool:
        """Whether the stream is whole but for its last event."""

    @abstractmethod
    def _ending(self) -> bytes:
        """Return the last event."""


def _run(template: Template, data: bytes) -> tuple[bytes | None, int]:
    """Return what becomes of the frames at the head of the data that are like the template, and how many they are."""
    reach = template.reach(data)
    passed = template.run(data[:reach]) if reach else None
    return passed, data.count(template.joint, 0, reach) + 1
