"""What one process owns: background tasks, limits at the operating system, and the watch over its event loop."""

import asyncio
import contextlib
import ctypes
import faulthandler
import gc
import logging
import os
import sys
import threading
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Any, Final, Self, TypeVar

import msgspec

from services.chassis.clock import Clock, SystemClock

T = TypeVar("T")

OPEN_FILES: Final = 8192
_PR_SET_DUMPABLE: Final = 4  # prctl(2)
_STUCK: Final = 70  # EX_SOFTWARE of sysexits.h

_log = logging.getLogger(__name__)


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run a process's main coroutine on uvloop where it exists, else on asyncio's own loop."""
    gc.enable()  # which `services.__main__` has turned off while everything was imported
    try:
        import uvloop  # noqa: PLC0415 -- absent on Windows and PyPy
    except ImportError:  # pragma: no cover -- the lock holds uvloop wherever the tests run
        factory = None
    else:
        factory = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        return runner.run(main)


class Hardening(msgspec.Struct, frozen=True):
    """What `harden` could do; a missing piece is for the log, never a reason not to start."""

    core_dumps_off: bool
    undumpable: bool
    open_files: int  # 0: the platform does not say


def harden(*, open_files: int = OPEN_FILES) -> Hardening:
    """Keep secrets out of core dumps and other processes' debuggers, and make room for connections. Best effort."""
    return Hardening(_no_core(), _undumpable(), _raise_open_files(open_files))


def _no_core() -> bool:
    try:
        import resource  # noqa: PLC0415 -- not on Windows
    except ImportError:  # pragma: no cover -- as above
        return False
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    return True


def _undumpable() -> bool:
    if sys.platform != "linux":
        return False
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        return bool(libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0) == 0)
    except (OSError, AttributeError):
        return False


def _raise_open_files(wanted: int) -> int:
    try:
        import resource  # noqa: PLC0415 -- not on Windows
    except ImportError:  # pragma: no cover -- as above
        return 0
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    target = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < target:
        with contextlib.suppress(ValueError, OSError):  # macOS caps below what it reports
            resource.setrlimit(resource.RLIMIT_NOFILE, (target, hard))
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def freeze_garbage() -> None:
    """Take what start-up built out of the collector's sight and collect less often (performance.md 6.9)."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 50, 100)


class Tasks:
    """
    Owner of background tasks: holds them, so that they are not collected, and ends them with their owner.

    A task that fails is reported once and forgotten; it does not take its siblings down.
    """

    def __init__(self, on_failure: Callable[[str, BaseException], None] | None = None) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()
        self._on_failure = on_failure or _log_failure

    def __len__(self) -> int:
        return len(self._tasks)

    def start(self, work: Coroutine[Any, Any, T], *, name: str) -> asyncio.Task[T]:
        """Run `work` in the background until it ends or this owner is closed."""
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (failure := task.exception()) is not None:
            self._on_failure(task.get_name(), failure)

    def cancel(self) -> None:
        """Cancel every task, without waiting for it."""
        for task in list(self._tasks):
            task.cancel()

    async def aclose(self, *, seconds: float = 2.0) -> bool:
        """Cancel every task and wait so long for them to clean up; returns whether all have ended."""
        tasks = list(self._tasks)
        self.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=seconds)
        return not any(not task.done() for task in tasks)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()


def _log_failure(name: str, failure: BaseException) -> None:
    _log.error("background task %s failed", name, exc_info=failure)


def _dump_and_exit(seconds: float) -> None:
    sys.stderr.write(f"the event loop has not turned for {seconds:.0f} s; the process ends itself\n")
    sys.stderr.flush()
    faulthandler.dump_traceback(all_threads=True)
    os._exit(_STUCK)


class Watchdog:
    """
    Ends a process whose event loop no longer turns, and measures how late it turns when it does.

    A loop that spins in one task answers no probe and heeds no signal (promises.md D3), so the watch is kept by a
    thread. The thread counts its own rounds rather than the clock: a process that was stopped and continued
    (SIGSTOP, a suspended laptop) has had no rounds either, and is not ended for it.
    """

    def __init__(
        self,
        *,
        interval: float = 1.0,
        limit: float = 30.0,
        on_tick: Callable[[float], None] | None = None,
        on_lag: Callable[[float], None] | None = None,
        on_stuck: Callable[[float], None] = _dump_and_exit,
        clock: Clock = SystemClock(),  # noqa: B008 -- stateless
    ) -> None:
        self._interval = interval
        self._limit = limit
        self._on_tick = on_tick  # gets the monotonic time of each turn
        self._on_lag = on_lag  # gets the seconds by which a turn was late
        self._on_stuck = on_stuck  # called on the watching thread
        self._clock = clock
        self._turns = 0
        self._due = 0.0
        self._handle: asyncio.TimerHandle | None = None
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)

    def start(self) -> None:
        """Begin on the running loop."""
        self._due = self._clock.monotonic()
        self._turn()
        self._thread.start()

    def stop(self) -> None:
        """End the watch; returns when the thread is gone."""
        if self._handle is not None:
            self._handle.cancel()
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join()

    def _turn(self) -> None:
        now = self._clock.monotonic()
        self._turns += 1
        if self._on_tick is not None:
            self._on_tick(now)
        if self._on_lag is not None:
            self._on_lag(max(0.0, now - self._due))
        self._due = now + self._interval
        self._handle = asyncio.get_running_loop().call_later(self._interval, self._turn)

    def _watch(self) -> None:
        seen, silent = self._turns, 0.0
        while not self._stopped.wait(self._interval):
            if self._turns != seen:
                seen, silent = self._turns, 0.0
                continue
            silent += self._interval
            if silent >= self._limit:
                self._on_stuck(silent)
                silent = 0.0
