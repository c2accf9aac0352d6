"""One listener: an application behind the guard on one socket, from binding to its last connection."""

import asyncio
import logging
import socket
from collections.abc import Mapping
from typing import Any, Final

import msgspec
from uvicorn.config import Config
from uvicorn.server import ServerState

from services.chassis.direct import DirectRoute
from services.chassis.guard import GuardProtocol
from services.chassis.handshakes import Handshakes
from services.chassis.http_guard.limits import GuardLimits
from services.chassis.http_guard.timed import Guard
from services.chassis.listening import CannotListen, bind_tcp, bind_unix, unlink_unix
from services.chassis.problem import ErrorWriter, write_problem
from services.chassis.server_tls import ServerTls

_log = logging.getLogger(__name__)

_BACKLOG: Final = 4096
_POLL: Final = 0.01  # seconds between two looks at whether the last connection has gone
_CLEAN_UP: Final = 1.0  # seconds that cancelled requests get to put their things away


class StartupFailed(Exception):
    """The application's lifespan refused to start; the reason is in the log."""


class Listener(msgspec.Struct, frozen=True, kw_only=True):
    """What to serve, where, and to whom."""

    app: Any  # an ASGI 3 application
    direct: Mapping[bytes, DirectRoute] = {}  # by raw path: what is served without ASGI, while no proxy is trusted
    host: str = "127.0.0.1"
    port: int = 0  # 0: the system chooses
    uds: str | None = None  # a unix socket's path, in place of host and port
    setting: str = ""  # that names the port, for who finds it taken
    tls: ServerTls | None = None  # in place of plain HTTP
    limits: GuardLimits = GuardLimits()
    error_writer: ErrorWriter = write_problem
    forwarded_allow_ips: tuple[str, ...] = ()  # peers whose X-Forwarded-* are believed; empty: nobody
    lifespan: str = "on"  # on | auto | off
    admin: bool = False  # probes and metrics: up first, and served until everything else has drained


def uvicorn_config(listener: Listener) -> Config:
    """Return uvicorn's part of the settings (promises.md C16, performance.md 6.7)."""
    trusted = listener.forwarded_allow_ips
    config = Config(
        listener.app,
        http=GuardProtocol,
        ws="none",
        lifespan=listener.lifespan,  # type: ignore[arg-type] # a Literal on uvicorn's side; it checks the value itself
        interface="asgi3",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=False,
        proxy_headers=bool(trusted),
        forwarded_allow_ips=list(trusted),
        reset_contextvars=True,
        workers=1,
    )
    config.load()
    return config


class Site:
    """A listener that is being served. One use: bind, start, stop_accepting, cut, close, in that order."""

    def __init__(self, listener: Listener) -> None:
        self.listener = listener
        # A trusted proxy's word on who calls is read by uvicorn's middleware, in front of the application only.
        direct = {} if listener.forwarded_allow_ips else listener.direct
        self.guard = Guard(listener.limits, listener.error_writer, direct)
        self._config = uvicorn_config(listener)
        self._lifespan = self._config.lifespan_class(self._config)
        self._state = ServerState()
        self._socket: socket.socket | None = None
        self.port = 0  # known once bound; stays 0 for a unix socket
        self._server: asyncio.Server | None = None
        self._handshakes: Handshakes | None = None
        self._alive = False  # the application has started and not yet been shut down

    @property
    def connections(self) -> int:
        return len(self._state.connections)

    @property
    def running(self) -> int:
        """Requests whose application call has not returned."""
        return len(self._state.tasks)

    @property
    def address(self) -> str:
        """Where it listens, once bound: the socket's path, or host and port."""
        host = self.listener.host
        return self.listener.uds or f"{f'[{host}]' if ':' in host else host}:{self.port}"

    def bind(self) -> None:
        """Take the address, without listening on it yet, so that a taken one is known before anything else starts."""
        if self.listener.uds is not None:
            self._socket = bind_unix(self.listener.uds)
            return
        try:
            self._socket = bind_tcp(self.listener.host, self.listener.port)
        except CannotListen as error:
            setting = self.listener.setting
            raise CannotListen(f"{error}; {setting} sets another port" if setting else str(error)) from error
        self.port = int(self._socket.getsockname()[1])

    async def start(self) -> None:
        """Start the application, then let clients in."""
        if self._socket is None:
            raise RuntimeError("bind comes before start")
        await self._lifespan.startup()
        if self._lifespan.should_exit:
            raise StartupFailed("the application did not start")
        self._alive = True
        loop = asyncio.get_running_loop()
        self.guard.start(loop, self._state.connections)
        state = self._lifespan.state

        def connect() -> GuardProtocol:
            return GuardProtocol(self.guard, self._config, self._state, state, loop)

        if self.listener.tls is not None:
            self._handshakes = Handshakes(self.listener.tls, connect, seconds=self.listener.limits.header_seconds)
            self._handshakes.start(self._socket, _BACKLOG)
            return
        listen = loop.create_server if self.listener.uds is None else loop.create_unix_server
        self._server = await listen(connect, sock=self._socket, backlog=_BACKLOG)

    def stop_accepting(self) -> None:
        """Refuse new connections, close idle ones, and let each running request be the last of its connection."""
        self.guard.closing = True
        if self._server is not None:
            self._server.close()
        if self._handshakes is not None:
            self._handshakes.stop()
        for connection in list(self._state.connections):
            connection.shutdown()

    async def quiet(self, seconds: float) -> bool:
        """Wait so long for the last connection to go; returns whether it has gone."""
        deadline = asyncio.get_running_loop().time() + seconds
        while self._state.connections or self._state.tasks:
            if asyncio.get_running_loop().time() >= deadline:
                return False
            await asyncio.sleep(_POLL)
        return True

    async def cut(self) -> None:
        """End whatever is still there: requests are cancelled, connections reset."""
        for task in list(self._state.tasks):
            task.cancel("the drain deadline has passed")
        await self.quiet(_CLEAN_UP)
        for connection in list(self._state.connections):
            connection.transport.abort()

    async def close(self, seconds: float) -> None:
        """Shut the application down, for so long at most, and give the address back."""
        self.guard.stop()
        if self._handshakes is not None:
            await self._handshakes.aclose()
        if self._alive:
            self._alive = False
            try:
                await asyncio.wait_for(self._lifespan.shutdown(), seconds)
            except TimeoutError:
                _log.error("the application took longer than %g s to shut down", seconds)
        if self._socket is not None:
            self._socket.close()
            if self.listener.uds is not None:
                unlink_unix(self.listener.uds)
