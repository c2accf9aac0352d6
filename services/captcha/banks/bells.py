"""Events that ring once: whoever is to hear of the next change of a thing takes one, then looks at the thing."""

import asyncio


class Bells:
    """One event per name, made anew after each ring."""

    def __init__(self) -> None:
        self._bells: dict[str, asyncio.Event] = {}

    def next(self, name: str) -> asyncio.Event:
        """Return the event of the next change."""
        return self._bells.setdefault(name, asyncio.Event())

    def ring(self, name: str) -> None:
        """Tell everybody who holds the event."""
        bell = self._bells.pop(name, None)
        if bell is not None:
            bell.set()

    def ring_all(self) -> None:
        """Tell everybody."""
        for name in list(self._bells):
            self.ring(name)
