"""
The TLS side of one listener: accepts connections, and bounds their handshakes in number and time.

The guard sees nothing of a connection until its handshake is done, and one that never is costs fifty kilobytes. The
event loop's own TLS server takes any number of them, so connections are accepted here: one that is too many is closed
before anything is spent on it.
"""

import asyncio
import contextlib
import logging
import socket
from collections.abc import Callable
from typing import Final

from services.chassis.process import Tasks
from services.chassis.server_tls import ServerTls

MOST: Final = 256  # handshakes at once
_GOODBYE: Final = 1.0  # seconds that a peer gets to answer the end of TLS
_PAUSE: Final = 0.5  # seconds after a connection could not be accepted: no file is left to open

_log = logging.getLogger(__name__)


class Handshakes:
    """Accepts the connections of a bound socket and gives each whose handshake is done to a protocol."""

    def __init__(
        self, tls: ServerTls, make: Callable[[], asyncio.Protocol], *, seconds: float, most: int = MOST
    ) -> None:
        """`make` makes the protocol of one connection; a handshake gets `seconds`."""
        self._tls = tls
        self._make = make
        self._seconds = seconds
        self._most = most
        self._accepting = Tasks()
        self._tasks = Tasks()
        self._accepted: set[socket.socket] = set()  # whose handshake has not begun
        self.refused = 0  # for being one too many

    @property
    def running(self) -> int:
        """How many handshakes are under way."""
        return len(self._tasks)

    def start(self, listener: socket.socket, backlog: int) -> None:
        """Let clients in. Call it on the running loop."""
        listener.listen(backlog)
        _ = self._accepting.start(self._accept(listener), name="TLS listener")

    def stop(self) -> None:
        """Let nobody in any more, and end the handshakes that are under way."""
        self._accepting.cancel()
        self._tasks.cancel()
        for connection in self._accepted:
            connection.close()
        self._accepted.clear()

    async def aclose(self) -> None:
        """Stop, and wait until that is done."""
        self.stop()
        await self._accepting.aclose()
        await self._tasks.aclose()

    async def _accept(self, listener: socket.socket) -> None:
        with listener:  # closed at the end, so that clients are refused and do not wait
            while True:
                try:
                    connection, _ = await asyncio.get_running_loop().sock_accept(listener)
                except OSError as error:
                    _log.error("a connection could not be accepted: %s", error.strerror or error)
                    await asyncio.sleep(_PAUSE)
                    continue
                if self.running < self._most:
                    self._accepted.add(connection)
                    _ = self._tasks.start(self._shake(connection), name="TLS handshake")
                else:
                    self.refused += 1
                    connection.close()

    async def _shake(self, connection: socket.socket) -> None:
        self._accepted.discard(connection)
        with contextlib.suppress(OSError):  # what a stranger does wrong in it is the stranger's affair
            await asyncio.get_running_loop().connect_accepted_socket(
                self._make,
                connection,
                ssl=self._tls.context,
                ssl_handshake_timeout=self._seconds,
                ssl_shutdown_timeout=_GOODBYE,
            )
