"""
The shape of an answer in words, for models whose upstream cannot be told it.

Z.AI takes a JSON schema with 200 and answers in a shape of its own, often fenced; it documents `json_object` alone, and
nothing of the kind in Anthropic's format. Told of the schema at the head of the conversation, the models keep to it.
`told` does that for a body that is in the upstream's format already; the translators take the words from here.
"""

from typing import Any, Final

import msgspec

from services.gateway.dialect import Dialect
from services.gateway.wire.anthropic import OutputFormat
from services.gateway.wire.formats import OPENAI, WireFormat
from services.gateway.wire.mend import BROKEN
from services.gateway.wire.openai import ResponseFormat
from services.gateway.wire.outline import Members, Outline

ONE_OBJECT: Final = "Answer with exactly one JSON object and with nothing around it: no explanation, no code fence."
_ONE_VALUE: Final = (
    "Answer with exactly one JSON value that is valid under the following JSON Schema, and with nothing around it: "
    "no explanation, no code fence.\n"
)
_SCHEMA: Final = b'"json_schema"'
_HEADS: Final = frozenset({b'"system"', b'"developer"'})

_decode_members: Final = msgspec.json.Decoder(Members).decode
_decode_list: Final = msgspec.json.Decoder(list[msgspec.Raw]).decode
_encode: Final = msgspec.json.encode


class Told(msgspec.Struct, frozen=True):
    """A body that says in words what shape is wanted, and the parameter that does so no longer."""

    outline: Outline
    dropped: str


def valid_under(schema: msgspec.Raw) -> str:
    """Return the words for an answer that has to be valid under a JSON Schema."""
    return _ONE_VALUE + bytes(schema).decode()


def told(body: bytes, outline: Outline | None, upstream: WireFormat, dialect: Dialect) -> Told | None:
    """
    Put the schema that a body asks for into words; None where it asks for none, or where it has another shape.

    `outline` is what has been read of the body already.
    """
    if dialect.json_schema:
        return None
    try:
        if outline is None:
            if _SCHEMA not in body:
                return None
            outline = Outline(body, _decode_members(body), blocks=upstream is not OPENAI)
        return _chat(outline, dialect) if upstream is OPENAI else _messages(outline)
    except BROKEN:  # the upstream says what is wrong with it
        return None


def _chat(outline: Outline, dialect: Dialect) -> Told | None:
    members = outline.members
    given = members.get("response_format")
    if given is None or _SCHEMA not in bytes(given):
        return None
    wanted = msgspec.json.decode(given, type=ResponseFormat)
    if wanted.type != "json_schema" or wanted.json_schema is None:
        return None
    if not bytes(wanted.json_schema.schema).startswith(b"{"):
        return None
    messages = _decode_list(members.get("messages", b""))
    words = valid_under(wanted.json_schema.schema)
    first = _decode_members(messages[0]) if messages else {}
    if bytes(first.get("role", b"")) in _HEADS:
        messages[0] = _raw({**first, "content": _with(first.get("content"), words)})
    else:
        messages.insert(0, _raw({"role": "system", "content": words}))
    changed = {**members, "messages": _raw(messages)}
    if not dialect.json_object:
        del changed["response_format"]
        return _told(changed, "response_format", blocks=False)
    changed["response_format"] = _raw({"type": "json_object"})
    return _told(changed, "response_format=json_object", blocks=False)


def _messages(outline: Outline) -> Told | None:
    members = outline.members
    config = members.get("output_config")
    if config is None or _SCHEMA not in bytes(config):
        return None
    settings = _decode_members(config)
    wanted = msgspec.json.decode(settings.pop("format", b""), type=OutputFormat)
    if wanted.type != "json_schema" or not bytes(wanted.schema).startswith(b"{"):
        return None
    changed = {**members, "system": _with(members.get("system"), valid_under(wanted.schema))}
    if settings:
        changed["output_config"] = _raw(settings)
    else:
        del changed["output_config"]
    return _told(changed, "output_config.format", blocks=True)


def _with(content: msgspec.Raw | None, words: str) -> msgspec.Raw:
    """Return a system prompt, text or parts, with more words at its end."""
    raw = b"null" if content is None else bytes(content)
    if raw[:1] == b"[":
        return _raw([*_decode_list(raw), {"type": "text", "text": words}])
    said = msgspec.json.decode(raw, type=str | None)
    return _raw(f"{said}\n\n{words}" if said else words)


def _told(members: Members, dropped: str, *, blocks: bool) -> Told:
    return Told(Outline(_encode(members), members, blocks=blocks), dropped)


def _raw(value: Any) -> msgspec.Raw:
    return msgspec.Raw(_encode(value))
