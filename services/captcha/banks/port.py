"""
The bank: captcha tokens that people have produced and nobody has used yet, and the requests that wait for one.

    put      a token, for an account; one that was seen before is not taken
    claim    by a try of a request. The try that asks again gets the same token; a token goes to one try only, with
             `least` seconds of life at least. Who waits stands in line, and nobody gets a token before the line's head
    leave    the line, because the client went away

A place in the line is held for `place` seconds and renewed by asking again, so that a process that dies leaves no gap.
Tokens live by the bank's own clock, which is the server's where several processes share one. One contract suite
(`tests/contract/captcha_banks`) runs over memory and Redis. Everything raises StoreUnavailable.
"""

import asyncio
from enum import Enum
from typing import Final, Protocol

import msgspec

from services.captcha.contract import Captcha
from services.captcha.policy import MEMORY

SEEN: Final = 86_400.0  # seconds a token is known again


class Times(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds; others than these are for tests, which cannot wait for a minute."""

    life: float = 60.0  # a token is kept; the provider takes them up to 90 s old
    least: float = 5.0  # of life a token has when it is handed out
    place: float = 5.0  # a place in the line outlives its last renewal
    memory: float = MEMORY  # a challenge is remembered


TIMES: Final = Times()


class Granted(msgspec.Struct, frozen=True):
    """A token for this try alone."""

    token: Captcha
    expires_at: float  # seconds since the epoch


class NotYet(Enum):
    """Why there is none."""

    NOTHING = "nothing"  # no token is free, and the caller does not wait
    WAITING = "waiting"  # the caller stands in line
    FULL = "full"  # the line is full, and the caller does not stand in it


class Note(Enum):
    """What becomes known of an account's dealings with its provider."""

    CHALLENGED = "challenged"  # remembered for a while
    REFUSED = "refused"  # a token was; the second one in a row empties the bank
    SERVED = "served"  # the row is over


class Standing(msgspec.Struct, frozen=True):
    """An account's bank as it is; seconds."""

    lives: tuple[float, ...]  # what is left of each banked token, `least` already taken off
    waiting: int
    waited: float  # by the one at the head of the line
    challenged: float  # how long a challenge will still be remembered; 0: none is
    refused: int  # tokens in a row
    working: str | None  # the format that works while the other one's route is gone
    working_for: float  # how long that is still believed


class Bank(Protocol):
    """Safe for concurrent use on one event loop, and by several processes where the backend is shared."""

    remembers_since: float  # what was marked before is forgotten; seconds since the epoch

    async def put(self, account: str, token: Captcha) -> bool:
        """Bank a token; False when it was seen before. In a full bank it takes the place of the oldest."""

    async def claim(self, account: str, claim: str, *, wait: bool) -> Granted | NotYet:
        """Take a token for the try that is called `claim`, or stand in line for one."""

    async def leave(self, account: str, claim: str) -> None:
        """Give up a place in the line."""

    async def note(self, account: str, note: Note) -> int:
        """Remember something; returns how many tokens in a row were refused."""

    async def learn(self, account: str, working: str, seconds: float) -> None:
        """Remember which of the plan's formats works."""

    async def standing(self, account: str) -> Standing:
        """Return how things are."""

    async def first(self, name: str, seconds: float) -> bool:
        """Say whether this name has not been marked before, and mark it for so long."""

    def bell(self, account: str) -> asyncio.Event:
        """Return an event that is set at the next change of this account that this process learns of."""

    async def aclose(self) -> None:
        """Let go of connections."""
