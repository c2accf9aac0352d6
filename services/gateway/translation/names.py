"""
Spelling tool names and tool call ids the way the upstream demands, deterministically and without collisions.

A name that is legal is never touched. Any other becomes its first characters (illegal ones replaced by `_`) with `_`
and eight hex digits of its SHA-256 at the end, so that the same name is the same bytes on every turn and the
upstream's prompt cache holds. Sources: translation.md A4 (ids), A5 (names), B154.
"""

import hashlib
import re
from collections.abc import Iterable, Mapping
from copy import copy
from typing import Self

_LEGAL = re.compile(r"[a-zA-Z0-9_-]+")
_ILLEGAL_CHARACTER = re.compile(r"[^a-zA-Z0-9_-]")
_DIGITS = 8


class ToolNames:
    """
    The names of one request, from the client's spelling to the upstream's.

    `declared` are the names of the request's tools: the legal ones among them are taken before anything is mapped,
    so a mapped name never equals a real one. Names that only occur in the history are mapped as they come.
    """

    def __init__(self, declared: Iterable[str] = (), limit: int = 64) -> None:
        self._limit = limit
        self._sent: dict[str, str] = {}
        self._owners: dict[str, str] = {}
        self._changed: dict[str, str] = {}
        others = []
        for name in declared:
            if self._legal(name):
                self._claim(name, name)
            else:
                others.append(name)
        for name in others:
            self.upstream(name)

    def upstream(self, name: str) -> str:
        """Return the upstream's spelling of a client's name; the same answer however often it is asked."""
        sent = self._sent.get(name)
        if sent is not None:
            return sent
        if self._legal(name) and name not in self._owners:
            return self._claim(name, name)
        return self._claim(name, _free(name, self._limit, self._owners))

    def copy(self) -> Self:
        """Return the same names, for a request to add its own to."""
        other = copy(self)
        vars(other).update(_sent=dict(self._sent), _owners=dict(self._owners), _changed=dict(self._changed))
        return other

    @property
    def changed(self) -> Mapping[str, str]:
        """Return the upstream's spelling to the client's, for the names that differ."""
        return self._changed

    def _legal(self, name: str) -> bool:
        return len(name) <= self._limit and _LEGAL.fullmatch(name) is not None

    def _claim(self, name: str, sent: str) -> str:
        self._sent[name] = sent
        self._owners[sent] = name
        if sent != name:
            self._changed[sent] = name
        return sent


class ToolIds(ToolNames):
    """The same for tool call ids, whose alphabet is limited and whose length is not. One per request or answer."""

    def __init__(self) -> None:
        super().__init__()

    def _legal(self, name: str) -> bool:
        return _LEGAL.fullmatch(name) is not None


def _free(name: str, limit: int, owners: Mapping[str, str]) -> str:
    """Return the first mapped spelling that nobody has; the first try is the one that is always taken in practice."""
    stem = _ILLEGAL_CHARACTER.sub("_", name)[: limit - _DIGITS - 1]
    salt = 0
    while True:
        text = f"{name}\0{salt}" if salt else name
        digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:_DIGITS]
        candidate = f"{stem}_{digest}"
        if candidate not in owners:
            return candidate
        salt += 1
