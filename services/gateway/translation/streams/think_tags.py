"""
Takes `<think>…</think>` at the start of an answer's text for reasoning, on routes that are known to write it so.

    START    blank text or a beginning of a tag: held      `<think>`: to INSIDE      anything else: to AFTER
    INSIDE   reasoning, but for a beginning of `</think>`  `</think>`: to MARGIN
    MARGIN   line ends are dropped                         anything else: to AFTER
    AFTER    everything passes

A stray `</think>` at the very start (the opening tag was part of the prompt) is dropped.
"""

from collections.abc import Iterable
from enum import Enum
from typing import Final

from services.gateway.translation.streams.events import Event, Ping, ReasoningDelta, Start, TextDelta, UsageSeen

_OPEN: Final = "<think>"
_CLOSE: Final = "</think>"
_BLANK_MAX: Final = 256  # so much blank text may stand before the tag


class _State(Enum):
    START = 1
    INSIDE = 2
    MARGIN = 3
    AFTER = 4


class ThinkTags:
    """A filter of one answer's events."""

    __slots__ = ("_begun", "_held", "_state")

    def __init__(self) -> None:
        self._state = _State.START
        self._held = ""
        self._begun = False  # the reasoning is more than blank

    def passed(self, events: Iterable[Event]) -> list[Event]:
        """Return the events with the tagged text as reasoning."""
        out: list[Event] = []
        for event in events:
            if self._state is _State.AFTER:
                out.append(event)
            elif isinstance(event, TextDelta):
                self._take(event.text, out)
            elif isinstance(event, Start | UsageSeen | Ping | ReasoningDelta):
                out.append(event)
            else:
                self._leave(out)
                out.append(event)
        return out

    def _take(self, text: str, out: list[Event]) -> None:
        self._held += text
        if self._state is _State.START:
            self._start()
        if self._state is _State.INSIDE:
            self._inside(out)
        if self._state is _State.MARGIN and self._held.strip("\n"):
            self._held = self._held.lstrip("\n")
            self._state = _State.AFTER
        if self._state is _State.AFTER and self._held:
            out.append(TextDelta(self._held))
            self._held = ""

    def _start(self) -> None:
        text = self._held.lstrip()
        if len(self._held) - len(text) > _BLANK_MAX:
            self._state = _State.AFTER
            return
        for tag, state in ((_OPEN, _State.INSIDE), (_CLOSE, _State.MARGIN)):
            if text.startswith(tag):
                self._held = text.removeprefix(tag)
                self._state = state
                return
            if tag.startswith(text):
                return
        self._state = _State.AFTER

    def _inside(self, out: list[Event]) -> None:
        reasoning, closed, text = self._held.partition(_CLOSE)
        if closed:
            self._state = _State.MARGIN
        else:
            sizes = range(min(len(_CLOSE) - 1, len(reasoning)), 0, -1)
            keep = next((size for size in sizes if reasoning.endswith(_CLOSE[:size])), 0)
            reasoning, text = reasoning[: len(reasoning) - keep], reasoning[len(reasoning) - keep :]
        if self._begun or reasoning.strip():
            self._begun = True
            if reasoning:
                out.append(ReasoningDelta(reasoning))
            self._held = text
        elif closed:
            self._held = text

    def _leave(self, out: list[Event]) -> None:
        """Something else than text has come: what is held was not a tag."""
        if self._held and self._state is not _State.MARGIN:
            out.append(ReasoningDelta(self._held) if self._state is _State.INSIDE else TextDelta(self._held))
        self._held = ""
        self._state = _State.AFTER
