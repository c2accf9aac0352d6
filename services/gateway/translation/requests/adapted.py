"""
What the adaptations of a body share that is in the upstream's format already: its members, changed, and words for the
model at the end of the system prompt, where a client's own come first.
"""

from typing import Any, Final

import msgspec

from services.gateway.wire.formats import OPENAI, WireFormat
from services.gateway.wire.outline import Members, Outline

_HEADS: Final = frozenset({b'"system"', b'"developer"'})

_encode: Final = msgspec.json.encode
decode_members: Final = msgspec.json.Decoder(Members).decode
decode_list: Final = msgspec.json.Decoder(list[msgspec.Raw]).decode


class Adapted(msgspec.Struct, frozen=True):
    """A body that says something in the upstream's way, and the parameters that no longer say it."""

    outline: Outline
    dropped: tuple[str, ...] = ()


def adapted(members: Members, upstream: WireFormat, *dropped: str) -> Adapted:
    """Return a body of these members."""
    return Adapted(Outline(_encode(members), members, blocks=upstream is not OPENAI), dropped)


def raw(value: Any) -> msgspec.Raw:
    """Return a value as JSON."""
    return msgspec.Raw(_encode(value))


def with_words(members: Members, upstream: WireFormat, words: str) -> Members:
    """Return the members with more words at the end of the system prompt. Raises what msgspec raises."""
    if upstream is not OPENAI:
        return {**members, "system": _joined(members.get("system"), words)}
    messages = decode_list(members.get("messages", b""))
    first = decode_members(messages[0]) if messages else {}
    if bytes(first.get("role", b"")) in _HEADS:
        messages[0] = raw({**first, "content": _joined(first.get("content"), words)})
    else:
        messages.insert(0, raw({"role": "system", "content": words}))
    return {**members, "messages": raw(messages)}


def _joined(content: msgspec.Raw | None, words: str) -> msgspec.Raw:
    given = b"null" if content is None else bytes(content)
    if given[:1] == b"[":
        return raw([*decode_list(given), {"type": "text", "text": words}])
    said = msgspec.json.decode(given, type=str | None)
    return raw(f"{said}\n\n{words}" if said else words)
