"""
The books of one machine: a SQLite file of their own beside the store, which may be lost without harm.

One thread owns the connection. Several processes may share the file: SQLite's own lock is enough, because no write
depends on what was read. Nothing is synced to the disk for its own sake: a power cut costs the last minutes' numbers.
"""

import asyncio
import os
import sqlite3
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, TypeVar

from services.chassis.clock import Clock, SystemClock
from services.chassis.storage import StoreUnavailable
from services.gateway.books.port import Tally, Usage, UsageKey, added_up

T = TypeVar("T")

FILE_NAME: Final = "usage.db"

_DEADLINE: Final = 3.0  # seconds of one call
_BUSY_STEP: Final = 0.02  # seconds
_COUNTS: Final = Tally.__struct_fields__
_TABLES: Final = (
    f"""CREATE TABLE IF NOT EXISTS usage (hour INTEGER, process TEXT, model TEXT, key TEXT, credential TEXT,
        {", ".join(f"{name} INTEGER NOT NULL" for name in _COUNTS)},
        PRIMARY KEY (hour, process, model, key, credential)) WITHOUT ROWID""",
    "CREATE TABLE IF NOT EXISTS notes (what TEXT PRIMARY KEY, text BLOB NOT NULL, until REAL NOT NULL)",
)
_WRITE: Final = f"REPLACE INTO usage VALUES ({', '.join('?' * (5 + len(_COUNTS)))})"  # noqa: S608 -- constants
_READ: Final = (
    f"SELECT hour, model, key, credential, {', '.join(f'SUM({name})' for name in _COUNTS)} FROM usage"  # noqa: S608 -- constants
    " WHERE hour BETWEEN ? AND ? GROUP BY hour, model, key, credential"
)
_CLAIM: Final = (
    "INSERT INTO notes VALUES (?, x'', ?) ON CONFLICT (what) DO UPDATE SET until = excluded.until WHERE until <= ?"
)


class SqliteBooks:
    """`Books` in one file, made when it is first written to."""

    def __init__(self, path: Path, process: str, clock: Clock | None = None) -> None:
        self._path = path
        self._process = process
        self._clock: Clock = clock or SystemClock()
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="books")
        self._opened: sqlite3.Connection | None = None  # of the thread alone

    async def write(self, totals: Usage) -> None:
        rows = [
            (key.hour, self._process, key.model, key.key, key.credential, *(getattr(tally, name) for name in _COUNTS))
            for key, tally in totals.items()
        ]
        await self._on_thread(lambda at: at.executemany(_WRITE, rows).rowcount)

    async def read(self, first: int, last: int) -> Usage:
        if self._opened is None and not self._path.exists():
            return {}
        rows = await self._on_thread(lambda at: at.execute(_READ, (first, last)).fetchall())
        return added_up((UsageKey(*row[:4]), Tally(**dict(zip(_COUNTS, row[4:], strict=True)))) for row in rows)

    async def prune(self, before: int) -> None:
        await self._on_thread(lambda at: at.execute("DELETE FROM usage WHERE hour < ?", (before,)).rowcount)

    async def claim(self, what: str, seconds: float) -> bool:
        now = self._clock.now()
        return await self._on_thread(lambda at: at.execute(_CLAIM, (f"claim:{what}", now + seconds, now)).rowcount == 1)

    async def note(self, what: str, text: bytes, seconds: float) -> None:
        row = (what, text, self._clock.now() + seconds)
        await self._on_thread(lambda at: at.execute("REPLACE INTO notes VALUES (?, ?, ?)", row).rowcount)

    async def recall(self, what: str) -> bytes | None:
        if self._opened is None and not self._path.exists():
            return None
        query = "SELECT text FROM notes WHERE what = ? AND until > ?"
        row = await self._on_thread(lambda at: at.execute(query, (what, self._clock.now())).fetchone())
        return None if row is None else bytes(row[0])

    async def aclose(self) -> None:
        await asyncio.get_running_loop().run_in_executor(self._thread, self._close)
        self._thread.shutdown(wait=False)

    async def _on_thread(self, work: Callable[[sqlite3.Connection], T]) -> T:
        try:
            async with asyncio.timeout(_DEADLINE):
                return await asyncio.get_running_loop().run_in_executor(self._thread, self._transaction, work)
        except TimeoutError as error:
            raise StoreUnavailable(f"{self._path.name} did not answer within {_DEADLINE:.0f} s") from error
        except (RuntimeError, sqlite3.Error, OSError) as error:
            raise StoreUnavailable(f"{self._path.name}: {error}") from error

    def _transaction(self, work: Callable[[sqlite3.Connection], T]) -> T:
        connection = self._connection()
        with connection:
            return work(connection)

    def _connection(self) -> sqlite3.Connection:
        if self._opened is None:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            os.close(os.open(self._path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o600))
            connection = sqlite3.connect(self._path, timeout=_DEADLINE / 2)
            try:
                _prepare(connection)
            except BaseException:
                connection.close()
                raise
            self._opened = connection
        return self._opened

    def _close(self) -> None:
        if self._opened is not None:
            self._opened.close()
            self._opened = None


def _prepare(connection: sqlite3.Connection) -> None:
    _write_ahead(connection, time.monotonic() + _DEADLINE / 2)
    connection.execute("PRAGMA synchronous=NORMAL")
    for table in _TABLES:
        connection.execute(table)


def _write_ahead(connection: sqlite3.Connection, until: float) -> None:
    """Change the journal's mode; SQLite does not wait here by itself for another process that is opening the file."""
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() >= until:
                raise
            time.sleep(_BUSY_STEP)
        else:
            return
