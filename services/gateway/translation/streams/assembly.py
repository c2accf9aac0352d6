"""
Gathers what a reader has understood into events, in the order that `events` promises.

It owns what both readers have in common: one `Start`, tool calls in sequence, counts that are said when they change,
a stop reason that the content bears out, one end, and the filters of the visible text.
"""

from collections.abc import Callable
from enum import Enum
from typing import Final

from services.gateway.translation.context import ResponseContext
from services.gateway.translation.fault import Fault
from services.gateway.translation.streams.events import (
    End,
    Event,
    Failed,
    Ping,
    ReasoningDelta,
    ReasoningStart,
    RedactedReasoning,
    Signature,
    Start,
    StopReason,
    TextDelta,
    ToolEnd,
    Usage,
    UsageSeen,
)
from services.gateway.translation.streams.faults import UNNAMED_TOOL
from services.gateway.translation.streams.stop_scan import StopScan
from services.gateway.translation.streams.think_tags import ThinkTags
from services.gateway.translation.streams.tool_buffer import Call, ToolBuffer
from services.gateway.translation.vocabulary import stopped


class Flow(Enum):
    """What the answer is in the middle of."""

    NOTHING = 1
    TEXT = 2
    REASONING = 3
    TOOLS = 4


# Looking a member up on its class costs as much as a call; these are asked for once per event.
_NOTHING: Final = Flow.NOTHING
_TEXT: Final = Flow.TEXT
_REASONING: Final = Flow.REASONING
_FLOWS: Final = {TextDelta: Flow.TEXT, ReasoningDelta: Flow.REASONING, ToolEnd: Flow.TOOLS}


class Assembly:
    """The events of one answer. `ended` says that no more are taken."""

    __slots__ = ("_content", "_filters", "_id_prefix", "_new_id", "_out", "ended", "flow", "started", "tools", "usage")

    def __init__(self, context: ResponseContext, new_id: Callable[[str], str], id_prefix: str) -> None:
        self._new_id = new_id
        self._out: list[Event] = []
        self._content = False  # any text or reasoning
        self._filters: list[ThinkTags | StopScan] = []
        if context.inline_think_tags:
            self._filters.append(ThinkTags())
        if context.stop_sequences:
            self._filters.append(StopScan(context.stop_sequences))
        self.tools = ToolBuffer(lambda: new_id(id_prefix), context.tool_names)
        self.started = False
        self.ended = False
        self.flow = _NOTHING
        self.usage: Usage | None = None

    def take(self) -> list[Event]:
        """Return the events that have come since the last call."""
        out, self._out = self._out, []
        for stage in self._filters:
            out = stage.passed(out)
        if out and type(out[-1]) is End:
            self.ended = True
        return out

    def start(self, answer_id: str | None, model: str | None) -> None:
        """Begin the answer, once."""
        if not self.started:
            self.started = True
            self._out.append(Start(answer_id or self._new_id(""), model or ""))

    def text(self, text: str) -> None:
        """Take visible text that is not empty."""
        if self.flow is _TEXT:
            self._out.append(TextDelta(text))
        else:
            self._other(TextDelta(text), _TEXT)

    def reasoning(self, text: str) -> None:
        """Take reasoning that is not empty."""
        if self.flow is _REASONING:
            self._out.append(ReasoningDelta(text))
        else:
            self._other(ReasoningDelta(text), _REASONING)

    def reasoning_block(self, part: ReasoningStart | Signature | RedactedReasoning) -> None:
        """Take what an upstream says about a block of reasoning."""
        self._other(part, Flow.REASONING)

    def _other(self, event: Event, flow: Flow) -> None:
        self._content = True
        if self.tools.idle:
            self._out.append(event)
            self.flow = flow
        else:
            self.tools.hold(event, self._out)
            self._after_tools()

    def arguments(self, call: Call, text: str) -> None:
        """Take a fragment of a call's arguments; may be empty."""
        self.tools.arguments(call, text, self._out)
        self._after_tools()

    def begin_call(self, call: Call) -> None:
        """Take note that a call's name is final."""
        self.tools.begin(call, self._out)
        self._after_tools()

    def close_call(self, call: Call) -> None:
        """Take note that a call is whole."""
        self.tools.close(call, self._out)
        self._after_tools()

    def flush_tools(self) -> None:
        """End every call."""
        if not self.tools.idle:
            self.tools.flush(self._out)
            self._after_tools()

    def _after_tools(self) -> None:
        """See what the answer is in the middle of, now that the tool buffer may have sent something."""
        if not self.tools.idle:
            self.flow = Flow.TOOLS
        elif self._out:
            self.flow = _FLOWS.get(type(self._out[-1]), self.flow)

    def counted(self, usage: Usage | None) -> None:
        """Take the upstream's counts, cumulative."""
        if usage is not None and usage != self.usage:
            self.usage = usage
            self._out.append(UsageSeen(usage))

    def ping(self) -> None:
        """Take note that the upstream is alive."""
        if self.started:
            self._out.append(Ping())

    def finish(self, reason: StopReason, *, stop_sequence: str | None = None, refusal: str | None = None) -> None:
        """Complete the answer."""
        self.flush_tools()
        if self.tools.unnamed and not self.tools.emitted and not self._content:
            self.fail(UNNAMED_TOOL)
            return
        tools = self.tools.emitted > 0
        self._out += (stopped(reason, tools=tools, stop_sequence=stop_sequence, refusal=refusal), End())
        self.ended = True

    def fail(self, fault: Fault) -> None:
        """Leave the answer incomplete."""
        self._out.append(Failed(fault))
        self.ended = True
