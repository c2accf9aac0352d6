"""
Repairs one Anthropic event: `message_start`, `block_start` and `message_delta` return the event's JSON with what was
missing, or None if nothing was. `counts_of_…` read those that lack nothing, which is nearly all, in one go.

Values that are not changed keep their bytes; only the objects around them are written anew.
"""

from typing import Final

import msgspec

from services.gateway.translation.streams.events import Usage
from services.gateway.translation.streams.token_counts import AnthropicCounts, TokenCount

_Members = dict[str, msgspec.Raw]
_members: Final = msgspec.json.Decoder(_Members)
_encode: Final = msgspec.json.encode


class _Counts(AnthropicCounts, gc=False, kw_only=True):
    input_tokens: TokenCount
    output_tokens: TokenCount


class _Message(msgspec.Struct, gc=False):
    type: str
    role: str
    content: list[msgspec.Raw]
    usage: _Counts


class _Start(msgspec.Struct, gc=False):
    """A message_start that lacks nothing."""

    message: _Message


class _Output(AnthropicCounts, gc=False, kw_only=True):
    output_tokens: TokenCount


class _Delta(msgspec.Struct, gc=False):
    """A message_delta that lacks nothing."""

    usage: _Output


_decode_start: Final = msgspec.json.Decoder(_Start).decode
_decode_delta: Final = msgspec.json.Decoder(_Delta).decode

_MESSAGE: Final = {
    "type": msgspec.Raw(b'"message"'),
    "role": msgspec.Raw(b'"assistant"'),
    "content": msgspec.Raw(b"[]"),
    "usage": msgspec.Raw(b'{"input_tokens":0,"output_tokens":0}'),
}
_ZERO: Final = msgspec.Raw(b"0")


def counts_of_start(data: bytes) -> AnthropicCounts | None:
    """Return the counts of a message_start that lacks nothing; None of one that may lack something."""
    try:
        return _decode_start(data).message.usage
    except msgspec.ValidationError:
        return None


def counts_of_delta(data: bytes) -> AnthropicCounts | None:
    """Return the counts of a message_delta that lacks nothing; None of one that may lack something."""
    try:
        return _decode_delta(data).usage
    except msgspec.ValidationError:
        return None


def message_start(data: bytes) -> bytes | None:
    """Type, role, content and usage with both counts belong to every message_start."""
    event = _members.decode(data)
    message = _object(event, "message")
    usage = _with(_object(message, "usage"), {"input_tokens": _ZERO, "output_tokens": _ZERO})
    changed = _with(message, _MESSAGE)
    if usage is not None and changed is None:
        changed = message
    if changed is None:
        return None
    if usage is not None and _given(message, "usage"):
        changed["usage"] = _raw(usage)
    event["message"] = _raw(changed)
    return _encode(event)


def block_start(data: bytes) -> bytes | None:
    """A thinking block has a signature from the start; an empty one says that it is unsigned."""
    if data.find(b"thinking") < 0 and data.find(b"\\u") < 0:
        return None
    event = _members.decode(data)
    block = _object(event, "content_block")
    if bytes(block.get("type", _ZERO)) != b'"thinking"' or _given(block, "signature"):
        return None
    block["signature"] = msgspec.Raw(b'""')
    event["content_block"] = _raw(block)
    return _encode(event)


def message_delta(data: bytes, usage: Usage | None) -> bytes | None:
    """Usage with the output count belongs to every message_delta; `usage` is what was counted so far."""
    event = _members.decode(data)
    counted = 0 if usage is None else usage.output or 0
    changed = _with(_object(event, "usage"), {"output_tokens": _raw(counted)})
    if changed is None:
        return None
    event["usage"] = _raw(changed)
    return _encode(event)


def _with(members: _Members, wanted: _Members) -> _Members | None:
    """Return the members with those that are wanted and missing, or null; None if none is."""
    missing = {name: value for name, value in wanted.items() if not _given(members, name)}
    return members | missing if missing else None


def _given(members: _Members, name: str) -> bool:
    return bytes(members.get(name, b"null")) != b"null"


def _object(members: _Members, name: str) -> _Members:
    """Return a member that is an object; of anything else, nothing."""
    value = bytes(members.get(name, b""))
    return _members.decode(value) if value.startswith(b"{") else {}


def _raw(value: object) -> msgspec.Raw:
    return msgspec.Raw(_encode(value))
