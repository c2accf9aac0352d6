"""
A process that writes to an embedded store until it is killed, and says what was acknowledged. See `StoreWriters`.

One process is started and forks for every round, so that a round costs milliseconds.
"""

import asyncio
import contextlib
import math
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from services.credentials.stores.port import StoreUnavailable, Versioned
from services.credentials.stores.sqlite import SqliteStore
from tests.support import system_calls
from tests.support.system_calls import Call, Supervisor

FILE = "state/store.db"
FILLER = b"." * 5000  # more than a page


# Number of the call from 1, the call, what was acknowledged so far -> None, an errno, or a negative signal.
Decide = Callable[[int, Call, list[int]], int | None]


class Round(msgspec.Struct):
    """What a round is to do, and what came of it."""

    directory: str
    first: int = 0
    writes: int = 4
    watched: bool = True


class Outcome(msgspec.Struct):
    """The numbers of the writes that were acknowledged, of those that were refused; the signal that ended it."""

    acknowledged: list[int] = []
    refused: list[int] = []
    signal: int = 0
    calls: list[Call] = []


def content(number: int) -> bytes:
    return b"%d:" % number + FILLER


def number_of(found: Versioned | None) -> int:
    """Return the number of the write that is stored, -1 for none; fails on anything torn."""
    if found is None:
        return -1
    number, _, rest = found.value.partition(b":")
    assert rest == FILLER
    return int(number)


class StoreWriters:
    """Starts rounds and supervises them."""

    def __init__(self) -> None:
        self._socket, theirs = socket.socketpair()
        self._socket.settimeout(30)
        words = [sys.executable, "-m", "tests.support.store_writer", str(theirs.fileno())]
        self._process = subprocess.Popen(words, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL)
        theirs.close()

    def run(self, round_: Round, decide: Decide | None = None, *, kill_after: float = 30.0) -> Outcome:
        """
        Run a round, for so many seconds at most. `decide` is asked at every call on a file of the store, before it happens:
        None passes it on, an errno lets it fail, a negative number sends its process that signal instead.
        """
        self._socket.sendall(msgspec.json.encode(round_) + b"\n")
        outcome, buffer, child, supervisor = Outcome(), b"", 0, None
        deadline = math.inf
        while True:
            waiting = [self._socket, *([supervisor] if supervisor is not None else [])]
            ready, _, _ = select.select(waiting, [], [], max(0.0, min(30.0, deadline - time.monotonic())))
            if not ready:
                if time.monotonic() < deadline:
                    raise TimeoutError("the writer is silent")
                os.kill(child, signal.SIGKILL)
                deadline = math.inf
            # What the writer has said comes first: it said so before it made the call that waits.
            if self._socket in ready:
                data, descriptors, _, _ = socket.recv_fds(self._socket, 65536, 1)
                *lines, buffer = (buffer + data).split(b"\n")
                for line in lines:
                    word, number = line.split()
                    match word:
                        case b"pid":
                            child, deadline = int(number), time.monotonic() + kill_after
                        case b"done":
                            outcome.signal = int(number)
                            if supervisor is not None:
                                supervisor.close()
                            return outcome
                        case b"ok":
                            outcome.acknowledged.append(int(number))
                        case b"no":
                            outcome.refused.append(int(number))
                supervisor = Supervisor(descriptors[0]) if descriptors else supervisor
            if supervisor is not None and supervisor in ready:
                self._supervise(supervisor, round_, outcome, decide, child)

    def _supervise(
        self,
        supervisor: Supervisor,
        round_: Round,
        outcome: Outcome,
        decide: Decide | None,
        child: int,
    ) -> None:
        call = supervisor.receive()
        if call is None:
            return
        ours = call.path.is_relative_to(round_.directory)
        if ours:
            outcome.calls.append(call)
        verdict = decide(len(outcome.calls), call, outcome.acknowledged) if ours and decide is not None else None
        if verdict is None:
            supervisor.pass_on(call)
        elif verdict > 0:
            supervisor.fail(call, verdict)
        else:
            os.kill(child, -verdict)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait(10)


async def _write(round_: Round, say: Callable[[str, int], None]) -> None:
    async with contextlib.aclosing(SqliteStore(Path(round_.directory) / FILE)) as store:
        for number in range(round_.first, round_.first + round_.writes):
            try:
                found = await store.get("cred", "crd_a")
                version = 0 if found is None else found.version
                ok = await store.put("cred", "crd_a", content(number), kid=1, expected=version)
            except StoreUnavailable:
                ok = False
            say("ok" if ok else "no", number)


def _child(round_: Round, channel: socket.socket) -> None:
    def say(word: str, number: int) -> None:
        channel.sendall(f"{word} {number}\n".encode())

    if round_.watched:
        listener = system_calls.listen()
        socket.send_fds(channel, [f"pid {os.getpid()}\n".encode()], [listener])
        os.close(listener)
    else:
        say("pid", os.getpid())
    asyncio.run(_write(round_, say))


def main(descriptor: int) -> None:
    channel = socket.socket(fileno=descriptor)
    lines = channel.makefile("rb")
    for line in lines:
        round_ = msgspec.json.decode(line, type=Round)
        child = os.fork()
        if child == 0:
            code = 1
            try:
                _child(round_, channel)
                code = 0
            finally:
                os._exit(code)
        _, status = os.waitpid(child, 0)
        channel.sendall(f"done {os.waitstatus_to_exitcode(status)}\n".encode())


if __name__ == "__main__":
    main(int(sys.argv[1]))
