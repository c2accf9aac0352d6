"""
Whether an upstream that keeps failing is asked at all: circuit breakers (promises.md C9). Pure: time and chance are
arguments.

Theory of operation. One circuit per credential at its upstream counts what goes wrong there; one per model counts that
it is overloaded for everyone. A circuit exists only after something went wrong, so that in good times a look into an
empty dictionary is all it costs. Who is let through holds a ticket, the number of times the circuit had opened by then;
what he reports counts only while that number stands, so that the calls of a crowd that opened it say nothing later.

    state     event                                             next
    closed    a success                                         closed; gone after a quiet window
    closed    a failure, the fifth in a row, or one that makes  open for 10 s, twice as long each time, 300 s at most,
              it half or more of at least 20 in 30 s            and by chance up to a fifth longer
    closed    any other failure                                 closed
    open      asked before its time                             open; the asker is told how long
    open      asked after its time                              probing; the asker is the probe
    probing   asked within 10 s                                 probing; the asker is told to wait
    probing   asked later: the probe is a long answer, or lost  probing; the asker is another probe
    probing   a probe's success                                 gone
    probing   a probe's failure                                 open, twice as long
    probing   a probe's end that says nothing                   open, its time is over: the next asker is the probe
    any       a report under an older ticket                    the same

One probe at a time holds for one process. Gateways share no store to agree in; each has its own circuits.
"""

from enum import Enum
from typing import Final, Generic, TypeVar

import msgspec

from services.gateway.translation.fault import Action, Fault

Key = TypeVar("Key")

_MOST: Final = 256  # circuits at once; a key beyond them is not watched


class State(Enum):
    CLOSED = "closed"
    PROBING = "probing"
    OPEN = "open"


class Verdict(Enum):
    """What the end of a call says of the upstream."""

    GOOD = "good"
    FAILED = "failed"  # it is unwell: 5xx, silence, an answer that breaks off or is none
    CROWDED = "crowded"  # the model is overloaded for everyone
    THROTTLED = "throttled"  # too much at once from us
    NOTHING = "nothing"  # the client's doing, the credential's, ours


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """When a circuit opens and for how long; seconds."""

    in_a_row: int = 5
    of_at_least: int = 20
    window: float = 30.0
    first_rest: float = 10.0
    longest_rest: float = 300.0
    jitter: float = 0.2
    probe: float = 10.0  # how long a probe is waited for before there is another


def verdict_of(fault: Fault | None) -> Verdict:
    """Return what an answer says of the upstream; None is a good one."""
    if fault is None:
        return Verdict.GOOD
    if fault.action is Action.THROTTLE:
        return Verdict.THROTTLED
    if fault.action is Action.OVERLOAD:
        return Verdict.CROWDED
    if fault.status >= 500 and fault.action in (Action.RETRY, Action.PASS):
        return Verdict.FAILED
    return Verdict.NOTHING


class _Counts:
    """Calls and failures of the last window, in two halves."""

    __slots__ = ("_begun_at", "_half", "_new", "_old")

    def __init__(self, window: float, now: float) -> None:
        self._half = window / 2
        self._begun_at = now
        self._old = self._new = (0, 0)

    def add(self, now: float, *, failure: bool) -> tuple[int, int]:
        """Count one call; returns the calls and the failures."""
        passed = now - self._begun_at
        if passed >= self._half:
            self._old = self._new if passed < 2 * self._half else (0, 0)
            self._new = (0, 0)
            self._begun_at = now
        self._new = (self._new[0] + 1, self._new[1] + failure)
        return self._old[0] + self._new[0], self._old[1] + self._new[1]


class _Circuit:
    __slots__ = ("counts", "failed_at", "in_a_row", "openings", "state", "until")

    def __init__(self, rules: Rules, now: float) -> None:
        self.state = State.CLOSED
        self.openings = 0
        self.in_a_row = 0
        self.counts = _Counts(rules.window, now)
        self.failed_at = now
        self.until = now  # open: when it may be asked; probing: when there may be another probe


class Circuits(Generic[Key]):
    """The circuits of one kind. Empty, and false, while all is well."""

    def __init__(self, rules: Rules | None = None) -> None:
        self._rules = rules or Rules()
        self._circuits: dict[Key, _Circuit] = {}

    def __len__(self) -> int:
        return len(self._circuits)

    def states(self) -> dict[Key, State]:
        """Return the state of every circuit there is."""
        return {key: circuit.state for key, circuit in self._circuits.items()}

    def left(self, key: Key, now: float) -> float:
        """Return the seconds until this may be asked; 0 means now."""
        circuit = self._circuits.get(key)
        if circuit is None or circuit.state is State.CLOSED:
            return 0.0
        return max(0.0, circuit.until - now)

    def enter(self, key: Key, now: float) -> int:
        """Let somebody through whom `left` let pass; returns his ticket. After a rest he is the probe."""
        circuit = self._circuits.get(key)
        if circuit is None:
            return 0
        if circuit.state is not State.CLOSED:
            circuit.until = now + self._rules.probe
            circuit.state = State.PROBING
        return circuit.openings

    def good(self, key: Key, ticket: int, now: float) -> None:
        """Count a success."""
        circuit = self._of(key, ticket)
        if circuit is None:
            return
        if circuit.state is State.PROBING or now - circuit.failed_at > self._rules.window:
            del self._circuits[key]
            return
        circuit.in_a_row = 0
        circuit.counts.add(now, failure=False)

    def failed(self, key: Key, ticket: int, now: float, chance: float) -> float | None:
        """Count a failure; return for how many seconds it opened the circuit. `chance` is uniform in [0, 1)."""
        circuit = self._of(key, ticket) if key in self._circuits else self._new(key, ticket, now)
        if circuit is None:
            return None
        circuit.failed_at = now
        circuit.in_a_row += 1
        calls, failures = circuit.counts.add(now, failure=True)
        rules = self._rules
        often = calls >= rules.of_at_least and 2 * failures >= calls
        if circuit.state is not State.PROBING and circuit.in_a_row < rules.in_a_row and not often:
            return None
        rest = min(rules.longest_rest, rules.first_rest * float(1 << min(circuit.openings, 20)))
        rest *= 1.0 + rules.jitter * chance
        circuit.until = now + rest
        circuit.openings += 1
        circuit.state = State.OPEN
        return rest

    def nothing(self, key: Key, ticket: int, now: float) -> None:
        """Note a call whose end says nothing of the upstream."""
        circuit = self._of(key, ticket)
        if circuit is not None and circuit.state is State.PROBING:
            circuit.until = now
            circuit.state = State.OPEN

    def _of(self, key: Key, ticket: int) -> _Circuit | None:
        circuit = self._circuits.get(key)
        return circuit if circuit is not None and circuit.openings == ticket else None

    def _new(self, key: Key, ticket: int, now: float) -> _Circuit | None:
        if ticket:  # of a circuit that is gone: others have found the upstream well since
            return None
        if len(self._circuits) >= _MOST:
            self._forget(now)
        if len(self._circuits) >= _MOST:
            return None
        circuit = self._circuits[key] = _Circuit(self._rules, now)
        return circuit

    def _forget(self, now: float) -> None:
        """Drop the circuits in which nothing has gone wrong for a window."""
        self._circuits = {
            key: circuit
            for key, circuit in self._circuits.items()
            if circuit.state is not State.CLOSED or now - circuit.failed_at <= self._rules.window
        }
