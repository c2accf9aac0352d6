"""
What goes on in this gateway at the moment: the last minute in numbers, the last errors, the plan, the credentials.

A taker of the ledger that keeps a minute, and a view that is made when somebody looks. Names and numbers only: no key,
no content, and what came from outside is vetted as in the log.
"""

from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from services.chassis.clock import Clock, SystemClock
from services.chassis.logs import vetted, word
from services.gateway.observation import Observation
from services.gateway.quota import WORDS, Board, burn_rate, minutes_to_empty, trail_name

MINUTE: Final = 60
_MOST_ERRORS: Final = 20
_MOST_TIMES: Final = 2000  # of the last minute, for percentiles
_LONGEST_NAME: Final = 64


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """How busy it is."""

    phase: str
    streams: int
    in_flight: int
    waiting: int
    slots: int


class Window(msgspec.Struct, frozen=True, kw_only=True):
    """A limit of the plan. Times in seconds since the epoch, `used` a share of 1."""

    account: str
    name: str
    used: float
    resets_at: float | None = None
    minutes_to_empty: float | None = None


class Credential(msgspec.Struct, frozen=True, kw_only=True):
    """What the upstream is called with, by id."""

    id: str
    provider: str
    plan: str
    state: str
    until: float | None = None


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """A request that failed."""

    at: float
    route: str
    model: str
    status: int
    code: str
    upstream_code: str
    request_id: str


class View(msgspec.Struct, frozen=True, kw_only=True):
    """All that the page shows."""

    at: float
    version: str
    simulated: bool
    load: Load
    requests_per_second: float
    tokens_per_second: float
    failing: float  # share of the minute's requests
    first_token: tuple[float, float] | None  # median and 95th percentile, seconds
    overhead: tuple[float, float] | None
    tokens: tuple[int, ...]  # of each of the last sixty seconds
    windows: tuple[Window, ...]
    credentials: tuple[Credential, ...]
    errors: tuple[Failure, ...]


class _Second(msgspec.Struct):
    at: int
    requests: int = 0
    failures: int = 0
    tokens: int = 0


class Sources(msgspec.Struct, frozen=True, kw_only=True):
    """Where the view looks."""

    version: str
    simulated: bool
    load: Callable[[], Load]
    board: Callable[[], Board]
    credentials: Callable[[], tuple[Credential, ...]]


class Status:
    """Belongs to one event loop."""

    def __init__(self, sources: Sources, clock: Clock | None = None) -> None:
        self._sources = sources
        self._clock: Clock = clock or SystemClock()
        self._seconds: deque[_Second] = deque(maxlen=MINUTE)
        self._times: deque[tuple[float, float | None, float | None]] = deque(maxlen=_MOST_TIMES)
        self._errors: deque[Failure] = deque(maxlen=_MOST_ERRORS)

    def take(self, observations: Sequence[Observation]) -> None:
        """Take note of exchanges that are over."""
        for seen in observations:
            second = self._second(int(seen.ended_at))
            second.requests += 1
            if seen.usage is not None:
                second.tokens += seen.usage.output or 0
            first = None if seen.first_byte_at is None else seen.first_byte_at - seen.begun_at
            self._times.append((seen.ended_at, first, seen.overhead))
            if seen.status >= 400 and not seen.cancelled:
                second.failures += 1
                self._errors.appendleft(self._failure(seen))

    def _second(self, at: int) -> _Second:
        if not self._seconds or self._seconds[-1].at < at:
            self._seconds.append(_Second(at))
        return self._seconds[-1]

    def _failure(self, seen: Observation) -> Failure:
        return Failure(
            at=self._clock.now() - (self._clock.monotonic() - seen.ended_at),
            route=seen.path,
            model=vetted(seen.model[:_LONGEST_NAME]) or "",
            status=seen.status,
            code=seen.code or "",
            upstream_code=word(seen.upstream_code) or "",
            request_id=seen.request_id,
        )

    def view(self) -> View:
        """Return what is to be seen now."""
        now = self._clock.monotonic()
        recent = [second for second in self._seconds if second.at > now - MINUTE]
        requests = sum(second.requests for second in recent)
        times = [entry for entry in self._times if entry[0] > now - MINUTE]
        by_second = {second.at: second.tokens for second in recent}
        sources = self._sources
        return View(
            at=self._clock.now(),
            version=sources.version,
            simulated=sources.simulated,
            load=sources.load(),
            requests_per_second=requests / MINUTE,
            tokens_per_second=sum(by_second.values()) / MINUTE,
            failing=sum(second.failures for second in recent) / requests if requests else 0.0,
            first_token=_percentiles([first for _, first, _ in times if first is not None]),
            overhead=_percentiles([ours for _, _, ours in times if ours is not None]),
            tokens=tuple(by_second.get(int(now) - MINUTE + 1 + at, 0) for at in range(MINUTE)),
            windows=_windows(sources.board()),
            credentials=sources.credentials(),
            errors=tuple(self._errors),
        )


def _percentiles(values: list[float]) -> tuple[float, float] | None:
    if not values:
        return None
    values.sort()
    return values[len(values) // 2], values[min(len(values) - 1, int(len(values) * 0.95))]


def _windows(board: Board) -> tuple[Window, ...]:
    found = []
    for reading in board.readings:
        account = f"{reading.provider} {reading.level or reading.plan}"
        for window in reading.windows:
            rate = burn_rate(board.trails.get(trail_name(reading, window), ()))
            left = minutes_to_empty(window, rate)
            name = WORDS.get(window.name, window.name)
            found.append(
                Window(
                    account=account,
                    name=name,
                    used=window.used,
                    resets_at=window.resets_at,
                    minutes_to_empty=left,
                )
            )
        for balance in reading.balances:
            used = balance.used / balance.total if balance.total else 0.0
            found.append(Window(account=account, name=balance.name, used=used, resets_at=balance.expires_at))
    return tuple(found)
