"""
The shape of an answer in words, for models whose upstream cannot be told it.

Z.AI takes a JSON schema with 200 and answers in a shape of its own, often fenced; it documents `json_object` alone, and
nothing of the kind in Anthropic's format. Told of the schema in the system prompt, the models keep to it. `…_in_words`
do that for a body that is in the upstream's format already; the translators take the words from here.
"""

from typing import Final

import msgspec

from services.gateway.dialect import Dialect
from services.gateway.translation.requests.adapted import Adapted, adapted, decode_members, raw, with_words
from services.gateway.wire.anthropic import OutputFormat
from services.gateway.wire.formats import ANTHROPIC, OPENAI
from services.gateway.wire.openai import ResponseFormat
from services.gateway.wire.outline import Members, Outline

ONE_OBJECT: Final = "Answer with exactly one JSON object and with nothing around it: no explanation, no code fence."
_ONE_VALUE: Final = (
    "Answer with exactly one JSON value that is valid under the following JSON Schema, and with nothing around it: "
    "no explanation, no code fence.\n"
)
_KIND: Final = "json_schema"
_MENTION: Final = b'"json_schema"'
_OLDER: Final = "output_format"  # what Anthropic's format called it in its beta, and older SDKs still do

_read_format: Final = msgspec.json.Decoder(OutputFormat | None).decode


def valid_under(schema: msgspec.Raw) -> str:
    """Return the words for an answer that has to be valid under a JSON Schema."""
    return _ONE_VALUE + bytes(schema).decode()


def chat_in_words(outline: Outline, dialect: Dialect) -> Adapted | None:
    """Put the schema that OpenAI's format asks for into words; None where none is. Raises what msgspec raises."""
    given = outline.members.get("response_format")
    if given is None or dialect.json_schema or _MENTION not in bytes(given):
        return None
    wanted = msgspec.json.decode(given, type=ResponseFormat)
    if wanted.type != _KIND or wanted.json_schema is None or not _is_object(wanted.json_schema.schema):
        return None
    changed = with_words(outline.members, OPENAI, valid_under(wanted.json_schema.schema))
    if not dialect.json_object:
        del changed["response_format"]
        return adapted(changed, OPENAI, "response_format")
    changed["response_format"] = raw({"type": "json_object"})
    return adapted(changed, OPENAI, "response_format=json_object")


def messages_in_words(outline: Outline, dialect: Dialect) -> Adapted | None:
    """Put the schema that Anthropic's format asks for into words; None where none is. Raises what msgspec raises."""
    members = outline.members
    if dialect.json_schema or not (_mentions(members.get("output_config")) or _mentions(members.get(_OLDER))):
        return None
    config = _config(members)
    given = config.pop("format", None)
    lost = "output_config.format" if given is not None else _OLDER
    wanted = _read_format(members.get(_OLDER, b"null") if given is None else given)
    if wanted is None or wanted.type != _KIND or not _is_object(wanted.schema):
        return None
    changed = with_words(members, ANTHROPIC, valid_under(wanted.schema))
    changed.pop(_OLDER, None)
    changed.pop("output_config", None)
    if config:
        changed["output_config"] = raw(config)
    return adapted(changed, ANTHROPIC, lost)


def _mentions(value: msgspec.Raw | None) -> bool:
    return value is not None and _MENTION in bytes(value)


def _config(members: Members) -> Members:
    """Return what `output_config` says, without what says nothing."""
    given = members.get("output_config")
    config = {} if given is None or bytes(given) == b"null" else decode_members(given)
    return {name: value for name, value in config.items() if name != "format" or bytes(value) != b"null"}


def _is_object(schema: msgspec.Raw) -> bool:
    return bytes(schema).startswith(b"{")
