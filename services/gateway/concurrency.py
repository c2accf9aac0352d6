"""
How many calls of one credential to one model may run at once, once the upstream has said "too many" (1302, 1303,
upstream.md section 7). Pure.

Theory of operation. The upstream's limit is not known and changes; it is searched for as TCP searches for bandwidth:
less at a refusal, one more each time that a whole round passed at the limit. Of a crowd that came before there was a
limit, or under an older one, many are refused together; each refusal says no more than that what ran beside it was
enough, so that the limit follows the crowd down to those whom the upstream has taken. A call that began under the limit
and is refused says that the limit is wrong: a quarter less. Who began when is told by tickets.

    state        event                                        next
    unlimited    a refusal, with n calls running              limited to n - 1, at least 1
    limited to L a refusal of a call begun under it           limited to 3/4 of min(L, n), at least 1; a new ticket
    limited to L a refusal of one begun before                limited to min(L, n - 1), at least 1
    limited to L a call passed, with L running                limited to L + 1/L
    limited to L a call passed, with fewer running            limited to L
    limited to L ten minutes after the last refusal           unlimited
"""

from typing import Final

_CUT: Final = 0.75
_QUIET: Final = 600.0  # seconds without a refusal after which a limit is forgotten


class Limit:
    """The limit of one credential and model. `allowed` is the number of calls that may run."""

    __slots__ = ("_room", "allowed", "cuts", "refused_at")

    def __init__(self, running: int, now: float) -> None:
        """Begin with a refusal while `running` calls ran, the refused one among them; `now` is monotonic seconds."""
        self.cuts = 1  # the ticket of calls that begin now
        self.refused_at = now
        self.allowed = 0
        self._room = 0.0
        self._set(running - 1.0)

    def refused(self, running: int, ticket: int, now: float) -> None:
        """Note a refusal of a call that began under this ticket."""
        self.refused_at = now
        if ticket == self.cuts:
            self.cuts += 1
            self._set(min(self._room, float(running)) * _CUT)
        else:
            self._set(min(self._room, running - 1.0))

    def passed(self, running: int) -> None:
        """Note a call that passed while `running` ran, itself among them."""
        if running >= self.allowed:
            self._set(self._room + 1.0 / self.allowed)

    def is_over(self, now: float) -> bool:
        """Say whether the upstream has been content for long enough."""
        return now - self.refused_at >= _QUIET

    def _set(self, room: float) -> None:
        self._room = max(1.0, room)
        self.allowed = int(self._room + 1e-9)  # n times 1/n is one, whatever the last digit says
