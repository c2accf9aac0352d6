"""
Changes to a body that is already in the upstream's format (upstream.md section 4).

A body that needs none is returned as it came, byte for byte. Members that are not touched keep their bytes:
the top level is decoded to raw members and written back.
"""

from typing import Any, Final

import msgspec

from services.gateway.wire.formats import ANTHROPIC, OPENAI, WireFormat
from services.gateway.wire.outline import Outline

_MAX_BREAKPOINTS: Final = 4
_EPHEMERAL: Final = msgspec.Raw(b'{"type":"ephemeral"}')
_UNCACHEABLE: Final = (msgspec.Raw(b'"thinking"'), msgspec.Raw(b'"redacted_thinking"'))
_LONG_CONTEXT_SUFFIX: Final = "[1m]"

_Members = dict[str, msgspec.Raw]
_decode_members: Final = msgspec.json.Decoder(_Members).decode
_decode_list: Final = msgspec.json.Decoder(list[msgspec.Raw]).decode
_encode: Final = msgspec.json.encode


def upstream_model(model: str) -> str:
    """M5: strip the suffix by which clients ask for the long context; GLM has no such model id."""
    return model.removesuffix(_LONG_CONTEXT_SUFFIX)


class Mutation(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be changed; the defaults change nothing."""

    model: str | None = None  # M5, or the default model
    include_usage: bool = False  # M1
    cache_breakpoint: bool = False  # M2
    user_id: str | None = None  # M3
    system_blocks: tuple[str, ...] = ()  # M4


_NOTHING: Final = Mutation()


def mutate(body: bytes, upstream: WireFormat, mutation: Mutation, outline: Outline | None = None) -> bytes:
    """
    Apply the mutations; raises msgspec.DecodeError when the body is not a JSON object of the format's shape.

    `outline` is what has been read of this body already.
    """
    if mutation == _NOTHING:
        return body
    if upstream is ANTHROPIC and mutation.cache_breakpoint and not (mutation.model or mutation.system_blocks):
        taken_apart = _marked_by_parts(outline) if outline is not None else None
        if taken_apart is not None:
            if mutation.user_id is not None:
                _set_user_id(taken_apart, mutation.user_id)
            return _encode(taken_apart)
        marked = _marked_in_place(body)
        if marked is not None and mutation.user_id is not None:
            marked = _named_in_place(marked, mutation.user_id)
        if marked is not None:
            return marked
    members = _decode_members(body) if outline is None else dict(outline.members)
    changed = False
    if mutation.model is not None:
        members["model"] = msgspec.Raw(_encode(mutation.model))
        changed = True
    if upstream is OPENAI:
        changed |= mutation.include_usage and _include_usage(members)
        changed |= bool(mutation.system_blocks) and _lead_with_system_messages(members, mutation.system_blocks)
    else:
        # Nothing to count where no breakpoint is named anywhere, which spares most requests a second reading.
        changed |= mutation.cache_breakpoint and _mark_last_block(members, marked=b'"cache_control"' in body)
        changed |= mutation.user_id is not None and _set_user_id(members, mutation.user_id)
        changed |= bool(mutation.system_blocks) and _lead_with_system_blocks(members, mutation.system_blocks)
    return _encode(members) if changed else body


class _Conversation(msgspec.Struct, gc=False):
    messages: list[msgspec.Raw] = []


class _Message(msgspec.Struct, gc=False):
    role: str
    content: msgspec.Raw


class _Block(msgspec.Struct, gc=False):
    type: str
    cache_control: msgspec.Raw = msgspec.Raw(b"")


_decode_conversation: Final = msgspec.json.Decoder(_Conversation).decode
_decode_message: Final = msgspec.json.Decoder(_Message).decode
_decode_block: Final = msgspec.json.Decoder(_Block).decode


def _marked_by_parts(outline: Outline) -> _Members | None:
    """M2 for a body that can be put together again from what was read of it; None for others, and for special cases."""
    messages = outline.messages
    if not messages or messages[-1].get("role") == "system":
        return None
    content = messages[-1].get("content")
    if isinstance(content, str) and content:
        marked: list[Any] = [{"type": "text", "text": content, "cache_control": _EPHEMERAL}]
    elif isinstance(content, list) and content and isinstance(content[-1], dict):
        block = content[-1]
        if "cache_control" in block:
            return dict(outline.members)
        if block.get("type") in _UNCACHEABLE:
            return None
        marked = [*content[:-1], {**block, "cache_control": _EPHEMERAL}]
    else:
        return None
    if b'"cache_control"' in outline.body:
        return None
    written = _encode([*messages[:-1], {**messages[-1], "content": marked}])
    return {**outline.members, "messages": msgspec.Raw(written)}


def _marked_in_place(body: bytes) -> bytes | None:
    """
    M2 for the plain case, by putting the mark between the bytes as they came; None for every other case.

    Plain: no mark anywhere, the last message is no system message, and its bytes and its content's occur just once
    where they are looked for, so that there is no doubt about the place.
    """
    if body.find(b'"cache_control"') >= 0:
        return None
    try:
        messages = _decode_conversation(body).messages
        last = bytes(messages[-1])
        message = _decode_message(last)
        content = bytes(message.content)
        replacement = _marked_content(content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, IndexError):
        return None
    start = body.rfind(last)
    if replacement is None or message.role == "system" or body.find(last) != start or last.count(content) != 1:
        return None
    start += last.find(content)
    return b"".join((body[:start], replacement, body[start + len(content) :]))


def _named_in_place(body: bytes, user_id: str) -> bytes | None:
    """M3 for a body that names no metadata anywhere; None for every other. Only for what is known to be an object."""
    start = body.find(b"{") + 1
    if body.find(b'"metadata"') >= 0 or body.find(b"\\u") >= 0:
        return None
    return b'%b"metadata":{"user_id":%b},%b' % (body[:start], _encode(user_id), body[start:])


def _marked_content(content: bytes) -> bytes | None:
    """Return a message's content with the mark on its last block; raises on what is no content."""
    if not content.isascii():
        content.decode()  # raw JSON has not been looked at so closely
    if content == b'""':
        return None
    if content[:1] == b'"':
        return b'[{"type":"text","text":%b,"cache_control":{"type":"ephemeral"}}]' % content
    block = bytes(_decode_list(content)[-1])
    if _decode_block(block).type in {"thinking", "redacted_thinking"}:
        return None
    end = content.rfind(block) + len(block) - 1
    return b'%b,"cache_control":{"type":"ephemeral"}%b' % (content[:end], content[end:])


def _include_usage(members: _Members) -> bool:
    options = _object(members.get("stream_options"))
    if options.get("include_usage") == msgspec.Raw(b"true"):
        return False
    options["include_usage"] = msgspec.Raw(b"true")
    members["stream_options"] = msgspec.Raw(_encode(options))
    return True


def _set_user_id(members: _Members, user_id: str) -> bool:
    metadata = _object(members.get("metadata"))
    metadata["user_id"] = msgspec.Raw(_encode(user_id))
    members["metadata"] = msgspec.Raw(_encode(metadata))
    return True


def _lead_with_system_messages(members: _Members, blocks: tuple[str, ...]) -> bool:
    lead = [msgspec.Raw(_encode({"role": "system", "content": text})) for text in blocks]
    members["messages"] = msgspec.Raw(_encode(lead + _list(members.get("messages"))))
    return True


def _lead_with_system_blocks(members: _Members, blocks: tuple[str, ...]) -> bool:
    own = _text_blocks(members.get("system"))
    lead = [msgspec.Raw(_encode({"type": "text", "text": text})) for text in blocks]
    members["system"] = msgspec.Raw(_encode(lead + own))
    return True


def _mark_last_block(members: _Members, *, marked: bool) -> bool:
    """M2: one cache breakpoint at the end of the conversation, unless the client set one there or all four are used."""
    messages = _list(members.get("messages"))
    for position in range(len(messages) - 1, -1, -1):
        message = _object(messages[position])
        if message.get("role") != msgspec.Raw(b'"system"'):
            break
    else:
        return False
    blocks = _text_blocks(message.get("content"))
    if not blocks:
        return False
    last = _object(blocks[-1])
    # Thinking blocks do not take a breakpoint, and an existing one is the client's decision.
    if "cache_control" in last or last.get("type") in _UNCACHEABLE:
        return False
    if marked and _breakpoints(members) >= _MAX_BREAKPOINTS:
        return False
    last["cache_control"] = _EPHEMERAL
    blocks[-1] = msgspec.Raw(_encode(last))
    message["content"] = msgspec.Raw(_encode(blocks))
    messages[position] = msgspec.Raw(_encode(message))
    members["messages"] = msgspec.Raw(_encode(messages))
    return True


class _Marked(msgspec.Struct):
    """Anything that may carry a breakpoint, and the places it may hold others."""

    cache_control: msgspec.Raw = msgspec.Raw(b"")
    content: "list[_Marked] | str | msgspec.UnsetType | None" = msgspec.UNSET


class _MarkedBody(msgspec.Struct):
    system: list[_Marked] | str | None = None
    tools: list[_Marked] | None = None
    messages: list[_Marked] = []
    cache_control: msgspec.Raw = msgspec.Raw(b"")


_decode_marked: Final = msgspec.json.Decoder(_MarkedBody).decode


def _breakpoints(members: _Members) -> int:
    places = {name: members[name] for name in ("system", "tools", "messages", "cache_control") if name in members}
    body = _decode_marked(_encode(places))
    lists = [value for value in (body.system, body.tools, body.messages) if isinstance(value, list)]
    return int(_is_set(body.cache_control)) + sum(_count(items) for items in lists)


def _count(items: list[_Marked]) -> int:
    total = 0
    for item in items:
        total += _is_set(item.cache_control)
        if isinstance(item.content, list):
            total += _count(item.content)
    return total


def _is_set(value: msgspec.Raw) -> bool:
    return bytes(value) not in (b"", b"null")


def _object(raw: msgspec.Raw | None) -> _Members:
    return {} if raw is None or bytes(raw) == b"null" else _decode_members(raw)


def _list(raw: msgspec.Raw | None) -> list[msgspec.Raw]:
    return [] if raw is None or bytes(raw) == b"null" else _decode_list(raw)


def _text_blocks(raw: msgspec.Raw | None) -> list[msgspec.Raw]:
    """Read `system` or `content`: a string becomes one text block, an empty string none."""
    if raw is None or bytes(raw) == b"null":
        return []
    if bytes(raw).lstrip().startswith(b'"'):
        text = msgspec.json.decode(raw, type=str)
        return [msgspec.Raw(_encode({"type": "text", "text": text}))] if text else []
    return _decode_list(raw)
