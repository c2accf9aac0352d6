"""
The connections to one origin: a stack of idle ones, the answers that own a slot, and the queue of those without.

Invariants: `len(live) + len(idle) <= cap`; while somebody queues, `idle` is empty and every slot is taken, so nobody
can overtake; a slot that becomes free goes to the head of the queue in the same call. Last in, first out: under light
load few connections stay warm and the rest age out.
"""

import asyncio
from collections import deque
from typing import Final

from services.gateway.upstream.answer import PooledAnswer
from services.gateway.upstream.connection import Connection, read_buffer
from services.gateway.upstream.request_head import HeadWriter
from services.gateway.upstream.transport import ConnectFailed, ConnectionLost, Origin

_SHUT_SECONDS: Final = 1.0  # an aborted socket needs a turn or two of the event loop


class OriginPool:
    """Slots and connections of one origin. Knows no clock but the times it is given."""

    __slots__ = ("_cap", "_queue", "buffer", "emptied", "head", "idle", "live", "open", "origin")

    def __init__(self, origin: Origin, cap: int) -> None:
        self.origin = origin
        self.head = HeadWriter(origin)
        self.buffer = read_buffer()
        self.idle: list[Connection] = []
        self.live: set[PooledAnswer] = set()
        self.open: set[Connection] = set()  # until the event loop has closed the socket
        self.emptied = asyncio.Event()  # means something after `shut` only
        self._cap = cap
        self._queue: deque[tuple[PooledAnswer, asyncio.Future[None]]] = deque()

    @property
    def waiting(self) -> int:
        return len(self._queue)

    def enter(self, answer: PooledAnswer) -> bool:
        """Take a slot if there is one, with an idle connection or with the right to dial."""
        if self.idle:
            answer.connection = self.idle.pop()
        elif len(self.live) >= self._cap:
            return False
        self.live.add(answer)
        return True

    async def wait(self, answer: PooledAnswer) -> None:
        """Queue for a slot, for as long as the caller allows."""
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        place = (answer, turn)
        self._queue.append(place)
        try:
            await turn
        finally:
            if answer not in self.live and place in self._queue:
                self._queue.remove(place)

    def leave(self, answer: PooledAnswer, connection: Connection | None) -> None:
        """Give a slot back, with a connection that can serve again or without; idempotent."""
        if answer not in self.live:
            return
        self.live.remove(answer)
        while self._queue:
            heir, turn = self._queue.popleft()
            if not turn.done():
                heir.connection = connection
                self.live.add(heir)
                turn.set_result(None)
                return
        if connection is not None:
            self.idle.append(connection)

    def discard(self, connection: Connection) -> None:
        """Forget an idle connection that spoke or hung up."""
        if connection in self.idle:
            self.idle.remove(connection)

    def keep(self, connection: Connection) -> None:
        """
        Count a dialled connection until its socket is closed.

        Not before the dialling is over: an event loop may close the socket of a cancelled one without a word.
        """
        if not connection.dead:
            self.open.add(connection)

    def forget(self, connection: Connection) -> None:
        """Take note that a socket is closed."""
        self.open.discard(connection)
        if not self.open:
            self.emptied.set()

    def expire(self, before: float) -> None:
        """Close the connections that have been idle since `before`; the stack's bottom is the oldest."""
        while self.idle and self.idle[0].stirred < before:
            self.idle.pop(0).drop()

    async def shut(self) -> None:
        """Refuse who queues, break off who is served, drop what is idle; return when the sockets are closed."""
        while self._queue:
            _, turn = self._queue.popleft()
            if not turn.done():
                turn.set_exception(ConnectFailed("the transport is closed"))
        for answer in tuple(self.live):
            if answer.connection is not None:  # else it dials, and finds the transport closed by itself
                answer.fail(ConnectionLost("the transport is closed"))
        while self.idle:
            self.idle.pop().drop()
        if self.open:
            self.emptied.clear()
            async with asyncio.timeout(_SHUT_SECONDS):
                await self.emptied.wait()
