"""
Pass-through of an Anthropic stream to an Anthropic client. `repair` has the theory of operation; the repairs are:

- every event has its `event:` line, and it says what the data's own type says
- `message_start` has type, role, content and usage; `message_delta` has usage
- a thinking block starts with a signature, empty if the upstream gave none
- errors are in Anthropic's envelope, whatever the upstream wrote; those that we write come after the open block's end
- `message_stop` is added when the upstream ended without it after its stop_reason, and an error event otherwise
- a `[DONE]` that strayed in from the other dialect is dropped

The model is not renamed: what the upstream calls it is what the client reads.
"""

from typing import Any, Final

import msgspec

from services.gateway.translation.error_table import STATUS_TYPES
from services.gateway.translation.errors import looks_like_error, read_fault
from services.gateway.translation.fault import Fault
from services.gateway.translation.passthrough import anthropic_rewrite
from services.gateway.translation.passthrough.repair import EVENT_LIMIT, StreamRepair, plain
from services.gateway.translation.streams.faults import NO_DATA
from services.gateway.translation.streams.token_counts import read_anthropic
from services.gateway.wire.formats import WireFormat

_STOP: Final = b'event: message_stop\ndata: {"type":"message_stop"}\n\n'
_BLOCK_STOP: Final = b'event: content_block_stop\ndata: {"type":"content_block_stop","index":%d}\n\n'
_EMPTY: Final = msgspec.Raw()
_SAID_NOTHING: Final = frozenset({b"", b"null"})
_STRINGS: Final = {
    "text_delta": (b'"text":', "text"),
    "thinking_delta": (b'"thinking":', "thinking"),
    "input_json_delta": (b'"partial_json":', "partial_json"),
}
_TYPES: Final = frozenset({types.anthropic for types in STATUS_TYPES.values()} | {"api_error"})


class _Delta(msgspec.Struct, gc=False):
    type: str | None = None
    text: msgspec.Raw = _EMPTY
    thinking: msgspec.Raw = _EMPTY
    partial_json: msgspec.Raw = _EMPTY
    stop_reason: msgspec.Raw = _EMPTY


class _Event(msgspec.Struct, gc=False):
    type: str | None = None
    index: int = 0
    delta: _Delta | None = None
    message: msgspec.Raw = _EMPTY
    usage: msgspec.Raw = _EMPTY
    error: msgspec.Raw = _EMPTY


_decode: Final = msgspec.json.Decoder(_Event).decode


class AnthropicRepair(StreamRepair):
    """The machine for Anthropic's events."""

    format = WireFormat.ANTHROPIC
    ping_frame = b'event: ping\ndata: {"type": "ping"}\n\n'

    def __init__(self, request_id: str, *, limit: int = EVENT_LIMIT, now: float | None = None) -> None:
        super().__init__(request_id, limit=limit, now=now)
        self._stop_seen = False
        self._open_block: int | None = None

    def fail(self, fault: Fault) -> bytes:
        """End the stream with one error event, after the end of a block that is open."""
        error = super().fail(fault)
        return error if self._open_block is None else _BLOCK_STOP % self._open_block + error

    def _event(self, raw: bytes, name: bytes, data: bytes) -> bytes:
        data = data.strip()
        if data == b"[DONE]":
            return b""
        try:
            event = _decode(data)
        except msgspec.ValidationError:
            if not data.startswith(b"{"):
                raise
            return self._odd(raw, data)
        kind = event.type or name.decode("utf-8", "replace")
        if kind == "error" or bytes(event.error) not in _SAID_NOTHING or (not kind and looks_like_error(data)):
            return self._error(raw, name, data)
        if kind == "ping":
            return self._silent(raw)
        return self._known(raw, name, data, kind, event)

    def _odd(self, raw: bytes, data: bytes) -> bytes:
        """Pass on JSON that is no event as we know it, unless it is an error."""
        if looks_like_error(data):
            return self.fail(read_fault(200, data, now=self._now))
        return self._passed(raw)

    def _known(self, raw: bytes, name: bytes, data: bytes, kind: str, event: _Event) -> bytes:
        mended: bytes | None = None
        if kind == "message_start":
            counts = anthropic_rewrite.counts_of_start(data)
            if counts is None:
                self._count(_member(event.message, "usage"))
                mended = anthropic_rewrite.message_start(data)
            else:
                self.usage = counts.usage(self.usage)
        elif kind == "content_block_start":
            self._open_block = event.index
            mended = anthropic_rewrite.block_start(data)
        elif kind == "content_block_stop":
            self._open_block = None
        elif kind == "message_delta":
            self._stop_seen = self._stop_seen or _says_stop(event.delta)
            counts = anthropic_rewrite.counts_of_delta(data)
            if counts is None:
                self._count(event.usage)
                mended = anthropic_rewrite.message_delta(data, self.usage)
            else:
                self.usage = counts.usage(self.usage)
        elif kind == "message_stop" and not self.begun:
            return self.fail(NO_DATA)
        right = kind.encode()
        out = raw
        if mended is not None or (name != right and right):
            out = b"event: " + right + b"\n" + plain(data if mended is None else mended)
        out = self._passed(out)
        if kind == "message_stop":
            self.finished = True
        elif kind == "content_block_delta" and event.delta is not None and event.delta.type in _STRINGS:
            key, field = _STRINGS[event.delta.type]
            self._learn(raw, out, key, bytes(getattr(event.delta, field)))
        return out

    def _count(self, usage: msgspec.Raw) -> None:
        if bytes(usage) not in _SAID_NOTHING:
            self.usage = read_anthropic(msgspec.json.decode(usage), self.usage)

    def _error(self, raw: bytes, name: bytes, data: bytes) -> bytes:
        """End with an error; one that is in order goes out as the upstream wrote it."""
        event = self.fail(read_fault(200, data, now=self._now))
        return raw if self.begun and name == b"error" and _in_order(msgspec.json.decode(data)) else event

    def _may_end(self) -> bool:
        return self._stop_seen

    def _ending(self) -> bytes:
        return _STOP


def _member(members: msgspec.Raw, name: str) -> msgspec.Raw:
    raw = bytes(members)
    return msgspec.json.decode(raw, type=dict[str, msgspec.Raw]).get(name, _EMPTY) if raw[:1] == b"{" else _EMPTY


def _says_stop(delta: _Delta | None) -> bool:
    return delta is not None and bytes(delta.stop_reason) not in _SAID_NOTHING


def _in_order(event: dict[str, Any]) -> bool:
    error = event.get("error")
    return (
        event.get("type") == "error"
        and isinstance(error, dict)
        and error.get("type") in _TYPES
        and isinstance(error.get("message"), str)
    )
