"""Tells from fragments whether a JSON value is complete, without parsing it again for every fragment."""

import re
from typing import Final

_MARK: Final = re.compile(r'["\\{}\[\]]')


class JsonScan:
    """Follows one value, an object in practice. `complete` is only about brackets and quotes, not about validity."""

    __slots__ = ("_depth", "_escaped", "_quoted", "complete")

    def __init__(self) -> None:
        self._depth = 0
        self._quoted = False
        self._escaped = False  # the next character follows a backslash
        self.complete = False

    def feed(self, text: str) -> None:
        """Take the next characters."""
        if not text:
            return
        start = 1 if self._escaped else 0
        for match in _MARK.finditer(text):
            at = match.start()
            if at < start:
                continue
            mark = match[0]
            if self._quoted:
                if mark == "\\":
                    start = at + 2
                elif mark == '"':
                    self._quoted = False
                    self.complete = self._depth == 0
            elif mark == '"':
                self._quoted = True
            elif mark in "{[":
                self._depth += 1
            elif mark in "}]":
                self._depth -= 1
                self.complete = self._depth == 0
        self._escaped = start > len(text)
