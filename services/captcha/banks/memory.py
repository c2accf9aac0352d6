"""The bank of one process. What it marks is gone with the process, so it says since when it remembers."""

import asyncio
from typing import Final

from services.captcha.banks.bells import Bells
from services.captcha.banks.port import SEEN, TIMES, Granted, Note, NotYet, Standing, Times
from services.captcha.contract import Captcha
from services.captcha.keys import digest_of
from services.captcha.policy import REFUSALS
from services.chassis.clock import Clock, SystemClock

_SWEEP: Final = 256  # marks after which the dead ones are looked for


class _Account:
    def __init__(self) -> None:
        self.pool: list[tuple[float, Captcha]] = []  # when each ends, monotonic; oldest first
        self.line: dict[str, tuple[float, float]] = {}  # claim -> when it came, when its place lapses; in order
        self.claims: dict[str, tuple[float, Granted]] = {}  # claim -> until when it gets the same token
        self.challenged = 0.0  # monotonic, until
        self.refused = 0
        self.working = ""
        self.working_until = 0.0  # monotonic

    def settle(self, now: float, least: float) -> None:
        """Forget what is over."""
        self.pool = [(ends, token) for ends, token in self.pool if ends - least > now]
        self.line = {claim: place for claim, place in self.line.items() if place[1] > now}
        self.claims = {claim: kept for claim, kept in self.claims.items() if kept[0] > now}


class MemoryBank:
    """A `Bank` in memory."""

    def __init__(self, *, capacity: int, queue: int, times: Times = TIMES, clock: Clock | None = None) -> None:
        self._capacity = capacity
        self._queue = queue
        self._times = times
        self._clock: Clock = clock or SystemClock()
        self._accounts: dict[str, _Account] = {}
        self._marks: dict[str, float] = {}  # name -> until, monotonic
        self._bells = Bells()
        self.remembers_since = self._clock.now()

    async def put(self, account: str, token: Captcha) -> bool:
        if not await self.first(f"seen/{account}/{digest_of(token.param)}", SEEN):
            return False
        found = self._settled(account)
        found.pool = [*found.pool, (self._clock.monotonic() + self._times.life, token)][-self._capacity :]
        self._bells.ring(account)
        return True

    async def claim(self, account: str, claim: str, *, wait: bool) -> Granted | NotYet:
        found, now = self._settled(account), self._clock.monotonic()
        if claim in found.claims:
            return found.claims[claim][1]
        known = claim in found.line
        rank = list(found.line).index(claim) if known else len(found.line)
        if rank < len(found.pool):
            ends, token = found.pool.pop(0)
            found.line.pop(claim, None)
            granted = Granted(token, self._clock.now() + ends - now)
            found.claims[claim] = (ends - self._times.least, granted)
            self._bells.ring(account)
            return granted
        if not wait:
            return NotYet.NOTHING
        if not known and len(found.line) >= self._queue:
            return NotYet.FULL
        came = found.line[claim][0] if known else now
        found.line[claim] = (came, now + self._times.place)
        if not known:
            self._bells.ring(account)
        return NotYet.WAITING

    async def leave(self, account: str, claim: str) -> None:
        if self._settled(account).line.pop(claim, None) is not None:
            self._bells.ring(account)

    async def note(self, account: str, note: Note) -> int:
        found = self._settled(account)
        if note is Note.CHALLENGED:
            found.challenged = self._clock.monotonic() + self._times.memory
        elif note is Note.SERVED:
            found.refused = 0
        else:
            found.challenged = self._clock.monotonic() + self._times.memory
            found.refused += 1
            if found.refused >= REFUSALS:
                found.pool.clear()
        self._bells.ring(account)
        return found.refused

    async def learn(self, account: str, working: str, seconds: float) -> None:
        found = self._settled(account)
        found.working, found.working_until = working, self._clock.monotonic() + seconds

    async def standing(self, account: str) -> Standing:
        found, now = self._settled(account), self._clock.monotonic()
        return Standing(
            lives=tuple(ends - self._times.least - now for ends, _ in found.pool),
            waiting=len(found.line),
            waited=max((now - came for came, _ in found.line.values()), default=0.0),
            challenged=max(0.0, found.challenged - now),
            refused=found.refused,
            working=found.working if found.working_until > now else None,
            working_for=max(0.0, found.working_until - now),
        )

    async def first(self, name: str, seconds: float) -> bool:
        now = self._clock.monotonic()
        if len(self._marks) % _SWEEP == _SWEEP - 1:
            self._marks = {known: until for known, until in self._marks.items() if until > now}
        if self._marks.get(name, now) > now:
            return False
        self._marks[name] = now + seconds
        return True

    def bell(self, account: str) -> asyncio.Event:
        return self._bells.next(account)

    async def aclose(self) -> None:
        self._bells.ring_all()

    def _settled(self, account: str) -> _Account:
        found = self._accounts.setdefault(account, _Account())
        found.settle(self._clock.monotonic(), self._times.least)
        return found
