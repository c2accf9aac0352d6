"""
A client's transport whose writes wait for the end of the event loop's turn and then go out in a row with all others'.

A write wakes who waits at the other end of the socket. Between the work for one client and the work for the next it
wakes a reader on this machine (a client beside us, a proxy in front) each time anew; in a row it finds the reader
awake. What is written to one client in the same turn goes out as one piece. Where only one request is served there
is nobody to go in a row with, and what it says leaves at once.

    state    write, alone   write, little   write, `_LARGE` waits   end of the turn   close, write_eof      abort
    empty    sent: empty    waiting         sent: empty             -                 passed on             passed on
    waiting  waiting        waiting         sent: empty             sent: empty       sent, then passed on  dropped

So little waits, and never longer than a turn; a client that does not read is noticed when its part is sent.
"""

import asyncio
import contextvars
import logging
from collections.abc import Sized
from typing import Any, Final

_LARGE: Final = 32 * 1024  # bytes that go out at once: what waits here is not seen by who holds the upstream back
_log: Final = logging.getLogger(__name__)


class Cork:
    """The transports of one event loop that have something to write."""

    def __init__(self) -> None:
        self.waiting: list[CorkedTransport] = []
        self._context = contextvars.Context()  # of its own: no request's outlives it here

    def pull_soon(self, loop: asyncio.AbstractEventLoop) -> None:
        """Send what waits at the end of the loop's turn; called by the first that waits."""
        loop.call_soon(self._pull, context=self._context)

    def _pull(self) -> None:
        waiting, self.waiting = self.waiting, []
        for each in waiting:
            try:
                each.flush()
            except Exception as error:  # noqa: BLE001  # whatever it is, the others are not kept waiting for it
                _log.error("a client's connection cannot be written to: %s", type(error).__name__)
                each.abort()


class CorkedTransport(asyncio.Transport):
    """See above; everything but writing is the real transport's."""

    __slots__ = (
        "_cork",
        "_loop",
        "_served",
        "_size",
        "_transport",
        "_unsent",
    )

    def __init__(
        self, transport: asyncio.Transport, cork: Cork, loop: asyncio.AbstractEventLoop, served: Sized
    ) -> None:
        """`served` are the requests that are under way on all connections."""
        super().__init__()
        self._transport = transport
        self._cork = cork
        self._loop = loop
        self._served = served
        self._unsent: list[bytes] = []
        self._size = 0  # of these

    def write(self, data: "bytes | bytearray | memoryview[Any]") -> None:
        """Send this at the end of the turn, or at once if it is much or nobody else is served."""
        unsent = self._unsent
        if not unsent:
            if len(self._served) < 2:
                self._send(data)
                return
            cork = self._cork
            if not cork.waiting:
                cork.pull_soon(self._loop)
            cork.waiting.append(self)
        unsent.append(bytes(data))
        self._size = size = self._size + len(data)
        if size >= _LARGE:
            self.flush()

    def flush(self) -> None:
        """Send what waits."""
        data = b"".join(self._unsent)
        self._forget()
        if data:
            self._send(data)

    def _send(self, data: "bytes | bytearray | memoryview[Any]") -> None:
        if not self._transport.is_closing():
            self._transport.write(data)

    def _forget(self) -> None:
        self._unsent.clear()
        self._size = 0

    def close(self) -> None:
        """Send what waits, then close."""
        self.flush()
        self._transport.close()

    def abort(self) -> None:
        """Drop what waits and the connection."""
        self._forget()
        self._transport.abort()

    def can_write_eof(self) -> bool:
        return self._transport.can_write_eof()

    def write_eof(self) -> None:
        """Send what waits, then say that no more will come."""
        self.flush()
        self._transport.write_eof()

    def get_write_buffer_size(self) -> int:
        return self._transport.get_write_buffer_size() + self._size

    def get_write_buffer_limits(self) -> tuple[int, int]:
        return self._transport.get_write_buffer_limits()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self._transport.set_write_buffer_limits(high, low)

    def is_closing(self) -> bool:
        return self._transport.is_closing()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self._transport.get_extra_info(name, default)

    def pause_reading(self) -> None:
        self._transport.pause_reading()

    def resume_reading(self) -> None:
        self._transport.resume_reading()

    def is_reading(self) -> bool:
        return self._transport.is_reading()

    def get_protocol(self) -> asyncio.BaseProtocol:
        return self._transport.get_protocol()

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self._transport.set_protocol(protocol)
