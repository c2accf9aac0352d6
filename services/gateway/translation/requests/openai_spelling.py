"""
What OpenAI's API spells in a way that an upstream of its own format does not know (translation.md A15).

Clients that find Z.AI behind an address of its own take no `developer` role; behind a gateway they cannot know. It
becomes `system`, and a limit of the answer goes by the name that the upstream knows, for else it is none.
"""

from typing import Final

import msgspec

from services.gateway.dialect import Dialect
from services.gateway.wire.mend import BROKEN
from services.gateway.wire.outline import Members, Outline

_ROLE: Final = b'"developer"'
_DEVELOPER: Final = msgspec.Raw(_ROLE)
_SYSTEM: Final = msgspec.Raw(b'"system"')
_NONE: Final = msgspec.Raw(b"")
_SHORT: Final = 4096  # bytes; a look through so many is cheaper than taking them apart
_LIMIT: Final = "max_completion_tokens"

_decode_members: Final = msgspec.json.Decoder(Members).decode
_decode_list: Final = msgspec.json.Decoder(list[msgspec.Raw]).decode
_encode: Final = msgspec.json.encode


def respelt(body: bytes, outline: Outline | None, dialect: Dialect) -> Outline | None:
    """
    Return a body in the upstream's spelling; None where it is that already, or has another shape.

    `outline` is what has been read of the body already.
    """
    try:
        if outline is None:
            if _ROLE not in body and _LIMIT.encode() not in body:
                return None
            outline = Outline(body, _decode_members(body))
        changed = _limited(outline.members, dialect.max_tokens_field)
        if not dialect.developer_role and _has_developer(outline):
            messages = [_without_developer(message) for message in _decode_list(outline.members["messages"])]
            changed = {**changed, "messages": msgspec.Raw(_encode(messages))}
    except BROKEN:  # the upstream says what is wrong with it
        return None
    return None if changed is outline.members else Outline(_encode(changed), changed)


def _limited(members: Members, field: str) -> Members:
    limit = members.get(_LIMIT)
    if limit is None or field == _LIMIT or bytes(limit) == b"null":
        return members
    others = {name: value for name, value in members.items() if name not in {_LIMIT, field}}
    return {**others, field: limit}  # of two limits OpenAI's newer one counts


def _has_developer(outline: Outline) -> bool:
    """Say whether a message may be of that role; what has been taken apart need not be looked through."""
    given = outline.members.get("messages", _NONE)
    if len(given) > _SHORT and outline.messages:
        return _DEVELOPER in [message.get("role") for message in outline.messages]
    return _ROLE in bytes(given)


def _without_developer(message: msgspec.Raw) -> msgspec.Raw:
    raw = bytes(message)
    if _ROLE not in raw:
        return message
    members = _decode_members(raw)
    if members.get("role") != _DEVELOPER:
        return message
    return msgspec.Raw(_encode({**members, "role": _SYSTEM}))
