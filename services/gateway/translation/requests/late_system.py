"""
System messages inside the conversation, for an upstream in Anthropic's format that knows `user` and `assistant` only.

Claude Code puts one behind the user's first message. Z.AI's endpoint answered 422 to it (zai-org/GLM-5#74,
diegosouzapw/OmniRoute#1447), which ends every session. As in translation: those at the head join the system prompt, a
later one stays where it is and becomes a reminder by the user, so that the prompt's prefix is the same on every turn.
"""

from typing import Final

import msgspec

from services.gateway.dialect import Dialect, MidSystem
from services.gateway.translation.requests.adapted import Adapted, adapted, decode_list, decode_members, raw
from services.gateway.translation.requests.marks import system_reminder
from services.gateway.wire.formats import ANTHROPIC
from services.gateway.wire.outline import Outline

_ROLE: Final = b'"system"'
_SYSTEM: Final = msgspec.Raw(_ROLE)
_USER: Final = msgspec.Raw(b'"user"')
_TEXT: Final = msgspec.Raw(b'"text"')
_RESULT: Final = msgspec.Raw(b'"tool_result"')
_NONE: Final = msgspec.Raw(b"")

_decode_text: Final = msgspec.json.Decoder(str | None).decode


def without_late_system(outline: Outline, dialect: Dialect) -> Adapted | None:
    """Return a body without system messages; None where there is none. Raises what msgspec raises."""
    members = outline.members
    if dialect.mid_system is MidSystem.NATIVE or not _has_system(outline):
        return None
    found = _Conversation(hoist=dialect.mid_system is MidSystem.HOIST)
    messages = decode_list(members["messages"])
    known = [message.get("role") == "system" for message in outline.messages] or map(_is_system, messages)
    for message, is_system in zip(messages, known, strict=True):
        found.take(message, is_system=is_system)
    changed = {**members, "messages": raw(found.end())}
    if found.system:
        changed["system"] = raw([*_blocks(members.get("system")), *found.system])
    return adapted(changed, ANTHROPIC)


def _is_system(message: msgspec.Raw) -> bool:
    return _ROLE in bytes(message) and decode_members(message).get("role") == _SYSTEM


def _has_system(outline: Outline) -> bool:
    """Say whether a message may be of that role; what has been taken apart need not be looked through."""
    if outline.messages:
        return "system" in [message.get("role") for message in outline.messages]
    return _ROLE in bytes(outline.members.get("messages", _NONE))


class _Conversation:
    """The messages of others, with what system messages said among them. What is not touched is not read."""

    def __init__(self, *, hoist: bool) -> None:
        self.system: list[msgspec.Raw] = []
        self._hoist = hoist
        self._messages: list[msgspec.Raw] = []
        self._reminders: list[msgspec.Raw] = []  # behind the last message; of many at once, so as not to cost a square

    def take(self, message: msgspec.Raw, *, is_system: bool) -> None:
        """Take the next message."""
        if not is_system:
            self._messages.append(self._reminded(message) if self._reminders else message)
            return
        blocks = _blocks(decode_members(message).get("content"))
        if self._hoist or not self._messages:
            self.system += blocks
        else:
            self._reminders += [said for block in blocks if (said := _reminder(block)) is not None]

    def end(self) -> list[msgspec.Raw]:
        """Return the messages."""
        if self._reminders:
            self._remind()
        return self._messages

    def _reminded(self, message: msgspec.Raw) -> msgspec.Raw:
        """Put the reminders between the last message and the next, which is returned as it is to be sent."""
        members = decode_members(message)
        if decode_members(self._messages[-1]).get("role") != _USER and members.get("role") == _USER:
            blocks = _behind_results(_blocks(members.get("content")), self._reminders)
            message = raw({**members, "content": blocks})
        else:
            self._remind()
        self._reminders = []
        return message

    def _remind(self) -> None:
        last = decode_members(self._messages[-1])
        if last.get("role") == _USER:
            blocks = [*_blocks(last.get("content")), *self._reminders]
            self._messages[-1] = raw({**last, "content": blocks})
        else:
            self._messages.append(raw({"role": _USER, "content": self._reminders}))


def _behind_results(blocks: list[msgspec.Raw], reminders: list[msgspec.Raw]) -> list[msgspec.Raw]:
    """Put reminders behind the tool results, which have to come first."""
    kinds = [decode_members(block).get("type") for block in blocks]
    start = next((position for position, kind in enumerate(kinds) if kind != _RESULT), len(kinds))
    return [*blocks[:start], *reminders, *blocks[start:]]


def _reminder(block: msgspec.Raw) -> msgspec.Raw | None:
    """Return a block as a reminder; None for a text that says nothing, which is refused as well."""
    members = decode_members(block)
    if members.get("type") != _TEXT:
        return block
    text = _decode_text(members.get("text", b"null"))
    return raw({**members, "text": system_reminder(text)}) if text else None


def _blocks(content: msgspec.Raw | None) -> list[msgspec.Raw]:
    """Return a content's blocks; a text is one, and no text is none."""
    given = b"null" if content is None else bytes(content)
    if given[:1] == b"[":
        return decode_list(given)
    text = _decode_text(given)
    return [raw({"type": "text", "text": text})] if text else []
