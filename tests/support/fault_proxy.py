"""A TCP proxy that misbehaves on demand: slow, hung, silent, resetting, gone. Connections that exist are hit as well."""

import asyncio
import contextlib
import socket
import ssl
import struct
from enum import Enum
from types import TracebackType
from typing import Self


class Fault(Enum):
    """What happens to bytes and connections from now on."""

    NONE = "passes everything on"
    DELAY = "answers come late"
    HANG = "takes what is sent and never answers; new connections are accepted"
    BLACK_HOLE = "does not even take what is sent; new connections hang while they are made"
    RESET = "every connection is reset at its first byte"
    RESET_ANSWER = "what is sent gets there; instead of the answer comes a reset"
    REFUSED = "nobody listens"


class FaultProxy:
    """Sits in front of one server. With a TLS context it ends TLS, so that a server without TLS can be tested with it."""

    def __init__(self, port: int, tls: ssl.SSLContext | None = None, *, host: str = "127.0.0.1") -> None:
        self._host = host
        self._upstream = port
        self._tls = tls
        self._server: asyncio.Server | None = None
        self._backlog: list[socket.socket] = []
        self._connections: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._healthy = asyncio.Event()
        self.fault = Fault.NONE
        self.delay = 0.0  # seconds
        self._times = 0
        self.port = 0
        self.accepted = 0

    async def set(self, fault: Fault, *, delay: float = 0.0, times: int = 1 << 30) -> None:
        """Misbehave from now on; with RESET_ANSWER so many times."""
        await self._listen_as(fault)
        self.fault, self.delay, self._times = fault, delay, times
        if fault is Fault.NONE:
            self._healthy.set()
        else:
            self._healthy.clear()
        if fault in (Fault.RESET, Fault.REFUSED):
            for writer in list(self._connections):
                _reset(writer)

    async def _listen_as(self, fault: Fault) -> None:
        """A port that is full of connections nobody accepts answers no more than one behind a dropping firewall."""
        silent = fault in (Fault.BLACK_HOLE, Fault.REFUSED)
        for connection in self._backlog:
            connection.close()
        self._backlog = []
        if not silent and self._server is None:
            self._server = await asyncio.start_server(
                self._serve, "127.0.0.1", self.port, ssl=self._tls, reuse_address=True
            )
            self.port = self._server.sockets[0].getsockname()[1]
        elif silent and self._server is not None:
            self._server.close()
            self._server = None
        if fault is Fault.BLACK_HOLE:
            full = socket.socket()
            full.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            full.bind(("127.0.0.1", self.port))
            full.listen(0)
            self._backlog = [full]
            for _ in range(3):
                filler = socket.socket()
                filler.setblocking(False)
                with contextlib.suppress(BlockingIOError):
                    filler.connect(("127.0.0.1", self.port))
                self._backlog.append(filler)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        self._connections.add(writer)
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        with contextlib.suppress(OSError, asyncio.CancelledError):
            if self.fault is Fault.HANG:
                await self._healthy.wait()
            there, back = await asyncio.open_connection(self._host, self._upstream)
            self._connections.add(back)
            forth = asyncio.ensure_future(self._pump(reader, back, writer, answers=False))
            try:
                await self._pump(there, writer, writer, answers=True)
            finally:
                forth.cancel()
                self._connections.discard(back)
                back.close()
        self._tasks.discard(task)
        self._connections.discard(writer)
        writer.close()

    async def _pump(
        self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, client: asyncio.StreamWriter, *, answers: bool
    ) -> None:
        with contextlib.suppress(OSError):
            while True:
                if self.fault is Fault.BLACK_HOLE:
                    await self._healthy.wait()
                data = await source.read(65536)
                if self.fault is Fault.RESET or (self.fault is Fault.RESET_ANSWER and answers):
                    self._times -= 1
                    if self._times == 0:
                        self.fault = Fault.NONE
                    _reset(client)
                    return
                if self.fault is Fault.DELAY and answers:
                    await asyncio.sleep(self.delay)
                if self.fault in (Fault.HANG, Fault.BLACK_HOLE) and (answers or self.fault is Fault.BLACK_HOLE):
                    await self._healthy.wait()
                if not data:
                    sink.close()
                    return
                sink.write(data)
                await sink.drain()

    async def __aenter__(self) -> Self:
        await self.set(Fault.NONE)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.set(Fault.REFUSED)
        for task in list(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=2)


def _reset(writer: asyncio.StreamWriter) -> None:
    connection = writer.get_extra_info("socket")
    with contextlib.suppress(OSError, ValueError, AttributeError):  # closed already
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
