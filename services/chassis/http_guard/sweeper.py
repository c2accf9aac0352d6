"""One coarse timer for all connections of a listener, in place of several timers for each request."""

import asyncio
from collections.abc import Collection
from typing import Protocol


class Swept(Protocol):
    """Something with deadlines of its own."""

    def look(self, now: float) -> None:
        """Act on whatever has passed its deadline; `now` is the loop's time in seconds."""


class Sweeper:
    """
    Looks at every connection every `interval` seconds.

    A look costs a fraction of a microsecond, so 2,000 connections cost well under a millisecond a second, whatever
    the rate of requests; a timer started and cancelled per request would be paid for by each of them.
    """

    def __init__(self, interval: float, connections: Collection[Swept]) -> None:
        self._interval = interval
        self._connections = connections
        self._handle: asyncio.TimerHandle | None = None

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        self._handle = loop.call_later(self._interval, self._sweep, loop)

    def stop(self) -> None:
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _sweep(self, loop: asyncio.AbstractEventLoop) -> None:
        self._handle = loop.call_later(self._interval, self._sweep, loop)
        now = loop.time()
        for connection in tuple(self._connections):  # a look may end a connection
            connection.look(now)
