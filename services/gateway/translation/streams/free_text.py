"""
The input of a custom tool, read out of the arguments of the function that stands for it while they come.

The function has one parameter, so its arguments are `{"input": "…"}`. What has come of the string is text at once, but
for an escape that is not whole. Arguments of another shape are the input themselves, and known at their end only.
"""

import re
from typing import Final

import msgspec

from services.gateway.wire.mend import BROKEN, mended

_HEAD: Final = '{"input":"'
# Whole characters of a JSON string; control characters, which should be escaped there, are taken for themselves.
_WHOLE: Final = re.compile(r'(?:[^"\\]++|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*+')
_HALF: Final = re.compile(r"\\u[dD][89abAB][0-9a-fA-F]{2}\Z")  # the second half of a pair is to come
_CONTROL: Final = re.compile(r"[\x00-\x1f]")


class FreeText:
    """Takes the fragments of one call's arguments."""

    __slots__ = ("_at", "_closed", "_rest", "shaped")

    def __init__(self) -> None:
        self._at = 0  # how much of the head has come
        self._closed = False
        self._rest = ""  # of the string, not yet given back
        self.shaped = True  # the arguments begin as they should

    def feed(self, fragment: str) -> str:
        """Return the text that these characters complete."""
        if self._at < len(_HEAD):
            fragment = self._after_head(fragment)
        if not self.shaped or self._closed or self._at < len(_HEAD):
            return ""
        rest = self._rest + fragment
        end = _WHOLE.match(rest).end()  # type: ignore[union-attr]  # it matches the empty text
        self._closed = rest[end : end + 1] == '"'
        if not self._closed and (half := _HALF.search(rest, 0, end)):
            end = half.start()
        self._rest = rest[end:]
        return _decoded(rest[:end])

    @property
    def begun(self) -> bool:
        """Whether the string has begun."""
        return self._at == len(_HEAD)

    def _after_head(self, fragment: str) -> str:
        for position, letter in enumerate(fragment):
            if self.begun:
                return fragment[position:]
            if letter == _HEAD[self._at]:
                self._at += 1
            elif not letter.isspace():
                self.shaped = False
                return ""
        return ""


def free_text(arguments: str) -> str:
    """Return the input that all of the arguments come to."""
    text = FreeText()
    said = text.feed(arguments)
    return said if text.shaped and text.begun else arguments


def _decoded(literal: str) -> str:
    """Return the text of a JSON string without its quotes; half a surrogate pair is U+FFFD, as elsewhere."""
    if _CONTROL.search(literal):
        literal = _CONTROL.sub(lambda found: f"\\u{ord(found[0]):04x}", literal)
    quoted = f'"{literal}"'.encode()
    try:
        return msgspec.json.decode(quoted, type=str)
    except BROKEN:
        return msgspec.json.decode(mended(quoted), type=str)
