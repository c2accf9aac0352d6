"""Runs the load generator and reads its line of JSON; steers the mock upstream."""

import contextlib
import json
import subprocess
import time
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from bench.places import RUN
from bench.processes import HARNESS_CORE, Process, raise_priority
from bench.requests import Dialect

Result = dict[str, Any]

END: Final[dict[Dialect, str]] = {"anthropic": "message_stop", "openai": "[DONE]"}


_SHAPE_SECONDS: Final = 15.0


class LoadFailed(Exception):
    """The load generator did not end well, or the answers were wrong."""


class Mock:
    """The mock upstream's control port."""

    def __init__(self, process: Process) -> None:
        self.process = process
        self.port = process.port

    def shape(self, *, events: int = 200, pace: int = 0, single: bool = False, hold: bool = False) -> None:
        """Say what streams look like from now on, once none is open any more; `pace` in microseconds."""
        target = f"/_control?events={events}&pace={pace}&single={int(single)}&hold={int(hold)}"
        until = time.monotonic() + _SHAPE_SECONDS
        while not self._get(target)["shaped"]:
            if time.monotonic() > until:
                raise LoadFailed("streams of clients that left are still open upstream")
            time.sleep(0.05)

    def statistics(self) -> dict[str, int]:
        """Return the mock's counters."""
        return self._get("/_stats")

    def _get(self, target: str) -> dict[str, int]:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{target}", timeout=5) as answer:
            counters: dict[str, int] = json.loads(answer.read())
            return counters


class Load:
    """The load generator against one port."""

    def __init__(self, program: Path, port: int, request: bytes, *, pids: Sequence[int] = ()) -> None:
        self._file = RUN / "request.bin"
        self._file.write_bytes(request)
        self._command = [
            "taskset",
            "-c",
            str(HARNESS_CORE),
            str(program),
            "-p",
            str(port),
            "-f",
            str(self._file),
            "-P",
            ",".join(map(str, pids)),
        ]

    def run(self, *options: object, seconds: float) -> Result:
        """Measure; `seconds` is how long the load generator runs by its options."""
        with self._started(options) as process:
            out, error = process.communicate(timeout=seconds + 20)
        if process.returncode != 0:
            raise LoadFailed(error or f"load generator: exit code {process.returncode}")
        result: Result = json.loads(out.splitlines()[-1])
        return result

    @contextlib.contextmanager
    def held(self, *options: object, wait: float) -> Iterator[None]:
        """Hold streams open for the length of the block, which begins when all of them are."""
        with self._started(("-H", "-w", wait + 30, *options)) as process:
            if process.stdout is None or process.stdin is None:
                raise LoadFailed("no pipe")
            line = process.stdout.readline()
            if not line.startswith("READY"):
                raise LoadFailed(f"streams did not open: {line or process.wait()}")
            yield
            process.stdin.close()
            process.wait(10)

    @contextlib.contextmanager
    def _started(self, options: Sequence[object]) -> Iterator[subprocess.Popen[str]]:
        process = subprocess.Popen(
            [*self._command, *map(str, options)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        raise_priority(process.pid)
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
            for pipe in (process.stdin, process.stdout, process.stderr):
                if pipe is not None and not pipe.closed:
                    pipe.close()
