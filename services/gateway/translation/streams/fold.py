"""Gathers an answer's events into one whole: what a batch is written from, and what a test compares."""

from collections.abc import Iterable
from enum import StrEnum
from typing import Final

import msgspec

from services.gateway.translation.fault import Fault
from services.gateway.translation.streams.events import (
    End,
    Event,
    Failed,
    Finish,
    ReasoningDelta,
    ReasoningStart,
    RedactedReasoning,
    Signature,
    Start,
    StopReason,
    TextDelta,
    ToolArguments,
    ToolEnd,
    ToolStart,
    Usage,
    UsageSeen,
)
from services.gateway.translation.streams.faults import TRUNCATED


class Kind(StrEnum):
    """What a block of an answer is."""

    TEXT = "text"
    REASONING = "reasoning"
    REDACTED = "redacted"
    TOOL = "tool"


class Block(msgspec.Struct, frozen=True, kw_only=True):
    """One block. `text` is the text, the reasoning, the opaque data or the arguments as JSON text."""

    kind: Kind
    text: str
    signature: str = ""
    id: str = ""
    name: str = ""


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """A complete answer."""

    id: str
    model: str
    blocks: tuple[Block, ...]
    usage: Usage
    finish: Finish

    def joined(self, kind: Kind) -> str:
        """Return the text of every block of a kind, in order, with nothing between."""
        return "".join([block.text for block in self.blocks if block.kind is kind])


# Looking a member up on its class costs as much as a call.
_TEXT: Final = Kind.TEXT
_REASONING: Final = Kind.REASONING
_TOOL: Final = Kind.TOOL
_NO_TOOL: Final = ToolStart("", "")
_NO_FINISH: Final = Finish(StopReason.END)


class Fold:
    """Takes the events of one answer as they come. The result is there once the last one has been taken."""

    def __init__(self) -> None:
        self._start = Start("", "")
        self._blocks: list[Block] = []
        self._kind: Kind | None = None
        self._parts: list[str] = []
        self._signature = ""
        self._tool = _NO_TOOL
        self._usage = Usage()
        self._finish = _NO_FINISH
        self._complete = False
        self._fault: Fault | None = None

    @property
    def result(self) -> Answer | Fault:
        """The whole answer, or why there is none."""
        if not self._complete:
            return self._fault or TRUNCATED
        return Answer(
            id=self._start.id,
            model=self._start.model,
            blocks=tuple(self._blocks),
            usage=self._usage,
            finish=self._finish,
        )

    def add(self, events: Iterable[Event]) -> None:
        """Take the next events."""
        for event in events:
            if type(event) is TextDelta:
                self._into(_TEXT, event.text)
            elif type(event) is ReasoningDelta:
                self._into(_REASONING, event.text)
            elif type(event) is ToolArguments:
                self._parts.append(event.fragment)
            elif type(event) is Start:
                self._start = event
            elif type(event) is UsageSeen:
                self._usage = event.usage
            elif type(event) is Finish:
                self._close()
                self._finish = event
            elif type(event) is End:
                self._complete = True
            else:
                self._boundary(event)

    def _boundary(self, event: Event) -> None:
        match event:
            case ReasoningStart() | ToolEnd():
                self._close()
            case Signature(value=value):
                self._into(_REASONING, "")
                self._signature = value
            case RedactedReasoning(data=data):
                self._close()
                self._into(Kind.REDACTED, data)
            case ToolStart():
                self._close()
                self._kind = _TOOL
                self._tool = event
            case Failed(fault=fault):
                self._fault = fault
            case _:  # a ping
                pass

    def _into(self, kind: Kind, text: str) -> None:
        if self._kind is not kind or self._signature:
            self._close()
            self._kind = kind
        self._parts.append(text)

    def _close(self) -> None:
        kind = self._kind
        if kind is not None:
            tool = self._tool if kind is _TOOL else _NO_TOOL
            text = "".join(self._parts)
            self._blocks.append(Block(kind=kind, text=text, signature=self._signature, id=tool.id, name=tool.name))
        self._kind = None
        self._parts = []
        self._signature = ""


def fold(events: Iterable[Event]) -> Answer | Fault:
    """Return the whole answer of all its events, or the fault that kept it from being one."""
    gathered = Fold()
    gathered.add(events)
    return gathered.result
