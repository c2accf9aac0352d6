"""
Which format a route set to `auto` is spoken to in: the seed's table, until a route that answers 404 teaches otherwise.

    nothing learnt ──route gone, the other one works──▶ learnt ──`KEEP` seconds──▶ nothing learnt

What was learnt is not renewed by every success, so that a route that comes back is found again. Replicas tell each
other (`hear`) by way of the captcha service; without it each finds out by itself, at the price of one 404.
Pure: `now` is monotonic seconds.
"""

from typing import Final

from services.gateway.translation.fault import Fault
from services.gateway.wire.formats import WireFormat

KEEP: Final = 600.0

_OTHER: Final = {WireFormat.OPENAI: WireFormat.ANTHROPIC, WireFormat.ANTHROPIC: WireFormat.OPENAI}
_ABOUT_THE_MODEL: Final = frozenset({"1211", "model_not_found"})


def other_format(wire_format: WireFormat) -> WireFormat:
    """Return the format to try instead."""
    return _OTHER[wire_format]


def is_route_gone(fault: Fault) -> bool:
    """Say whether an answer means that nobody is at home under this address; a model may be unknown on a good route."""
    return fault.upstream_status == 404 and fault.upstream_code not in _ABOUT_THE_MODEL


class FormatMemory:
    """What is known of one plan's routes. One per process."""

    def __init__(self) -> None:
        self._working: WireFormat | None = None
        self._until = float("-inf")
        self._told: WireFormat | None = None

    def working(self, now: float) -> WireFormat | None:
        """Return the format that worked in the place of another one, None when nothing is known, or no longer."""
        return self._working if now < self._until else None

    def learn(self, wire_format: WireFormat, now: float) -> bool:
        """Note that this format worked where the other one did not; True when that is worth a line in the log."""
        self.hear(wire_format, now, KEEP)
        news = wire_format is not self._told
        self._told = wire_format
        return news

    def hear(self, wire_format: WireFormat, now: float, seconds: float) -> None:
        """Note what another replica has learnt, for as long as that still holds."""
        self._working = wire_format
        self._until = now + seconds
