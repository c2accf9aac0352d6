"""
Finds which call a fragment of an OpenAI stream belongs to (translation.md A10, rule 7).

`index` decides where there is one. Without it the id decides, and without either the position in the array. A fragment
that names another call under an index in use (servers that number every call 0) is a new call.
"""

from services.gateway.translation.streams.tool_buffer import Call, ToolBuffer
from services.gateway.wire.openai_events import ToolCall


class CallIndex:
    """The calls of one answer by what fragments say of them."""

    __slots__ = ("_by_id", "_by_index", "_last", "_tools")

    def __init__(self, tools: ToolBuffer) -> None:
        self._tools = tools
        self._by_index: dict[int, Call] = {}
        self._by_id: dict[str, Call] = {}
        self._last: Call | None = None

    def call_of(self, fragment: ToolCall, position: int, name: str, *, alone: bool) -> Call:
        """Return the call, a new one if need be, with the fragment's id and name noted."""
        if fragment.index is not None and not fragment.id and not name:
            # Nearly every fragment: more arguments for a call that is known by its number.
            call = self._by_index.get(fragment.index)
            if call is not None:
                self._last = call
                return call
        call = self._find(fragment, position, alone=alone)
        if call is None or _is_another(call, fragment, name):
            call = self._open(fragment, name)
        elif not call.started:
            _complete_head(call, fragment, name)
        if fragment.id:
            self._by_id.setdefault(fragment.id, call)
        self._last = call
        return call

    def _find(self, fragment: ToolCall, position: int, *, alone: bool) -> Call | None:
        if fragment.index is not None:
            return self._by_index.get(fragment.index)
        if fragment.id:
            return self._by_id.get(fragment.id)
        return self._last if alone else self._by_index.get(position)

    def _open(self, fragment: ToolCall, name: str) -> Call:
        index = fragment.index
        key = max(self._by_index, default=-1) + 1 if index is None else index
        call = self._tools.open(key, fragment.id, name)
        self._by_index[key] = call
        return call


def _is_another(call: Call, fragment: ToolCall, name: str) -> bool:
    """Whether a named fragment begins a call although its place is taken."""
    if not name:
        return False
    whole = call.braces or call.complete
    if fragment.id and call.id:
        # A server that makes up an id for every fragment repeats the name; one that reuses the index does not.
        return fragment.id != call.id and (whole or name != call.name)
    return fragment.index is None and whole and bool(call.name)


def _complete_head(call: Call, fragment: ToolCall, name: str) -> None:
    if not call.id:
        call.id = fragment.id or ""
    if name and name != call.name:
        call.name += name
