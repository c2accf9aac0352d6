"""
Whether a call may go to a credential and a model now, and what its end says to the calls after it.

Three things stand between a call and the upstream, asked in this order: the circuits of the credential and of the model
(`breakers`), which refuse at once; the lane of credential and model, which has a limit once the upstream has said that
too much comes at once (`concurrency`), and a queue; and a slot of the process (`admission`). While nothing is wrong
that is two looks at empty dictionaries and one for the lane.
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

Upstream = tuple[str, str]  # credential and host
Model = tuple[str, str]  # provider and model


class _Lane:
    """The calls of one credential to one model."""

    __slots__ = ("limit", "slots")

    def __init__(self, like: Slots) -> None:
        self.slots = Slots(_UNLIMITED, like.queue, like.patience)
        self.limit: Limit | None = None

    @property
    def is_needed(self) -> bool:
        return self.limit is not None or self.slots.running > 0


class Passage:
    """One call that was let through, until it leaves."""

    __slots__ = ("_gate", "_lane", "_left", "_model", "_tickets", "_upstream")

    def __init__(self, gate: "Gate", lane: _Lane, upstream: Upstream, model: Model, tickets: tuple[int, int, int]):
        self._gate = gate
        self._lane = lane
        self._upstream = upstream
        self._model = model
        self._tickets = tickets
        self._left = False

    def end(self, fault: Fault | None, *, ours: bool = False) -> bool:
        """
        Tell how a try ended, None for well; returns whether another one by this passage makes sense.

        `ours`: the fault is not the upstream's, whatever it looks like: it was not reached, or our own limits met.
        """
        gate = self._gate
        verdict = Verdict.NOTHING if ours else verdict_of(fault)
        if verdict is Verdict.GOOD and self._lane.limit is None and not gate.upstreams and not gate.models:
            return True
        now = gate.clock()
        self._limit(verdict, now)
        if not gate.breaks:
            return True
        self._tell(gate.upstreams, self._upstream, self._tickets[0], verdict, Verdict.FAILED, now)
        self._tell(gate.models, self._model, self._tickets[1], verdict, Verdict.CROWDED, now)
        return not gate.left(self._upstream, self._model, now)

    def _tell(
        self,
        circuits: "Circuits[tuple[str, str]]",
        key: tuple[str, str],
        ticket: int,
        verdict: Verdict,
        bad: Verdict,
        now: float,
    ) -> None:
        if verdict is bad:
            rest = circuits.failed(key, ticket, now, self._gate.chance())
            if rest is not None:
                _log.warning("the upstream keeps failing: no call to %s / %s for %.0f s", *key, rest)
        elif not circuits:
            return
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
        """Give back what was taken, once."""
        if self._left:
            return
        self._left = True
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
        self.upstreams: Circuits[Upstream] = Circuits(Rules(in_a_row=breaker))
        self.models: Circuits[Model] = Circuits(Rules(in_a_row=breaker))
        self._lanes: dict[tuple[str, str], _Lane] = {}

    async def enter(self, credential: str, host: str, provider: str, model: str) -> Passage:
        """Let a call through, after a wait if need be; raises Overloaded."""
        upstream, name = (credential, host), (provider, model)
        if self.upstreams or self.models:
            self._refuse(upstream, name)
        lane = self._lane(credential, model)
        if not lane.slots.take():
            await lane.slots.wait()
        try:
            if not self.slots.take():
                await self.slots.wait()
        except BaseException:
            lane.slots.give_back()
            raise
        tickets = (0, 0, 0 if lane.limit is None else lane.limit.cuts)
        passage = Passage(self, lane, upstream, name, tickets)
        if self.upstreams or self.models:
            return self._ticketed(passage, lane, upstream, name)
        return passage

    def _ticketed(self, passage: Passage, lane: _Lane, upstream: Upstream, model: Model) -> Passage:
        try:
            self._refuse(upstream, model)  # which may have opened while the call waited
        except Overloaded:
            passage.leave()
            raise
        now = self.clock()
        cuts = 0 if lane.limit is None else lane.limit.cuts
        tickets = (self.upstreams.enter(upstream, now), self.models.enter(model, now), cuts)
        return Passage(self, lane, upstream, model, tickets)

    def left(self, upstream: Upstream, model: Model, now: float) -> float:
        """Return the seconds until both circuits let somebody through; 0 means now."""
        return max(self.upstreams.left(upstream, now), self.models.left(model, now))

    def _refuse(self, upstream: Upstream, model: Model) -> None:
        now = self.clock()
        left = self.models.left(model, now)
        if left:
            raise Overloaded(resting(max(_SOON, left), model[1]))
        left = self.upstreams.left(upstream, now)
        if left:
            raise Overloaded(resting(max(_SOON, left)))

    def _lane(self, credential: str, model: str) -> _Lane:
        key = (credential, model)
        lane = self._lanes.get(key)
        if lane is None:
            if len(self._lanes) >= _MOST_LANES:
                self._lanes = {
                    name: kept for name, kept in self._lanes.items() if kept.limit is not None or kept.slots.running
                }
            lane = self._lanes[key] = _Lane(self.slots)
        return lane

    def waiting(self) -> int:
        """Return how many calls stand in a lane."""
        return sum(lane.slots.waiting for lane in self._lanes.values())

    def limits(self) -> dict[tuple[str, str], int]:
        """Return how many calls may run at once, by credential and model, where there is a limit."""
        return {key: lane.limit.allowed for key, lane in self._lanes.items() if lane.limit is not None}

    def states(self) -> dict[tuple[str, str], State]:
        """Return the state of every circuit, by `credential` or `model` and its name."""
        found = {("credential", key[0]): state for key, state in self.upstreams.states().items()}
        return found | {("model", key[1]): state for key, state in self.models.states().items()}
