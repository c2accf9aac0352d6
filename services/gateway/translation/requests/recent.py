"""What the last requests said, for parts that clients send again with every request, byte for byte."""

from collections.abc import Callable
from typing import Generic, TypeVar

import msgspec

T = TypeVar("T")


class _Entry(msgspec.Struct, Generic[T], frozen=True):
    given: msgspec.Raw
    scope: tuple[object, ...]
    found: T


class Recent(Generic[T]):
    """
    Remembers what was found out about some JSON, so that equal bytes need only be compared.

    Bounded in number and bytes. For pure functions: then it is seen in nothing but the time that it saves.
    """

    def __init__(self, kept: int = 16, room: int = 1024 * 1024) -> None:
        self._kept = kept
        self._room = room  # bytes, of what clients sent
        self._entries: list[_Entry[T]] = []

    def recalled(self, given: msgspec.Raw, scope: tuple[object, ...], find: Callable[[msgspec.Raw], T]) -> T:
        """
        Return what was found out about these bytes under this scope, or find it out now.

        `find` gets a copy, because `given` may be a view of a larger body, which would be kept with it.
        """
        for position, entry in enumerate(self._entries):
            if entry.given == given and entry.scope == scope:
                if position:
                    self._entries.insert(0, self._entries.pop(position))
                return entry.found
        own = given.copy()
        found = find(own)
        if len(own) <= self._room:
            self._entries.insert(0, _Entry(own, scope, found))
            while len(self._entries) > self._kept or sum(len(entry.given) for entry in self._entries) > self._room:
                self._entries.pop()
        return found
