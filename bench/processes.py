"""
Starts and ends processes that are measured or that measure: each pinned to a core and in a session of its own.

The kernel shares a core first between sessions (autogroup), then inside them by `nice`. A session of its own with a
higher autogroup priority keeps other work on the machine from being measured along (performance.md 1). Ends only what
it started.
"""

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Self

GATEWAY_CORE: Final = 0
HARNESS_CORE: Final = 1
PRIORITY: Final = -15  # of the autogroup, as nice counts

_STOP_SECONDS: Final = 5.0


class DidNotStart(Exception):
    """A process ended or did not listen in time; the message holds the end of its log."""


def free_port() -> int:
    """Return a loopback port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def listens(port: int) -> bool:
    """Say whether somebody accepts connections on a loopback port."""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=0.5):
        return True
    return False


def raise_priority(pid: int) -> bool:
    """Raise the autogroup of a session's leader; False where the kernel or our rights do not allow it."""
    try:
        Path(f"/proc/{pid}/autogroup").write_text(str(PRIORITY))
    except OSError:
        return False
    return True


def descendants(pid: int) -> list[int]:
    """Return a process and all its children, oldest first."""
    found = [pid]
    for each in found:
        with contextlib.suppress(OSError):
            for thread in Path(f"/proc/{each}/task").iterdir():
                found += [int(child) for child in (thread / "children").read_text().split()]
    return found


def memory(pids: Sequence[int]) -> int:
    """Return the bytes of memory of processes: their proportional share (PSS), or RSS where that cannot be read."""
    return sum(_memory_of(pid) for pid in pids)


def _memory_of(pid: int) -> int:
    for name, field in (("smaps_rollup", "Pss:"), ("status", "VmRSS:")):
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/{pid}/{name}").read_text().splitlines():
                if line.startswith(field):
                    return int(line.split()[1]) * 1024
    return 0


class Process:
    """One pinned process that listens on a loopback port. Use as a context manager."""

    def __init__(
        self,
        command: Sequence[str | Path],
        port: int,
        log: Path,
        *,
        core: int = GATEWAY_CORE,
        environment: Mapping[str, str] | None = None,
        directory: Path | None = None,
        wait: float = 20.0,
    ) -> None:
        self.port = port
        self._command = ["taskset", "-c", str(core), *map(str, command)]
        self._log = log
        self._environment = dict(os.environ if environment is None else environment)
        self._directory = directory
        self._wait = wait
        self._process: subprocess.Popen[bytes] | None = None
        self.prioritised = False

    def __enter__(self) -> Self:
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self._environment,
                cwd=self._directory,
                start_new_session=True,
            )
        self.prioritised = raise_priority(self._process.pid)
        try:
            self._await_port()
        except BaseException:
            self.stop()
            raise
        return self

    def _await_port(self) -> None:
        until = time.monotonic() + self._wait
        while not listens(self.port):
            if self._running.poll() is not None or time.monotonic() > until:
                raise DidNotStart(f"{self._command[3]}: {self._log.read_text(errors='replace')[-1500:]}")
            time.sleep(0.05)

    @property
    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise RuntimeError("not started")
        return self._process

    @property
    def pids(self) -> list[int]:
        """The process and its children."""
        return descendants(self._running.pid)

    def memory(self) -> int:
        """Return the bytes of memory of the process and its children."""
        return memory(self.pids)

    def stop(self) -> None:
        """End the process and its children, politely first."""
        if self._process is None:
            return
        pids = self.pids if self._process.poll() is None else []
        for number, seconds in ((signal.SIGTERM, _STOP_SECONDS), (signal.SIGKILL, _STOP_SECONDS)):
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, number)
            if self._process.poll() is None:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self._process.wait(seconds)
            pids = [pid for pid in pids if Path(f"/proc/{pid}").exists()]
            if not pids:
                break
        self._process.poll()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


@contextlib.contextmanager
def pinned_here(core: int) -> Iterator[None]:
    """Keep this process itself off the gateway's core."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
