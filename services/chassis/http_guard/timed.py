"""
The deadlines of a client connection; `chassis.guard` has the theory of operation and the phases' transitions.

No phase has a timer: `Sweeper` calls `look` on every connection a few times a second.
"""

import asyncio
from abc import abstractmethod
from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from services.chassis.corked import Cork
from services.chassis.direct import DirectRoute
from services.chassis.http_guard.limits import GuardLimits
from services.chassis.http_guard.sweeper import Sweeper
from services.chassis.problem import ErrorWriter, write_problem

HEAD: Final = 0  # the one that is false, which on_header relies on
BODY: Final = 1
DONE: Final = 2
IDLE: Final = 3
LINGER: Final = 4


class Guard:
    """What all connections of one listener share."""

    def __init__(
        self,
        limits: GuardLimits,
        error_writer: ErrorWriter = write_problem,
        direct: Mapping[bytes, DirectRoute] | None = None,
    ) -> None:
        """`direct`: by raw path, what is served without ASGI."""
        self.limits = limits
        self.direct = direct or {}
        self.error_writer = error_writer
        self.closing = False  # every answer from now on is the last of its connection
        self.cork = Cork()
        self.refusals: Counter[str] = Counter()  # by status, or by the reason a connection was closed without one
        self._sweeper: Sweeper | None = None

    def start(self, loop: asyncio.AbstractEventLoop, connections: set[Any]) -> None:
        """Begin to watch the deadlines of these connections; the set is the server's own and changes."""
        self._sweeper = Sweeper(self.limits.sweep, connections)
        self._sweeper.start(loop)

    def stop(self) -> None:
        if self._sweeper is not None:
            self._sweeper.stop()


class TimedProtocol(HttpToolsProtocol):
    """One client connection, as far as time goes."""

    def __init__(
        self,
        guard: Guard,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        super().__init__(config, server_state, app_state, loop)
        self.guard = guard
        self.limits = guard.limits
        self.phase = HEAD
        self.since = 0.0  # when the phase began, in the loop's time
        self.begun = False  # any byte of any request has come
        self.deaf = False
        self.received = 0  # bytes that came while a body was awaited, framing included
        self.stalled_at = -1  # unsent bytes when the client last took some
        self.stalled_since = 0.0

    @abstractmethod
    def refuse(self, status: int, message: str, *, linger: bool = True) -> None:
        """Take no more of this connection, and say why where that cannot be mistaken for another answer."""

    def look(self, now: float) -> None:
        """Act on whatever has passed its deadline."""
        limits, phase, age = self.limits, self.phase, now - self.since
        if phase == BODY:
            self._look_at_body(age)
        elif phase == HEAD:
            if age >= limits.header_seconds and not self.deaf:
                self._head_is_late()
        elif phase == IDLE:
            if age >= limits.keep_alive:
                self.transport.close()
        elif phase == LINGER and age >= limits.linger:
            self.transport.abort()
        if self.flow.write_paused or self.transport.is_closing():
            self._look_at_writing(now)
        else:
            self.stalled_at = -1

    def _head_is_late(self) -> None:
        if not self.begun:
            self.guard.refusals["silent"] += 1
            self.deaf = True
            self.transport.close()
        else:
            self.refuse(408, f"The headers took longer than {self.limits.header_seconds:g} s.", linger=False)

    def _look_at_body(self, age: float) -> None:
        limits = self.limits
        if self.flow.read_paused:
            # It is the application that does not read; the client is not to blame for that time.
            self.since += limits.sweep
        elif age >= min(limits.body_seconds, limits.body_grace_seconds + self.received / limits.body_rate):
            self.refuse(408, "The request body comes too slowly.", linger=False)

    def _look_at_writing(self, now: float) -> None:
        unsent = self.transport.get_write_buffer_size()
        if self.stalled_at < 0 or unsent < self.stalled_at:
            self.stalled_at = unsent
            self.stalled_since = now
        elif now - self.stalled_since >= self.limits.write_stall:
            self.guard.refusals["stalled"] += 1
            self.transport.abort()
