"""
Whether a call may go to a credential and a model now, and what its end says to the calls after it.

Three things stand between a call and the upstream, asked in this order: the circuits of the credential and of the model
(`breakers`), which refuse at once; the lane of credential and model, which has a limit once the upstream has said that
too much comes at once (`concurrency`), and a queue; and a slot of the process (`admission`). While nothing is wrong
that is one look into a dictionary, for the lane, and two counters.
"""

import logging
import random
import time
from collections.abc import Callable
from typing import Final

from services.gateway.admission import Slots
from services.gateway.breakers import Circuits, Rules, State, Verdict, verdict_of
from services.gateway.concurrency import Limit
from services.gateway.errors import Overloaded
from services.gateway.translation.fault import Fault
from services.gateway.translation.own_faults import resting

_log = logging.getLogger(__name__)

_UNLIMITED: Final = 1 << 30
_MOST_LANES: Final = 1024  # kept; a model's name is whatever clients send
_SOON: Final = 1.0  # the least that a client is asked to wait, seconds

Name = tuple[str, str]  # credential and host, or provider and model
Circle = Circuits[Name]


class Lane:
    """The calls of one credential to one model of one host."""

    __slots__ = ("calm", "limit", "model", "slots", "upstream")

    def __init__(self, gate: "Gate", upstream: Name, model: Name) -> None:
        self.upstream = upstream
        self.model = model
        self.slots = Slots(_UNLIMITED, gate.slots.queue, gate.slots.patience)
        self.limit: Limit | None = None
        self.calm = Passage(gate, self, (0, 0, 0))  # of every call that comes while nothing is wrong

    @property
    def is_needed(self) -> bool:
        """Whether it must be remembered."""
        return self.limit is not None or self.slots.running > 0


class Passage:
    """A call that was let through, until it leaves. While nothing is wrong, all calls of a lane share one."""

    __slots__ = ("_gate", "_lane", "_tickets")

    def __init__(self, gate: "Gate", lane: Lane, tickets: tuple[int, int, int]) -> None:
        self._gate = gate
        self._lane = lane
        self._tickets = tickets  # of the credential's circuit, the model's and the limit

    def end(self, fault: Fault | None, *, ours: bool = False) -> bool:
        """
        Tell how a try ended, None for well; returns whether another one by this passage makes sense.

        `ours`: the fault is not the upstream's, whatever it looks like: it was not reached, or our own limits met.
        """
        gate, lane = self._gate, self._lane
        if fault is None and lane.limit is None and not gate.troubled:
            return True
        verdict = Verdict.NOTHING if ours else verdict_of(fault)
        now = gate.clock()
        self._limit(verdict, now)
        if not gate.breaks:
            return True
        self._tell(gate.upstreams, lane.upstream, self._tickets[0], verdict, Verdict.FAILED, now)
        self._tell(gate.models, lane.model, self._tickets[1], verdict, Verdict.CROWDED, now)
        gate.troubled = bool(gate.upstreams) or bool(gate.models)
        return not gate.left(lane, now)

    def _tell(self, circuits: Circle, key: Name, ticket: int, verdict: Verdict, bad: Verdict, now: float) -> None:
        if verdict is bad:
            rest = circuits.failed(key, ticket, now, self._gate.chance())
            if rest is not None:
                _log.warning("the upstream keeps failing: no call to %s / %s for %.0f s", *key, rest)
        elif verdict is Verdict.GOOD:
            circuits.good(key, ticket, now)
        else:
            circuits.nothing(key, ticket, now)

    def _limit(self, verdict: Verdict, now: float) -> None:
        lane, running = self._lane, self._lane.slots.running
        if verdict is Verdict.THROTTLED:
            if lane.limit is None:
                lane.limit = Limit(running, now)
            else:
                lane.limit.refused(running, self._tickets[2], now)
            lane.slots.resize(lane.limit.allowed)
        elif lane.limit is not None and verdict is Verdict.GOOD:
            lane.limit.passed(running)
            if lane.limit.is_over(now):
                lane.limit = None
            lane.slots.resize(_UNLIMITED if lane.limit is None else lane.limit.allowed)

    def leave(self) -> None:
        """Give back what was taken; once for each time that it was let through."""
        self._lane.slots.give_back()
        self._gate.slots.give_back()


