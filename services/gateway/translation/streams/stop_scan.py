"""
Finds the stop sequences that the upstream was not told of (translation.md A1 `stop_sequences`, B8).

Only visible text is scanned, never reasoning or arguments. Text that may still become a match is held until it does
or does not; anything that is not text ends the scan of what came before it. The match that is complete first wins (of
two that end together, the longer), so that it does not matter how the text was cut. The matched text is not sent, and
the answer ends there.
"""

from collections.abc import Iterable

from services.gateway.translation.streams.events import (
    End,
    Event,
    Ping,
    StopReason,
    TextDelta,
    ToolEnd,
    UsageSeen,
)
from services.gateway.translation.vocabulary import stopped


class _Matcher:
    """Knuth, Morris and Pratt: follows one sequence in time linear in the text, however long the sequence is."""

    __slots__ = ("_fallback", "at", "sequence")

    def __init__(self, sequence: str) -> None:
        self.sequence = sequence
        self.at = 0  # characters of the sequence that the text ends with
        self._fallback = [0]
        for char in sequence[1:]:
            self._fallback.append(self._next(self._fallback[-1], char))

    def step(self, char: str) -> bool:
        """Take a character; true when the sequence is complete."""
        self.at = self._next(self.at, char)
        return self.at == len(self.sequence)

    def _next(self, at: int, char: str) -> int:
        while at and self.sequence[at] != char:
            at = self._fallback[at - 1]
        return at + 1 if self.sequence[at] == char else 0


class StopScan:
    """A filter of one answer's events."""

    __slots__ = ("_firsts", "_held", "_matchers", "_tools")

    def __init__(self, sequences: Iterable[str]) -> None:
        self._matchers = [_Matcher(sequence) for sequence in sequences if sequence]
        self._firsts = {matcher.sequence[0] for matcher in self._matchers}
        self._held = ""
        self._tools = False  # a call has gone out

    def passed(self, events: Iterable[Event]) -> list[Event]:
        """Return what may go on; ends with `End` if a sequence was found."""
        out: list[Event] = []
        for event in events:
            if isinstance(event, TextDelta):
                if found := self._scan(event.text, out):
                    return [*out, stopped(StopReason.STOP_SEQUENCE, tools=self._tools, stop_sequence=found), End()]
            elif isinstance(event, UsageSeen | Ping):
                out.append(event)
            else:
                self._release(out, len(self._held))
                out.append(event)
                self._tools = self._tools or isinstance(event, ToolEnd)
        return out

    def _scan(self, text: str, out: list[Event]) -> str:
        """Send what cannot be part of a match, hold the rest; returns the sequence found."""
        before = len(self._held)
        self._held += text
        if not before and not any(first in text for first in self._firsts):
            self._release(out, len(text))
            return ""
        for position, char in enumerate(text, before + 1):
            # Every matcher must see the character, so this is a list and not a generator.
            found = [matcher.sequence for matcher in self._matchers if matcher.step(char)]
            if found:
                longest = max(found, key=len)
                self._release(out, position - len(longest))
                return longest
        self._release(out, len(self._held) - max(matcher.at for matcher in self._matchers), scanning=True)
        return ""

    def _release(self, out: list[Event], size: int, *, scanning: bool = False) -> None:
        if size:
            out.append(TextDelta(self._held[:size]))
        self._held = self._held[size:]
        if not scanning:
            for matcher in self._matchers:
                matcher.at = 0
