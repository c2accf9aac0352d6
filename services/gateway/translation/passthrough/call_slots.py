"""
Which tool call a fragment of an OpenAI stream that is passed on belongs to; a slot is the index that the client reads.

As where the stream is translated (`streams.call_index`): `index` decides where there is one, without it the id, and
without either the place in the array, or the last call if the fragment stands alone. A fragment that names another call
under a number in use is a new one: some servers number every call 0. Arguments are not gathered here, so that a call of
the same function is told by what they begin with.
"""

from typing import Final

import msgspec

_EMPTY: Final = msgspec.Raw()
SAID_NOTHING: Final = frozenset({b"", b"null", b'""'})
_BEGINNING: Final = (b'"{', b'"[')  # of arguments


class Function(msgspec.Struct, gc=False):
    """What a fragment says of the function, as JSON."""

    name: msgspec.Raw = _EMPTY
    arguments: msgspec.Raw = _EMPTY


class Fragment(msgspec.Struct, gc=False):
    """A part of a tool call as it stands in a delta."""

    index: int | None = None
    id: msgspec.Raw = _EMPTY
    function: Function | None = None

    def ident(self) -> bytes:
        """Return the id as a JSON string, empty where it says none; some servers count calls with numbers."""
        given = bytes(self.id)
        if given in SAID_NOTHING:
            return b""
        return b'"%b"' % given if given.isdigit() else given

    def name(self) -> bytes:
        """Return the function's name as JSON, empty where it says none."""
        given = b"" if self.function is None else bytes(self.function.name)
        return b"" if given in SAID_NOTHING else given


class Slot(msgspec.Struct):
    """What is known of a call. `made`: its id is ours, so that the upstream's may still come."""

    id: bytes = b""
    made: bool = False
    name: bytes = b""


class CallSlots:
    """The calls of one choice so far."""

    __slots__ = ("_by_index", "known")

    def __init__(self) -> None:
        self.known: list[Slot] = []
        self._by_index: dict[int, int] = {}  # upstream's -> slot

    def slot(self, fragment: Fragment, position: int, *, alone: bool) -> int:
        """Return the slot of a fragment, a new one for a new call. `alone`: it is the only one of its delta."""
        slot = self._find(fragment, position, alone=alone)
        if slot is None or _is_another(self.known[slot], fragment):
            slot = len(self.known)
            self.known.append(Slot())
        if fragment.index is not None:
            self._by_index[fragment.index] = slot
        return slot

    def _find(self, fragment: Fragment, position: int, *, alone: bool) -> int | None:
        if fragment.index is not None:
            return self._by_index.get(fragment.index)
        last = len(self.known) - 1
        ident = fragment.ident()
        if ident:
            found = next((slot for slot, call in enumerate(self.known) if call.id == ident), None)
            late = found is None and last >= 0 and self.known[last].made and not fragment.name()
            return last if late else found
        place = last if alone else position
        return place if 0 <= place <= last else None


def _is_another(call: Slot, fragment: Fragment) -> bool:
    """Whether a fragment begins a call although its place is taken."""
    name, ident = fragment.name(), fragment.ident()
    if not name or not call.name:
        return False
    if ident:
        return ident != call.id and (name != call.name or (_begins(fragment) and not call.made))
    return fragment.index is None and _begins(fragment)


def _begins(fragment: Fragment) -> bool:
    return fragment.function is not None and bytes(fragment.function.arguments).startswith(_BEGINNING)
