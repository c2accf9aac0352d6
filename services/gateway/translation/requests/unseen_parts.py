"""
Parts of messages that an upstream of OpenAI's format refuses, in a body that is in its format already.

Z.AI's chat endpoint takes no picture for most models (1210, farion1231/cc-switch#7142), and no empty text (1214,
gptme/gptme#1444). An agent sends all that was said again with every turn, so that one screenshot, or one tool that had
nothing to say, ends a session for good. A picture becomes a sentence that tells the model of it; an empty text goes.
"""

from typing import Final

import msgspec

from services.gateway.dialect import Dialect
from services.gateway.translation.requests.adapted import Adapted, adapted, decode_list, decode_members, raw
from services.gateway.translation.requests.marks import UNSEEN_IMAGE
from services.gateway.wire.formats import OPENAI
from services.gateway.wire.outline import Outline

_EMPTY: Final = b'""'
_IMAGE: Final = b'"image_url"'
_LIST: Final = ord("[")
_NONE: Final = msgspec.Raw(b"")
_NO_TEXT: Final = msgspec.Raw(_EMPTY)
_IS_IMAGE: Final = msgspec.Raw(_IMAGE)
_IS_TEXT: Final = msgspec.Raw(b'"text"')
_UNSEEN: Final = raw({"type": "text", "text": UNSEEN_IMAGE})


def chat_legible(outline: Outline, dialect: Dialect) -> Adapted | None:
    """Return a body of parts that the upstream takes; None where it is that already. Raises what msgspec raises."""
    reading = _Reading(dialect)
    if not reading.hints or not _has_parts(outline, reading):
        return None
    messages = [reading.message(message) for message in decode_list(outline.members["messages"])]
    if not reading.changed:
        return None
    dropped = ("messages.image_url",) if reading.unseen else ()
    return adapted({**outline.members, "messages": raw(messages)}, OPENAI, *dropped)


def _has_parts(outline: Outline, reading: "_Reading") -> bool:
    """Say whether a message may have parts to change; what has been taken apart need not be looked through."""
    if outline.messages:
        return any(reading.may_differ(message.get("content", _NONE)) for message in outline.messages)
    given = bytes(outline.members.get("messages", _NONE))
    return any(hint in given for hint in reading.hints)


class _Reading:
    """Goes through messages and notes what it changed."""

    def __init__(self, dialect: Dialect) -> None:
        self.changed = False
        self.unseen = False
        self._in_words = dialect.images_in_words and not dialect.images
        self._empty_texts = dialect.empty_texts
        wanted = ((_IMAGE, self._in_words), (_EMPTY, not self._empty_texts))
        self.hints = [hint for hint, is_wanted in wanted if is_wanted]

    def may_differ(self, content: msgspec.Raw) -> bool:
        """Say whether a content may hold what the upstream does not take."""
        if not content or memoryview(content)[0] != _LIST:
            return False
        given = bytes(content)
        return any(hint in given for hint in self.hints)

    def message(self, message: msgspec.Raw) -> msgspec.Raw:
        """Return a message as the upstream takes it; with the bytes it came in, if it does."""
        members = decode_members(message)
        content = members.get("content", _NONE)
        if not self.may_differ(content):
            return message
        given = decode_list(content)
        parts = [said for part in given if (said := self._part(part)) is not None]
        if parts == given:
            return message
        self.changed = True
        return raw({**members, "content": parts or _NO_TEXT})

    def _part(self, part: msgspec.Raw) -> msgspec.Raw | None:
        """Return a part, or what is said in its place; None where nothing is."""
        members = decode_members(part)
        kind = members.get("type")
        if kind == _IS_IMAGE and self._in_words:
            self.unseen = True
            return _UNSEEN
        is_empty = kind == _IS_TEXT and members.get("text") == _NO_TEXT
        return None if is_empty and not self._empty_texts else part
