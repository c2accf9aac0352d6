"""Answers of yes or no about names that come again and again, remembered. Pure, but for what it remembers."""

from collections.abc import Callable
from typing import Final

_MOST: Final = 1024  # names kept; the other end chooses them


class Verdicts(dict[bytes, bool]):
    """
    `verdicts[name]` is what `decide(name)` says, asked once.

    `functools.lru_cache` would keep an order of use that nobody needs here; `map` of `__getitem__` over the headers of
    a message runs without a function of ours for those that were seen before.
    """

    __slots__ = ("_decide",)

    def __init__(self, decide: Callable[[bytes], bool]) -> None:
        super().__init__()
        self._decide = decide

    def __missing__(self, name: bytes) -> bool:
        if len(self) >= _MOST:
            self.clear()
        verdict = self[name] = self._decide(name)
        return verdict
