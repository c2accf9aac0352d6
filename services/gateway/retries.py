"""
Whether and when to try an upstream again: a table and a budget, promises.md C8 with upstream.md section 7.

Only ever asked before the first byte of the answer has gone to the client. A request that may have been acted on is
not repeated, because a generation costs quota. Pure: time and chance are arguments.
"""

from typing import Final

import msgspec

from services.gateway.translation.fault import Action, Fault


class Rule(msgspec.Struct, frozen=True):
    """How often a class of failure is tried again, and how long to wait: full jitter up to `base * 2**n`, capped."""

    times: int
    base: float = 0.25
    cap: float = 4.0
    floor: float = 0.0


NEVER: Final = Rule(0)
NOT_SENT: Final = Rule(2)  # connect, DNS, TLS: nothing reached the upstream
NOT_CALLED: Final = Rule(0)  # no connection was free, or none that is trusted

_BY_ACTION: Final = {
    Action.RETRY: Rule(2),
    Action.THROTTLE: Rule(2, base=0.5, cap=2.0, floor=0.1),
    Action.OVERLOAD: Rule(2, base=2.0, cap=8.0, floor=1.0),
}

# A plain 500 may have been acted on; gateways in front of the model (502, 503, 504) have not passed it on.
_BY_STATUS: Final = {408: Rule(1), 425: Rule(1), 500: Rule(1)}

_LONGEST_RETRY_AFTER: Final = 5.0  # seconds; a longer wait is the client's to take


def rule_for(fault: Fault) -> Rule:
    """Return the rule for an answer that the upstream gave."""
    if fault.retry_after is not None and fault.retry_after > _LONGEST_RETRY_AFTER:
        return NEVER
    if fault.should_retry is False or _is_unexplained(fault):
        return NEVER
    rule = _BY_ACTION.get(fault.action, NEVER)
    return _BY_STATUS.get(fault.upstream_status or 0, rule) if rule is not NEVER else rule


def _is_unexplained(fault: Fault) -> bool:
    """
    Tell a failure that the upstream did not name: an answer that broke off or is empty, which has cost its quota, or a
    redirect or challenge of a CDN, which a burst of retries only makes worse (promises.md T38).
    """
    status = fault.upstream_status or 0  # none: the transport or we ourselves found the answer broken
    return fault.upstream_code is None and status < 500 and status not in (408, 425, 429)


def delay(rule: Rule, attempt: int, chance: float, retry_after: float | None = None) -> float | None:
    """
    Return the seconds to wait before try number `attempt + 1`, or None to give up.

    `attempt` counts the retries already made, `chance` is a uniform random number in [0, 1).
    """
    if attempt >= rule.times:
        return None
    backoff = rule.floor + chance * min(rule.cap, rule.base * float(1 << attempt))
    return max(backoff, retry_after or 0.0)


class RetryBudget:
    """
    Keeps retries below a fifth of the traffic, plus a few a second, so that they never multiply an outage.

    A token bucket: each request adds 0.2 tokens, each second `per_second`, a retry costs one; at most ten seconds'
    worth is kept. `now` is monotonic seconds.
    """

    def __init__(self, *, share: float = 0.2, per_second: float = 3.0, window: float = 10.0) -> None:
        self._share = share
        self._per_second = per_second
        self._most = per_second * window
        self._tokens = self._most
        self._at: float | None = None

    def request(self) -> None:
        """Count one request of a client."""
        self._tokens = min(self._most, self._tokens + self._share)

    def spend(self, now: float) -> bool:
        """Take the token for one retry; False means that the budget is used up."""
        if self._at is not None:
            self._tokens = min(self._most, self._tokens + (now - self._at) * self._per_second)
        self._at = now
        if self._tokens < 1.0:
            return False
        self._tokens -= 1.0
        return True
