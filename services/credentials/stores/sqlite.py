"""
The embedded store: one SQLite file, for a laptop or a single machine; several processes of the machine may share it.

Theory of operation
- One thread owns the connection; a method is one function run on it, one transaction at most. What is cancelled or
  past its deadline may still happen there, which is what `StoreUnavailable` says.
- A write holds the writer lock (flock) from its first read to its commit, so a compare and its swap, a lease and its
  grant are one step over all processes, and a killed writer holds nothing.
- Leases go by the machine's monotonic clock, which all processes of a machine share on the platforms served: a stepped
  wall clock loses none. A reboot starts that clock anew; a lease from the future is nobody's.
- One-time values outlive a reboot and go by the wall clock.
- Nobody tells other processes of a change: who waits looks every quarter of a second; own changes are seen at once.
"""

import asyncio
import contextlib
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, TypeVar

from services.chassis.clock import Clock, SystemClock
from services.credentials.stores import names
from services.credentials.stores.port import Busy, Granted, Stale, StoreUnavailable, Versioned
from services.credentials.stores.sqlite_file import WriterLock, open_file

T = TypeVar("T")

DEADLINE: Final = 3.0  # seconds of one call; a disk that syncs slower than that is broken
_LOOK_EVERY: Final = 0.25  # for other processes' changes