class Gate:
    """Lets calls through. One per process; `upstreams` and `models` are the circuits."""

    def __init__(
        self,
        slots: Slots,
        breaker: int = 5,
        *,
        clock: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
    ) -> None:
        """
        As many may wait in a lane, and as long, as for a slot. `breaker` failures in a row open a circuit, with 0
        nothing does; `clock` is monotonic seconds, `chance` uniform in [0, 1).
        """
        self.slots = slots
        self.clock = clock
        self.chance = chance
        self.breaks = breaker > 0
        self.upstreams: Circle = Circuits(Rules(in_a_row=breaker))
        self.models: Circle = Circuits(Rules(in_a_row=breaker))
        self.troubled = False  # there is a circuit
        self._lanes: dict[tuple[str, str, str], Lane] = {}

    def take(self, credential: str, host: str, model: str) -> Passage | None:
        """Let a call through at once: the usual case. None when it must `enter`, which may take time."""
        lane = self._lanes.get((credential, host, model))
        if lane is None or self.troubled or lane.limit is not None or not self.slots.take():
            return None
        lane.slots.running += 1
        return lane.calm

    async def enter(self, credential: str, host: str, provider: str, model: str) -> Passage:
        """Let a call through, after a wait if need be; raises Overloaded."""
        lane = self._lane(credential, host, provider, model)
        self._refuse(lane)
        if not lane.slots.take():
            await lane.slots.wait()
        try:
            if not self.slots.take():
                await self.slots.wait()
            try:
                self._refuse(lane)  # circuits may have opened while the call waited
            except BaseException:
                self.slots.give_back()
                raise
        except BaseException:
            lane.slots.give_back()
            raise
        now = self.clock()
        cuts = 0 if lane.limit is None else lane.limit.cuts
        return Passage(self, lane, (self.upstreams.enter(lane.upstream, now), self.models.enter(lane.model, now), cuts))

    def resting(self, host: str) -> frozenset[str]:
        """Return the credentials that this host is not called with for a while."""
        now = self.clock()
        return frozenset(key[0] for key in self.upstreams.states() if key[1] == host and self.upstreams.left(key, now))

    def left(self, lane: Lane, now: float) -> float:
        """Return the seconds until both circuits let somebody through; 0 means now."""
        return max(self.upstreams.left(lane.upstream, now), self.models.left(lane.model, now))

    def _refuse(self, lane: Lane) -> None:
        now = self.clock()
        left = self.models.left(lane.model, now)
        if left:
            raise Overloaded(resting(max(_SOON, left), lane.model[1]))
        left = self.upstreams.left(lane.upstream, now)
        if left:
            raise Overloaded(resting(max(_SOON, left)))

    def _lane(self, credential: str, host: str, provider: str, model: str) -> Lane:
        key = (credential, host, model)
        lane = self._lanes.get(key)
        if lane is None:
            if len(self._lanes) >= _MOST_LANES:
                self._lanes = {name: kept for name, kept in self._lanes.items() if kept.is_needed}
            lane = self._lanes[key] = Lane(self, (credential, host), (provider, model))
        return lane

    def waiting(self) -> int:
        """Return how many calls stand in a lane."""
        return sum(lane.slots.waiting for lane in self._lanes.values())

    def limits(self) -> dict[tuple[str, str], int]:
        """Return how many calls may run at once, by credential and model, where there is a limit."""
        found: dict[tuple[str, str], int] = {}
        for (credential, _, model), lane in self._lanes.items():
            if lane.limit is not None:
                allowed = lane.limit.allowed
                found[credential, model] = min(allowed, found.get((credential, model), allowed))
        return found

    def states(self) -> dict[tuple[str, str], State]:
        """Return the state of every circuit, by `credential` or `model` and its name."""
        found = {("credential", key[0]): state for key, state in self.upstreams.states().items()}
        return found | {("model", key[1]): state for key, state in self.models.states().items()}
