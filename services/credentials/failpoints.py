"""
Places where a test may make a process die, stop, fail or linger, to show what a credential survives.

    ZR_FAILPOINT=refresh.after_answer:3:kill           the third time that this place is reached
    ZR_FAILPOINT=refresh.before_commit:1:sleep=0.5,refresh.before_call:0:sleep=0.1        0: every time

Off unless the variable is set, and then one dictionary look-up. The places are those of promises.md E; `at` does
nothing for a place that no rule names.
"""

import asyncio
import os
import signal
from collections import Counter
from collections.abc import Mapping
from typing import Final

import msgspec

VARIABLE: Final = "ZR_FAILPOINT"
_ACTIONS: Final = ("kill", "stop", "raise", "sleep")


class FailpointReached(Exception):
    """The action `raise`."""


class Rule(msgspec.Struct, frozen=True):
    """What happens when a place is reached for the n-th time (0: every time)."""

    place: str
    n: int
    action: str
    seconds: float = 0.0


def parse(text: str) -> tuple[Rule, ...]:
    """Read rules, separated by commas; raises ValueError. Pure."""
    return tuple(_rule(part) for part in text.split(",") if part)


def _rule(text: str) -> Rule:
    parts = text.split(":")
    if len(parts) != 3 or not parts[1].isdigit():
        raise ValueError(f"{VARIABLE}: name:n:action, not {text!r}")
    action, _, seconds = parts[2].partition("=")
    if action not in _ACTIONS:
        raise ValueError(f"{VARIABLE}: an action is one of {', '.join(_ACTIONS)}, not {action!r}")
    return Rule(parts[0], int(parts[1]), action, float(seconds or 0))


class Failpoints:
    """The rules of one process, and how often each place was reached."""

    def __init__(self, rules: tuple[Rule, ...] = ()) -> None:
        self._rules = {rule.place: rule for rule in rules}
        self.reached: Counter[str] = Counter()

    @classmethod
    def of(cls, environ: Mapping[str, str]) -> "Failpoints":
        """Read the rules of an environment."""
        return cls(parse(environ.get(VARIABLE, "")))

    async def at(self, place: str) -> None:
        """Say that this place is reached."""
        if not self._rules:
            return
        self.reached[place] += 1
        rule = self._rules.get(place)
        if rule is None or (rule.n and rule.n != self.reached[place]):
            return
        if rule.action == "sleep":
            await asyncio.sleep(rule.seconds)
        elif rule.action == "raise":
            raise FailpointReached(place)
        else:
            os.kill(os.getpid(), signal.SIGKILL if rule.action == "kill" else signal.SIGSTOP)


NO_FAILPOINTS: Final = Failpoints()
