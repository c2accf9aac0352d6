"""
Replicas of the credentials service as processes of their own, that may be killed, stopped and asked to end.

    with Nursery(tmp_path) as nursery:
        worker = nursery.spawn(Work(store=url, directory=…, provider=provider.url), failpoint="refresh.after_answer:1:stop")
        worker.signal(signal.SIGKILL)

A worker is forked from a process that has everything imported and nothing started, so that a thousand of them cost
seconds. It runs the real broker with the real vault and spool; only its clock and its times are the test's.
"""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Self

import msgspec

from services.chassis.peer.token_file import TokenFile
from services.chassis.server import Server
from services.chassis.site import Listener
from services.credentials.app import create_app
from services.credentials.broker import Broker, BrokerSettings
from services.credentials.failpoints import VARIABLE, Failpoints
from services.credentials.keyring import Keyring
from services.credentials.refresh import Policy
from services.credentials.renewals import RenewalSettings
from services.credentials.stores.factory import open_store
from services.credentials.vault import Vault
from tests.support.credentials import MASTER
from tests.support.token_provider import HttpTokenProvider

ROOT = Path(__file__).parents[2]
STARTED_WITHIN = 20.0


class Work(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker does. Times in seconds."""

    store: str
    directory: str  # of its spool, its notes and its log; survives it
    provider: str
    lease: float = 0.5
    timeout: float = 2.0  # of a provider's call
    patience: float = 5.0
    unknown_pause: float = 0.05
    tick: float = 0.01
    pace: float = 1000.0
    skew: float = 0.0  # of its wall clock
    step: tuple[float, float] = (0.0, 0.0)  # after so many seconds its wall clock steps by so many
    master: str = MASTER.hex()  # the master key
    socket: str | None = None  # to serve gateways on
    token_file: str | None = None


class Worker:
    """One process."""

    def __init__(self, pid: int, parent: int, work: Work) -> None:
        self.pid = pid
        self._parent = parent
        self.work = work

    def signal(self, number: signal.Signals) -> None:
        """Send a signal; to nobody when this process is gone, even if another one has its number now."""
        with contextlib.suppress(ProcessLookupError):
            if not self.gone:
                os.kill(self.pid, number)

    def state(self) -> str:
        """Return the kernel's letter: R, S, T (stopped), Z; X when it is gone."""
        try:
            letter, parent = Path(f"/proc/{self.pid}/stat").read_text().rsplit(")", 1)[1].split()[:2]
        except (FileNotFoundError, ProcessLookupError):
            return "X"
        return letter if int(parent) == self._parent else "X"

    @property
    def gone(self) -> bool:
        return self.state() in "XZ"

    @property
    def ready(self) -> bool:
        """Whether it has read the store and serves."""
        return (Path(self.work.directory) / "ready").exists()

    @property
    def age(self) -> float:
        """For how many seconds it has been ready."""
        return time.time() - (Path(self.work.directory) / "ready").stat().st_mtime

    def notes(self) -> list[str]:
        """Return what its observer, and that of earlier workers with this directory, heard: `event subject`."""
        path = Path(self.work.directory) / "notes"
        return path.read_text().splitlines() if path.exists() else []


class Nursery:
    """The process that workers are forked from."""

    def __init__(self, directory: Path) -> None:
        self._log = (directory / "workers.log").open("ab")
        self._workers: list[Worker] = []
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        command = [sys.executable, "-m", "tests.support.credentials_worker"]
        self._process = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log
        )
        return self

    def spawn(self, work: Work, *, failpoint: str = "", wait: bool = True) -> Worker:
        """Start a worker; with `wait` return when it has read the store."""
        Path(work.directory).mkdir(parents=True, exist_ok=True)
        ready = Path(work.directory) / "ready"
        ready.unlink(missing_ok=True)
        assert self._process is not None
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps([failpoint, msgspec.to_builtins(work)]).encode() + b"\n")
        self._process.stdin.flush()
        worker = Worker(int(self._process.stdout.readline()), self._process.pid, work)
        self._workers.append(worker)
        deadline = time.monotonic() + STARTED_WITHIN
        while wait and not worker.ready and not worker.gone and worker.state() != "T":
            assert time.monotonic() < deadline, "a worker did not start"
            time.sleep(0.005)
        return worker

    def __exit__(self, *_: object) -> None:
        for worker in self._workers:
            worker.signal(signal.SIGKILL)
        assert self._process is not None
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait(timeout=10)
        self._log.close()


class _SkewedClock:
    def __init__(self, skew: float, step: tuple[float, float]) -> None:
        self._skew = skew
        self._step = step
        self._begun = time.monotonic()

    def now(self) -> float:
        after, by = self._step
        stepped = by if after and time.monotonic() - self._begun > after else 0.0
        return time.time() + self._skew + stepped

    def monotonic(self) -> float:
        return time.monotonic()


class _FileNotes:
    def __init__(self, path: Path) -> None:
        self._path = path

    def note(self, event: str, subject: str, detail: str = "") -> None:
        with self._path.open("a") as file:
            file.write(f"{event} {subject}\n")


async def _work(work: Work, failpoints: Failpoints) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    directory = Path(work.directory)
    clock = _SkewedClock(work.skew, work.step)
    store = await open_store(work.store, directory, clock=clock)
    vault = Vault(store, Keyring.generate(bytes.fromhex(work.master)))
    policy = Policy(lease=work.lease, provider=work.timeout, patience=work.patience, unknown_pause=work.unknown_pause)
    provider = HttpTokenProvider(work.provider, timeout=work.timeout)
    broker = Broker(
        vault,
        store,
        directory / "spool",
        {"test": provider, "zai": provider},
        settings=BrokerSettings(
            renewal=RenewalSettings(policy=policy, pace=work.pace, burst=work.pace), tick=work.tick
        ),
        observer=_FileNotes(directory / "notes"),
        clock=clock,
        failpoints=failpoints,
    )
    await broker.start()
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(store.aclose)
        stack.push_async_callback(provider.aclose)
        stack.push_async_callback(broker.aclose)
        if work.socket is not None and work.token_file is not None:
            app = create_app(broker, tokens=TokenFile(Path(work.token_file)), store=store)
            server = Server([Listener(app=app, uds=work.socket)], drain_seconds=1.0, on_drain=broker.end_polls)
            await server.start()
            stack.push_async_callback(server.stop)
        (directory / "ready").touch()
        await stop.wait()


def _child(failpoint: str, work: Work) -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.close(0)
    os.dup2(2, 1)  # whatever is printed goes to the log
    asyncio.run(_work(work, Failpoints.of({VARIABLE: failpoint})))


def _main() -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel buries the dead
    for line in sys.stdin.buffer:
        failpoint, work = json.loads(line)
        parsed: Any = msgspec.convert(work, Work)
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                _child(failpoint, parsed)
                code = 0
            finally:
                sys.stderr.flush()
                os._exit(code)
        print(pid, flush=True)


if __name__ == "__main__":
    _main()
