"""
The top of a request's body, read once for everything that has to look there: the members of its object, still raw.

Reading costs a pass over the bytes, so what one part has read is handed to the next.
"""

from collections.abc import Mapping
from typing import Final

import msgspec

from services.gateway.wire.mend import BROKEN

Members = dict[str, msgspec.Raw]

_decode: Final = msgspec.json.Decoder(Members).decode


class Outline(msgspec.Struct, frozen=True, gc=False):
    """The members of a body that is a JSON object, by name; nobody changes them. Belongs to one request."""

    body: bytes
    members: Members

    @property
    def is_whole(self) -> bool:
        """
        Whether the members, written again, are the body, so that each was there once.

        That is so for most bodies, as most are spelled in one of two ways.
        """
        members, body = self.members, self.body
        # What they take at least, as most programs write them: nothing else finds room in a body of that length.
        if sum(map(len, members)) + sum(map(len, members.values())) + 4 * len(members) + 1 == len(body):
            return True
        return msgspec.json.encode(members) == body or _spaced(members) == body


def outline_of(body: bytes) -> Outline | None:
    """Read a body; None where it is no JSON object."""
    try:
        return Outline(body, _decode(body))
    except BROKEN:
        return None


def _spaced(members: Mapping[str, msgspec.Raw]) -> bytes:
    """Write an object with a space after colons and commas, as Python's json does."""
    return b"{%b}" % b", ".join(b'"%b": %b' % (name.encode(), bytes(value)) for name, value in members.items())