class SqliteStore:
    """A `Store` in one file."""

    def __init__(self, path: Path, clock: Clock | None = None) -> None:
        self._path = path
        self._clock: Clock = clock or SystemClock()
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="store")
        self._opened: tuple[sqlite3.Connection, WriterLock] | None = None  # of the thread alone
        self._change = asyncio.Event()
        self._closed = False

    async def open(self) -> None:
        """Open the file now, so that what is wrong with it is known at the start; otherwise the first call does."""
        await self._on_thread(self._file)

    async def get(self, kind: str, id_: str, *, durable: bool = False) -> Versioned | None:
        del durable  # what can be read has been synchronised
        names.check(kind, id_)
        return await self._on_thread(lambda: _get(self._file()[0], kind, id_))

    async def scan(self, kind: str) -> dict[str, Versioned]:
        names.check(kind, "any")
        query = "SELECT id, version, value, kid FROM records WHERE kind = ?"
        return await self._on_thread(
            lambda: {id_: Versioned(*row) for id_, *row in self._file()[0].execute(query, (kind,))}
        )

    async def put(self, kind: str, id_: str, value: bytes, *, kid: int, expected: int) -> bool:
        names.check(kind, id_)
        return await self._changing(lambda at: _put(at, (kind, id_), value, kid, expected))

    async def remove(self, kind: str, id_: str, *, expected: int) -> bool:
        names.check(kind, id_)
        return await self._changing(lambda at: _remove(at, kind, id_, expected))

    async def acquire(self, kind: str, id_: str, owner: str, *, ttl: float, seen: int) -> Granted | Busy | Stale:
        names.check(kind, id_)
        clock = self._clock
        return await self._writing(lambda at: _acquire(at, (kind, id_), owner, clock.monotonic(), ttl, seen))

    async def renew(self, kind: str, id_: str, owner: str, *, ttl: float) -> bool:
        names.check(kind, id_)

        def work(at: sqlite3.Connection) -> bool:
            now = self._clock.monotonic()
            query = "UPDATE leases SET until = ? WHERE kind = ? AND id = ? AND owner = ? AND since <= ? AND until > ?"
            return at.execute(query, (now + ttl, kind, id_, owner, now, now)).rowcount == 1

        return await self._writing(work)

    async def release(self, kind: str, id_: str, owner: str) -> None:
        names.check(kind, id_)
        query = "UPDATE leases SET until = 0 WHERE kind = ? AND id = ? AND owner = ?"
        await self._writing(lambda at: at.execute(query, (kind, id_, owner)).rowcount)

    async def put_once(self, kind: str, id_: str, value: bytes, *, ttl: float, durable: bool = False) -> bool:
        del durable  # every write is synchronised
        names.check(kind, id_)

        def work(at: sqlite3.Connection) -> bool:
            now = self._clock.now()
            at.execute("DELETE FROM once WHERE until <= ?", (now,))
            query = "INSERT INTO once VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING"
            return at.execute(query, (kind, id_, value, now + ttl)).rowcount == 1

        return await self._writing(work)

    async def take(self, kind: str, id_: str) -> bytes | None:
        names.check(kind, id_)

        def work(at: sqlite3.Connection) -> bytes | None:
            found = at.execute("SELECT value, until FROM once WHERE kind = ? AND id = ?", (kind, id_)).fetchone()
            if found is None:
                return None
            at.execute("DELETE FROM once WHERE kind = ? AND id = ?", (kind, id_))
            value, until = found
            return value if until > self._clock.now() else None

        return await self._writing(work)

    async def generation(self) -> int:
        return await self._on_thread(lambda: _generation(self._file()[0]))

    async def changed(self, after: int, *, wait: float) -> int:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + wait
        while True:
            change = self._change
            generation = await self.generation()
            left = deadline - loop.time()
            if generation > after or left <= 0:
                return generation
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(left, _LOOK_EVERY)):
                    await change.wait()

    async def now(self) -> float:
        if self._closed:
            raise StoreUnavailable("the store is closed")
        return self._clock.now()

    async def aclose(self) -> None:
        if self._closed:
            return
        self._closed = True
        self._announce()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(DEADLINE):
                await asyncio.get_running_loop().run_in_executor(self._thread, self._let_go)
        self._thread.shutdown(wait=False)

    async def _changing(self, work: Callable[[sqlite3.Connection], bool]) -> bool:
        """Run a write of a versioned value; one that happened raises the generation, in the same transaction."""

        def counted(at: sqlite3.Connection) -> bool:
            if not work(at):
                return False
            at.execute("UPDATE state SET generation = max(generation + 1, ?)", (self._moment(),))
            return True

        try:
            return await self._writing(counted)
        finally:
            self._announce()

    async def _writing(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run a write in one transaction under the writer lock."""

        def transaction() -> T:
            connection, lock = self._file()
            with lock.held():
                connection.execute("BEGIN IMMEDIATE")
                try:
                    result = work(connection)
                    connection.execute("COMMIT")
                except BaseException:
                    if connection.in_transaction:
                        connection.execute("ROLLBACK")
                    raise
            return result

        return await self._on_thread(transaction)

    async def _on_thread(self, work: Callable[[], T]) -> T:
        if self._closed:
            raise StoreUnavailable("the store is closed")
        try:
            async with asyncio.timeout(DEADLINE):
                return await asyncio.get_running_loop().run_in_executor(self._thread, self._guarded, work)
        except TimeoutError as error:
            raise StoreUnavailable(f"the store did not answer within {DEADLINE:.0f} s") from error

    def _guarded(self, work: Callable[[], T]) -> T:
        """After any failure the connection is given up: what it believes of a broken disk is worth nothing."""
        try:
            return work()
        except sqlite3.Error as error:
            self._let_go()
            raise StoreUnavailable(f"the store failed: {error}") from error

    def _file(self) -> tuple[sqlite3.Connection, WriterLock]:
        if self._opened is None:
            self._opened = open_file(self._path, self._moment())
        return self._opened

    def _moment(self) -> int:
        """What a generation counts from: milliseconds, so that a store made anew is ahead of the one before it."""
        return int(self._clock.now() * 1000)

    def _let_go(self) -> None:
        if self._opened is None:
            return
        connection, lock = self._opened
        self._opened = None
        with contextlib.suppress(sqlite3.Error):
            connection.close()
        lock.close()

    def _announce(self) -> None:
        """Wake who waits now; who comes later waits for the next event."""
        self._change.set()
        self._change = asyncio.Event()


def _get(at: sqlite3.Connection, kind: str, id_: str) -> Versioned | None:
    query = "SELECT version, value, kid FROM records WHERE kind = ? AND id = ?"
    row = at.execute(query, (kind, id_)).fetchone()
    return None if row is None else Versioned(*row)


def _put(at: sqlite3.Connection, name: tuple[str, str], value: bytes, kid: int, expected: int) -> bool:
    if expected == 0:
        query = "INSERT INTO records VALUES (?, ?, 1, ?, ?) ON CONFLICT DO NOTHING"
        return at.execute(query, (*name, kid, value)).rowcount == 1
    query = "UPDATE records SET version = version + 1, kid = ?, value = ? WHERE kind = ? AND id = ? AND version = ?"
    return at.execute(query, (kid, value, *name, expected)).rowcount == 1


def _remove(at: sqlite3.Connection, kind: str, id_: str, expected: int) -> bool:
    query = "DELETE FROM records WHERE kind = ? AND id = ? AND version = ?"
    return at.execute(query, (kind, id_, expected)).rowcount == 1


def _acquire(
    at: sqlite3.Connection, name: tuple[str, str], owner: str, now: float, ttl: float, seen: int
) -> Granted | Busy | Stale:
    stored = _get(at, *name)
    if stored is not None and stored.version > seen:
        return Stale(stored.version)
    query = "SELECT owner, since, until, fence FROM leases WHERE kind = ? AND id = ?"
    holder, since, until, fence = at.execute(query, name).fetchone() or ("", 0.0, 0.0, 0)
    if holder != owner and since <= now < until:
        return Busy(until - now)
    at.execute("REPLACE INTO leases VALUES (?, ?, ?, ?, ?, ?)", (*name, owner, now, now + ttl, fence + 1))
    return Granted(fence + 1)


def _generation(at: sqlite3.Connection) -> int:
    (generation,) = at.execute("SELECT generation FROM state").fetchone()
    return int(generation)
