"""
How every process serves HTTP: one event loop, one worker, any number of listeners, and an orderly end.

The end of a process (promises.md C10):

    told how                what happens
    SIGUSR1, announce()     readiness says no, every answer closes its connection, new requests are still served:
                            what a preStop step calls, so that proxies move away before anything is refused
    SIGTERM, SIGINT, stop() the above, and public listeners refuse new connections and close idle ones; running
                            requests go on. Shortly before the drain deadline `on_deadline` is called, so that the
                            application can end its streams with a proper last event; what is left at the deadline
                            is cut. Then applications shut down, public ones first; probes are answered to the last
    a second SIGTERM/SIGINT everything is cut at once

Exit codes of `serve`: 0 every request ended, 1 some had to be cut at the deadline, 128 + n cut by a second signal n.
"""

import asyncio
import contextlib
import logging
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from services.chassis.health import Health
from services.chassis.large_pages import use_large_pages
from services.chassis.process import Watchdog, freeze_garbage
from services.chassis.site import Listener, Site

_log = logging.getLogger(__name__)

DRAIN: Final = 600.0
_MARGIN: Final = 5.0  # seconds before the deadline at which the application is asked to end its streams
_SHUTDOWN: Final = 3.0  # for an application's own shutdown: the whole exit stays within the drain time plus 5 s
_ADMIN_QUIET: Final = 0.5  # probes are short


def ask_to_drain() -> None:
    """Tell this process's own `serve` what SIGUSR1 tells it: for an admin port, which does not know the server."""
    os.kill(os.getpid(), signal.SIGUSR1)


class Server:
    """The listeners of one process. `start`, then `stop` once; `serve` is the same with signals."""

    def __init__(
        self,
        listeners: Sequence[Listener],
        *,
        drain_seconds: float = DRAIN,
        health: Health | None = None,
        on_drain: Callable[[], None] | None = None,
        on_deadline: Callable[[], None] | None = None,
        shutdown_seconds: float = _SHUTDOWN,
    ) -> None:
        # Admin first: probes are answered while the rest still starts.
        self._order = sorted((Site(each) for each in listeners), key=lambda site: not site.listener.admin)
        self.sites = tuple(next(site for site in self._order if site.listener is each) for each in listeners)
        self.health = health or Health()
        self._drain_seconds = drain_seconds
        self._on_drain = on_drain
        self._on_deadline = on_deadline
        self._shutdown_seconds = shutdown_seconds
        self._hurry = asyncio.Event()

    @property
    def ports(self) -> tuple[int, ...]:
        """The bound ports, in the order the listeners were given."""
        return tuple(site.port for site in self.sites)

    @property
    def _public(self) -> list[Site]:
        return [site for site in self._order if not site.listener.admin]

    async def start(self) -> None:
        """
        Bind every address, then start the applications.

        Raises CannotListen or StartupFailed, with nothing left open.
        """
        try:
            for site in self._order:
                site.bind()
            for site in self._order:
                await site.start()
        except BaseException:
            await self._close_all()
            raise
        self.health.started()

    def announce(self) -> None:
        """Let it be known that this process is about to end, and serve on."""
        if self.health.draining:
            return
        self.health.drain()
        for site in self._public:
            site.guard.closing = True
        _log.info("draining")
        if self._on_drain is not None:
            self._on_drain()

    def hurry(self) -> None:
        """Do not wait for running requests any longer."""
        self._hurry.set()

    async def stop(self) -> bool:
        """Drain and end; returns whether every request ended by itself."""
        self.announce()
        for site in self._public:
            site.stop_accepting()
        whole = await self._drain()
        if not whole:
            _log.warning("cutting %d requests", sum(site.running for site in self._public))
            await asyncio.gather(*(site.cut() for site in self._public))
        await self._close_all()
        return whole

    async def _drain(self) -> bool:
        margin = min(_MARGIN, self._drain_seconds / 3)
        if await self._quiet(self._drain_seconds - margin):
            return True
        if self._on_deadline is not None:
            self._on_deadline()
        return await self._quiet(margin)

    async def _quiet(self, seconds: float) -> bool:
        if self._hurry.is_set():
            return False
        waits = asyncio.gather(*(site.quiet(seconds) for site in self._public))
        hurry = asyncio.ensure_future(self._hurry.wait())
        await asyncio.wait((waits, hurry), return_when=asyncio.FIRST_COMPLETED)
        hurry.cancel()
        if waits.done():
            return all(waits.result())
        waits.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await waits
        return False

    async def _close_all(self) -> None:
        for site in self._public:
            await site.close(self._shutdown_seconds)
        self.health.stop()
        for site in self._order:
            if site.listener.admin:
                site.stop_accepting()
                if not await site.quiet(_ADMIN_QUIET):
                    await site.cut()
                await site.close(self._shutdown_seconds)


async def serve(
    *listeners: Listener,
    drain_seconds: float = DRAIN,
    health: Health | None = None,
    on_started: Callable[[Server], None] | None = None,
    on_drain: Callable[[], None] | None = None,
    on_deadline: Callable[[], None] | None = None,
    on_lag: Callable[[float], None] | None = None,
    watchdog: bool = True,
) -> int:
    """Serve until a signal says to stop; returns the exit code. Raises CannotListen or StartupFailed."""
    server = Server(listeners, drain_seconds=drain_seconds, health=health, on_drain=on_drain, on_deadline=on_deadline)
    signals = _Signals(server)
    watch = Watchdog(on_tick=server.health.tick, on_lag=on_lag) if watchdog else None
    with signals.handled():
        if watch is not None:
            watch.start()
        try:
            use_large_pages()  # before anybody is served: it takes some 30 ms
            await server.start()
            freeze_garbage()
            _log.info("serving on %s", ", ".join(site.address for site in server.sites))
            if on_started is not None:
                on_started(server)
            await signals.stop.wait()
            whole = await server.stop()
        finally:
            if watch is not None:
                watch.stop()
    return signals.exit_code(whole)


class _Signals:
    """What the operating system tells this process while it serves."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._forced: signal.Signals | None = None
        self.stop = asyncio.Event()

    @contextlib.contextmanager
    def handled(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        handlers = {signal.SIGTERM: self._end, signal.SIGINT: self._end, signal.SIGUSR1: self._announce}
        for number, handler in handlers.items():
            loop.add_signal_handler(number, handler, number)
        try:
            yield
        finally:
            for number in handlers:
                loop.remove_signal_handler(number)

    def _announce(self, number: signal.Signals) -> None:
        del number
        self._server.announce()

    def _end(self, number: signal.Signals) -> None:
        if self.stop.is_set():
            self._forced = number
            self._server.hurry()
        self.stop.set()

    def exit_code(self, whole: bool) -> int:
        if self._forced is not None and not whole:
            return 128 + self._forced
        return 0 if whole else 1
