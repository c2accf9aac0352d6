"""
How many calls of one credential to one model may run at once, once the upstream has said "too many" (1302, 1303,
upstream.md section 7). Pure.

Theory of operation. The upstream's limit is not known and changes; it is searched for as TCP searches for bandwidth:
half at a refusal, one more each time that a whole round passed at the limit. Calls that were under way when the limit
was cut belong to the crowd it was cut for, so what becomes of them cuts nothing again: their tickets are older.

    state        event                                                    next
    unlimited    a refusal, with n calls running                          limited to n / 2, at least 1
    limited to L a refusal of a call begun since the last cut             limited to half of min(L, n), at least 1
    limited to L a refusal of one begun before                            limited to L
    limited to L a call passed, with L running                            limited to L + 1/L
    limited to L a call passed, with fewer running                        limited to L
    limited to L ten minutes after the last refusal                       unlimited
"""

from typing import Final

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
        self._set(running / 2)

    def refused(self, running: int, ticket: int, now: float) -> None:
        """Note a refusal of a call that began under this ticket."""
        self.refused_at = now
        if ticket == self.cuts:
            self.cuts += 1
            self._set(min(self._room, float(running)) / 2)

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
