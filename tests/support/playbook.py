"""
A conversation with a machine that takes something and returns something, read from top to bottom.

    assert (
        Playbook(reader)
        >> chunk({"content": "Hi"})
        << [Start("up-1", "glm-4.6"), TextDelta("Hi")]
        >> EOF
        << [Failed(TRUNCATED)]
    )

`>>` feeds, `<<` says all that must come back. What is not claimed by a `<<` must be nothing. Readers and conversions
are fed bytes, writers are fed lists of events.
"""

from collections.abc import Sequence
from typing import Any, Protocol, Self

EOF = object()


class _Reads(Protocol):
    def feed(self, data: bytes) -> Any: ...

    def eof(self) -> Any: ...


class _Writes(Protocol):
    def write(self, events: Sequence[Any]) -> bytes: ...


class Playbook:
    """Plays one conversation; fails at the line that differs."""

    def __init__(self, machine: _Reads | _Writes) -> None:
        self._machine: Any = machine
        self._unclaimed: Any = None

    def __rshift__(self, given: Any) -> Self:
        self._settle()
        if given is EOF:
            self._unclaimed = self._machine.eof()
        elif hasattr(self._machine, "feed"):
            self._unclaimed = self._machine.feed(given)
        else:
            self._unclaimed = self._machine.write(given)
        return self

    def __lshift__(self, expected: Any) -> Self:
        returned, self._unclaimed = self._unclaimed, None
        assert expected == returned
        return self

    def __bool__(self) -> bool:
        self._settle()
        return True

    def _settle(self) -> None:
        assert not self._unclaimed, f"unclaimed: {self._unclaimed!r}"
