"""
What OpenAI's API spells in a way that an upstream of its own format does not know (translation.md A15).

Clients that find Z.AI behind an address of its own take no `developer` role; behind a gateway they cannot know. It
becomes `system`, and a limit of the answer goes by the name that the upstream knows, for else it is none.
"""

from typing import Final

import msgspec

from services.gateway.dialect import Dialect
from services.gateway.translation.requests.adapted import Adapted, adapted, decode_list, decode_members, raw
from services.gateway.wire.formats import OPENAI
from services.gateway.wire.outline import Members, Outline

_ROLE: Final = b'"developer"'
_DEVELOPER: Final = msgspec.Raw(_ROLE)
_SYSTEM: Final = msgspec.Raw(b'"system"')
_NONE: Final = msgspec.Raw(b"")
_SHORT: Final = 4096  # bytes; a look through so many is cheaper than taking them apart
_LIMIT: Final = "max_completion_tokens"


def respelt(outline: Outline, dialect: Dialect) -> Adapted | None:
    """Return a body in the upstream's spelling; None where it is that already. Raises what msgspec raises."""
    changed = _limited(outline.members, dialect.max_tokens_field)
    if not dialect.developer_role and _has_developer(outline):
        messages = [_without_developer(message) for message in decode_list(outline.members["messages"])]
        changed = {**changed, "messages": raw(messages)}
    return None if changed is outline.members else adapted(changed, OPENAI)


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
    if _ROLE not in bytes(message):
        return message
    members = decode_members(message)
    return raw({**members, "role": _SYSTEM}) if members.get("role") == _DEVELOPER else message
