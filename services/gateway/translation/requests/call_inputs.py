"""
Inputs of tool calls, for an upstream in Anthropic's format that takes nothing but objects.

GLM sometimes calls a tool with an array. Z.AI's endpoint passes that on, and breaks with a 500 when it comes back in
the history, which ends the session (zai-org/zai-coding-plugins#14). As in translation, it becomes `{"value": …}`.
"""

import re
from typing import Final

import msgspec

from services.gateway.dialect import Dialect
from services.gateway.translation.requests.adapted import Adapted, adapted, decode_list, decode_members, raw
from services.gateway.wire.formats import ANTHROPIC
from services.gateway.wire.outline import Outline

_CALL: Final = msgspec.Raw(b'"tool_use"')
_OBJECT: Final = ord("{")
_OTHER: Final = re.compile(rb'"input":\s*[^{\s]')
_NONE: Final = msgspec.Raw(b"")


def with_object_inputs(outline: Outline, dialect: Dialect) -> Adapted | None:
    """Return a body whose calls have objects for input; None where all do. Raises what msgspec raises."""
    if dialect.non_object_inputs or not _has_other(outline):
        return None
    given = decode_list(outline.members["messages"])
    messages = [_mended(message) for message in given]
    return None if messages == given else adapted({**outline.members, "messages": raw(messages)}, ANTHROPIC)


def _has_other(outline: Outline) -> bool:
    """Say whether a call may have another input; what has been taken apart need not be looked through."""
    if not outline.messages:
        return _OTHER.search(bytes(outline.members.get("messages", _NONE))) is not None
    for message in outline.messages:
        content = message.get("content")
        if isinstance(content, list):
            for block in content:  # most have no input; every block of every request comes by here
                given = block.get("input") if isinstance(block, dict) else None
                if given is not None and memoryview(given)[0] != _OBJECT and block.get("type") == _CALL:
                    return True
    return False


def _mended(message: msgspec.Raw) -> msgspec.Raw:
    members = decode_members(message)
    content = members.get("content", _NONE)
    if bytes(content)[:1] != b"[":
        return message
    blocks = decode_list(content)
    mended = [_mended_block(block) for block in blocks]
    return message if mended == blocks else raw({**members, "content": mended})


def _mended_block(block: msgspec.Raw) -> msgspec.Raw:
    members = decode_members(block)
    given = members.get("input")
    if given is None or memoryview(given)[0] == _OBJECT or members.get("type") != _CALL:
        return block
    return raw({**members, "input": {"value": given}})
