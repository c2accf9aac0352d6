"""
The top of a request's body, read once for everything that has to look there: the members of its object, still raw.

Reading costs a pass over the bytes, so what one part has read is handed to the next. Nobody changes what is in here.
"""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from services.gateway.wire.mend import BROKEN

Members = dict[str, msgspec.Raw]
Message = dict[str, Any]

_decode: Final = msgspec.json.Decoder(Members).decode
_LARGEST: Final = 2 * 1024 * 1024  # bytes; what is nothing but little objects takes 40 times as much apart
_encode: Final = msgspec.json.encode

# A message whose content is text stays raw, one whose content is blocks is taken apart as far as what these say.
_Content = list[Members | str | int | float | bool | None] | Members | str | int | float | bool | None
_decode_texts: Final = msgspec.json.Decoder(list[Members]).decode
_decode_blocks: Final = msgspec.json.Decoder(list[dict[str, _Content]]).decode


class Outline:
    """The members of a body that is a JSON object, by name. Belongs to one request."""

    __slots__ = ("_blocks", "_messages", "body", "is_compact", "members")

    def __init__(self, body: bytes, members: Members, *, blocks: bool = False) -> None:
        self.body = body
        self.members = members
        # What they take at least: in a body of that length is room for no white space and no second value of a key.
        least = sum(map(len, members)) + sum(map(len, members.values())) + 4 * len(members) + 1
        self.is_compact = least == len(body)
        self._blocks = blocks
        self._messages: list[Message] | None = None

    @property
    def is_whole(self) -> bool:
        """
        Whether the members, written again, are the body, so that each was there once.

        That is so for most bodies, as most are spelled in one of two ways.
        """
        return self.is_compact or _encode(self.members) == self.body or _spaced(self.members) == self.body

    @property
    def messages(self) -> list[Message]:
        """
        The messages of a compact body, each by its members; none where they are something else or spelled otherwise.

        None of a very large body either: `outline_of` reads none, but what adapts a body makes an outline of its own.

        Contents that are lists of blocks are lists of their raw members, if this was made for `blocks`.
        """
        if self._messages is None:
            self._messages = self._read_messages()
        return self._messages

    def _read_messages(self) -> list[Message]:
        given = self.members.get("messages")
        if given is None or not self.is_compact or len(self.body) > _LARGEST:
            return []
        try:
            messages: list[Message] = _decode_blocks(given) if self._blocks else _decode_texts(given)
        except BROKEN:
            return []
        return messages if msgspec.Raw(_encode(messages)) == given else []


def outline_of(body: bytes, *, blocks: bool = False) -> Outline | None:
    """
    Read a body; None where it is no JSON object, or a very large one.

    `blocks`: contents of its messages are expected to be such.
    """
    if len(body) > _LARGEST:
        return None
    try:
        return Outline(body, _decode(body), blocks=blocks)
    except BROKEN:
        return None


def _spaced(members: Mapping[str, msgspec.Raw]) -> bytes:
    """Write an object with a space after colons and commas, as Python's json does."""
    return b"{%b}" % b", ".join(b'"%b": %b' % (name.encode(), bytes(value)) for name, value in members.items())
