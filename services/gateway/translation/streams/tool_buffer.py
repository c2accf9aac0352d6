"""
Puts tool calls that arrive interleaved, late or twice into one sequence of whole calls.

Theory of operation (translation.md A10, rules 7 to 10). Calls stand in a queue in the order of their arrival. The
first is live: its fragments go out as they come. Those of the others are held. Text and reasoning that arrive while a
call is live are held too. The live call ends when

    something waits behind it and its JSON is complete,
    its dialect says that it is complete (`close`), or
    the answer ends (`flush`);

then what was held goes out and the next call becomes live. A call that nothing waits for stays open.

    call      name known   arguments              what goes out
    waiting   no           any                    nothing
    waiting   yes          none, or a lone {}     nothing: either may still be a beginning
    waiting   yes          some                   ToolStart, ToolArguments; now live
    live      yes          some                   ToolArguments
    any       no           ended                  nothing, `unnamed` is counted
    any       yes          ended                  what is missing of ToolStart and ToolArguments, then ToolEnd

A lone `{}` is held because servers send it before the real arguments; a second copy of complete arguments is dropped.
"""

from collections.abc import Callable, Mapping

from services.gateway.translation.names import ToolIds
from services.gateway.translation.streams.events import Event, ToolArguments, ToolEnd, ToolStart
from services.gateway.translation.streams.json_scan import JsonScan
from services.gateway.translation.streams.tool_input import same_json


class Call:
    """One call as far as it has come. `id` and `name` may be set until it has started."""

    __slots__ = ("_parts", "_scan", "_scanned", "braces", "closed", "ended", "id", "key", "name", "sent", "started")

    def __init__(self, key: int, call_id: str, name: str) -> None:
        self.key = key
        self.id = call_id
        self.name = name
        self.braces = False  # a lone {} is held
        self.closed = False  # the dialect says that nothing more comes
        self.started = False
        self.ended = False
        self.sent = 0  # fragments that went out
        self._parts: list[str] = []
        self._scan = JsonScan()
        self._scanned = 0

    @property
    def complete(self) -> bool:
        """Whether the arguments are a whole JSON value, as far as brackets tell. Reads each fragment once."""
        for part in self._parts[self._scanned :]:
            self._scan.feed(part)
        self._scanned = len(self._parts)
        return self._scan.complete

    @property
    def empty(self) -> bool:
        """Whether no arguments have come."""
        return not self._parts and not self.braces

    def add(self, text: str) -> None:
        """Take a fragment of the arguments that is not empty."""
        if not self._parts:
            if text.strip() == "{}":
                self.braces = True
                return
            if self.braces and not text.lstrip().startswith("{"):
                self._parts.append("{}")
            self.braces = False
        elif text[0] == "{" and self.complete and same_json("".join(self._parts), text):
            return
        self._parts.append(text)

    def pass_on(self, text: str) -> None:
        """Take a fragment that goes out at once."""
        self._parts.append(text)
        self.sent += 1

    def settle(self) -> None:
        """Take a held `{}` for the arguments: nothing more comes."""
        if self.braces:
            self.braces = False
            self._parts.append("{}")

    def unsent(self) -> str:
        """Return the arguments that have not gone out and count them as gone."""
        parts = self._parts[self.sent :]
        self.sent = len(self._parts)
        return parts[0] if len(parts) == 1 else "".join(parts)


class ToolBuffer:
    """The calls of one answer. `idle` says that none is open, so that other content may go out."""

    __slots__ = ("_held", "_ids", "_names", "_new_id", "_queue", "_used", "emitted", "unnamed")

    def __init__(self, new_id: Callable[[], str], names: Mapping[str, str]) -> None:
        self._new_id = new_id
        self._names = names
        self._ids: ToolIds | None = None  # most answers call no tool
        self._used: set[str] = set()
        self._queue: list[Call] = []
        self._held: list[Event] = []
        self.emitted = 0
        self.unnamed = 0

    @property
    def idle(self) -> bool:
        """Whether no call is open."""
        return not self._queue

    def open(self, key: int, call_id: str | None, name: str | None) -> Call:
        """Begin a call. Both may still be missing."""
        call = Call(key, call_id or "", name or "")
        self._queue.append(call)
        return call

    def arguments(self, call: Call, text: str, out: list[Event]) -> None:
        """Take a fragment of a call's arguments, or none: a new call behind the live one may end that."""
        if call.ended:
            return
        if text:
            if call.started and len(self._queue) == 1 and text[0] != "{":
                # Nearly every fragment: nothing waits.
                call.pass_on(text)
                out.append(ToolArguments(text))
                if not self._held:
                    return
            else:
                call.add(text)
        self._advance(out)

    def begin(self, call: Call, out: list[Event]) -> None:
        """Send the start of a call whose name is final, if it is the live one."""
        if call.name and self._queue[0] is call:
            self._start(call, out)

    def close(self, call: Call, out: list[Event]) -> None:
        """Take note that a call is whole."""
        call.closed = True
        self._advance(out)

    def hold(self, event: Event, out: list[Event]) -> None:
        """Send text or reasoning after the calls that are open now, at once if they are complete."""
        self._held.append(event)
        self._advance(out)

    def flush(self, out: list[Event]) -> None:
        """End every call and send all that is held: the answer is over."""
        self._queue.sort(key=lambda call: (not call.started, call.key))
        for call in self._queue:
            call.closed = True
        self._advance(out)

    def _advance(self, out: list[Event]) -> None:
        queue = self._queue
        while queue:
            call = queue[0]
            if call.name:
                self._send(call, out)
            waited_for = len(queue) > 1 or self._held
            if not (call.closed or (waited_for and call.name and call.complete)):
                return
            self._end(call, out)
            del queue[0]
            out += self._held
            self._held.clear()

    def _send(self, call: Call, out: list[Event]) -> None:
        if text := call.unsent():
            self._start(call, out)
            out.append(ToolArguments(text))

    def _start(self, call: Call, out: list[Event]) -> None:
        if not call.started:
            call.started = True
            out.append(ToolStart(self._final_id(call.id), self._names.get(call.name, call.name)))

    def _end(self, call: Call, out: list[Event]) -> None:
        call.ended = True
        if not call.name:
            self.unnamed += 1
            return
        call.settle()
        self._start(call, out)
        self._send(call, out)
        out.append(ToolEnd())
        self.emitted += 1

    def _final_id(self, call_id: str) -> str:
        """Return an id that is legal in both dialects and occurs once in this answer."""
        if self._ids is None:
            self._ids = ToolIds()
        final = self._ids.upstream(call_id) if call_id else ""
        while not final or final in self._used:
            final = self._new_id()
        self._used.add(final)
        return final
