"""
Is this process alive, and should it be sent traffic? (promises.md C11)

Pure: it is told what is so and draws the conclusion.

The life of a process:

    phase      started()   drain()    stop()     liveness   readiness
    STARTING   SERVING     DRAINING   STOPPED    by tick    no
    SERVING    -           DRAINING   STOPPED    by tick    by what it needs
    DRAINING   -           -          STOPPED    by tick    no
    STOPPED    -           -          -          no         no

"-" leaves the phase as it is: a process never goes back, so a late `started()` cannot undo a drain.

Liveness depends on nothing but this process's own event loop: a dependency that is down is not mended by a restart,
and a draining process must not be killed for draining. Readiness asks only for what the process cannot work without;
everything else that is missing is named as degraded.
"""

from collections.abc import Mapping
from enum import Enum
from typing import Final

import msgspec

TICK_LIMIT: Final = 10.0  # seconds the event loop may be silent and still be called alive


class Phase(Enum):
    STARTING = "starting"
    SERVING = "serving"
    DRAINING = "draining"
    STOPPED = "stopped"


class Needs(msgspec.Struct, frozen=True):
    """What readiness rests on. A name that nobody has reported on counts as missing."""

    groups: tuple[tuple[str, ...], ...] = ()  # of every group at least one member must be there
    optional: tuple[str, ...] = ()  # only named when missing


class Verdict(msgspec.Struct, frozen=True):
    """The body of a readiness answer, and nothing more: details belong on the admin port."""

    status: str  # starting | ready | unready | draining | stopped
    degraded: tuple[str, ...] = ()

    @property
    def ready(self) -> bool:
        return self.status == "ready"


def readiness(phase: Phase, needs: Needs, facts: Mapping[str, bool]) -> Verdict:
    """Judge a process in `phase` by the `facts` reported of what it needs."""
    names = dict.fromkeys([name for group in needs.groups for name in group] + list(needs.optional))
    missing = tuple(name for name in names if not facts.get(name, False))
    if phase is not Phase.SERVING:
        return Verdict(phase.value, missing)
    met = all(any(facts.get(name, False) for name in group) for group in needs.groups)
    return Verdict("ready" if met else "unready", missing)


class Health:
    """The state of one process. Written by whoever learns of a change, read by the probes."""

    def __init__(self, needs: Needs | None = None, facts: Mapping[str, bool] | None = None) -> None:
        self._needs = needs or Needs()
        self._facts = dict(facts or {})
        self._phase = Phase.STARTING
        self._last_tick: float | None = None

    @property
    def phase(self) -> Phase:
        return self._phase

    @property
    def draining(self) -> bool:
        """Whether clients should be told to come back elsewhere."""
        return self._phase in (Phase.DRAINING, Phase.STOPPED)

    def report(self, name: str, there: bool) -> None:
        """Take note that something the process needs has come or gone."""
        self._facts[name] = there

    def tick(self, monotonic: float) -> None:
        """Take note that the event loop turned at this time (seconds, monotonic)."""
        self._last_tick = monotonic

    def started(self) -> None:
        if self._phase is Phase.STARTING:
            self._phase = Phase.SERVING

    def drain(self) -> None:
        if self._phase in (Phase.STARTING, Phase.SERVING):
            self._phase = Phase.DRAINING

    def stop(self) -> None:
        self._phase = Phase.STOPPED

    def alive(self, monotonic: float) -> bool:
        """Return the answer of the liveness probe; a process without a watchdog is alive because it answers."""
        if self._phase is Phase.STOPPED:
            return False
        return self._last_tick is None or monotonic - self._last_tick < TICK_LIMIT

    def readiness(self) -> Verdict:
        """Return the answer of the readiness probe."""
        return readiness(self._phase, self._needs, self._facts)
