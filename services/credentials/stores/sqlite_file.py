"""
The file of the embedded store: where it lies, who may read it, how it is opened, who may write at the moment.

A crash at any write leaves the old record or the new one: write-ahead log, `synchronous=FULL` (the log is synced
before a commit returns), and never a network file system, because the log's index is shared memory.
"""

import contextlib
import errno
import os
import shutil
import sqlite3
import stat
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from services.credentials.stores.port import StoreRefused, StoreUnavailable

LOCK_WAIT: Final = 1.5  # seconds for another process's write; below the deadline of a call
_LITTLE: Final = 64 * 1024  # bytes that SQLite needs beside the file
_LOCK_STEP: Final = 0.005
_APPLICATION: Final = 0x7A637278  # "zcrx": tells our file from any other SQLite file
_SCHEMA: Final = 1
_TABLES: Final = (
    """CREATE TABLE records (kind TEXT, id TEXT, version INTEGER NOT NULL, kid INTEGER NOT NULL, value BLOB NOT NULL,
                             PRIMARY KEY (kind, id))""",
    """CREATE TABLE leases  (kind TEXT, id TEXT, owner TEXT NOT NULL, since REAL NOT NULL, until REAL NOT NULL,
                             fence INTEGER NOT NULL, PRIMARY KEY (kind, id))""",
    "CREATE TABLE once    (kind TEXT, id TEXT, value BLOB NOT NULL, until REAL NOT NULL, PRIMARY KEY (kind, id))",
    "CREATE TABLE state   (generation INTEGER NOT NULL)",
)
_PASSING: Final = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EMFILE, errno.ENFILE)  # may be mended meanwhile
# fullfsync: on macOS a plain fsync does not reach the platter; elsewhere these two do nothing.
_PRAGMAS: Final = (
    "synchronous=FULL",
    "foreign_keys=ON",
    "fullfsync=ON",
    "checkpoint_fullfsync=ON",
    "secure_delete=ON",
    "trusted_schema=OFF",
    "temp_store=MEMORY",
)


class WriterLock:
    """
    One writer at a time over all processes of a machine, kept by the kernel: who dies lets go.

    A lock on a file of its own, because SQLite's locks on the database are dropped when anybody in this process
    closes a second descriptor of it, and are not taken while a new file is given its tables.
    """

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | _NO_FOLLOW, 0o600)

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Wait at most `LOCK_WAIT` for the lock, hold it while the block runs."""
        deadline = time.monotonic() + LOCK_WAIT
        while not _try_lock(self._descriptor):
            if time.monotonic() >= deadline:
                raise StoreUnavailable("another process has been writing to the store for too long")
            time.sleep(_LOCK_STEP)
        try:
            yield
        finally:
            _unlock(self._descriptor)

    def close(self) -> None:
        os.close(self._descriptor)


def open_file(path: Path, generation: int) -> tuple[sqlite3.Connection, WriterLock]:
    """
    Open the store's file, making it and its directory if need be; call on the thread that will use it.

    A new file starts at `generation`.
    """
    try:
        _prepare_directory(path.parent)
        _prepare_file(path)
        lock = WriterLock(path.with_name(f"{path.name}.lock"))
    except OSError as error:
        kind = StoreUnavailable if error.errno in _PASSING else StoreRefused
        raise kind(f"the store {path} cannot be opened: {error.strerror}") from error
    try:
        with lock.held():
            return _connect(path, generation), lock
    except BaseException:
        lock.close()
        raise


def why(error: sqlite3.Error, path: Path) -> str:
    """SQLite says "disk I/O error" where the system has said that there is no room."""
    with contextlib.suppress(OSError):
        if shutil.disk_usage(path.parent).free < _LITTLE:
            return f"{error}; its disk is full"
    return str(error)


def _connect(path: Path, generation: int) -> sqlite3.Connection:
    connection: sqlite3.Connection | None = None
    try:
        connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True, isolation_level=None, timeout=1.0)
        _prepare(connection, path, generation)
    except BaseException as error:
        if connection is not None:
            connection.close()
        if isinstance(error, sqlite3.OperationalError):  # full, busy, unreadable: may pass
            raise StoreUnavailable(f"the store {path} cannot be opened: {why(error, path)}") from error
        if isinstance(error, sqlite3.DatabaseError):
            raise StoreRefused(f"{path} is not a store, or is damaged: {error}") from error
        raise
    return connection


def _prepare(connection: sqlite3.Connection, path: Path, generation: int) -> None:
    _check_ours(connection, path)
    (mode,) = connection.execute("PRAGMA journal_mode=WAL").fetchone()
    if mode != "wal":
        raise StoreRefused(f"the store {path} lies on a file system without shared memory; use a local disk")
    for pragma in _PRAGMAS:
        connection.execute(f"PRAGMA {pragma}").close()
    _make_tables(connection, generation)


def _check_ours(connection: sqlite3.Connection, path: Path) -> None:
    """Refuse a foreign or a newer file before anything is written to it."""
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (schema,) = connection.execute("PRAGMA user_version").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if application != _APPLICATION and (application or schema or tables):
        raise StoreRefused(f"{path} is a database of another program")
    if schema > _SCHEMA:
        raise StoreRefused(f"{path} was written by a newer version of this program")


def _make_tables(connection: sqlite3.Connection, generation: int) -> None:
    (schema,) = connection.execute("PRAGMA user_version").fetchone()
    if schema == _SCHEMA:
        return
    connection.execute("BEGIN IMMEDIATE")
    for statement in _TABLES:
        connection.execute(statement)
    connection.execute("INSERT INTO state VALUES (?)", (generation,))
    connection.execute(f"PRAGMA application_id={_APPLICATION}")
    connection.execute(f"PRAGMA user_version={_SCHEMA}")
    connection.execute("COMMIT")


def _prepare_directory(directory: Path) -> None:
    """Ours alone. One that others may write to is refused: they could put another file in the store's place."""
    with contextlib.suppress(FileExistsError):
        directory.parent.mkdir(parents=True, exist_ok=True)
        directory.mkdir(mode=0o700)
    if sys.platform == "win32":
        return
    found = directory.stat()
    if found.st_uid != os.geteuid() or found.st_mode & 0o022:
        raise StoreRefused(
            f"the directory {directory} is not this user's alone: `chmod 700` it, or name one that does not exist yet"
        )
    if stat.S_IMODE(found.st_mode) & 0o077:
        directory.chmod(0o700)


def _prepare_file(path: Path) -> None:
    """Make the file before SQLite does, so that it never exists with another mode; its log takes the same mode."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | _NO_FOLLOW, 0o600)
    try:
        if sys.platform != "win32":
            os.fchmod(descriptor, 0o600)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    if sys.platform != "win32":
        _sync_directory(path.parent)


if sys.platform != "win32":
    import fcntl

    _NO_FOLLOW: Final = os.O_NOFOLLOW

    def _try_lock(descriptor: int) -> bool:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _unlock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_UN)

    def _sync_directory(directory: Path) -> None:
        """A new file's name is durable only when its directory is."""
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

else:  # pragma: no cover -- no flock there; SQLite's own locks hold, and directories cannot be synced
    _NO_FOLLOW: Final = 0

    def _try_lock(_descriptor: int) -> bool:
        return True

    def _unlock(_descriptor: int) -> None:
        return None
