"""The file of the embedded store: who may read it, what is refused, who may write at the moment."""

import contextlib
import multiprocessing
import os
import resource
import signal
import sqlite3
import stat
import time
from pathlib import Path

import pytest

from services.credentials.stores.port import StoreRefused, StoreUnavailable
from services.credentials.stores.sqlite_file import LOCK_WAIT, WriterLock, open_file, why


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def opened(path: Path) -> sqlite3.Connection:
    connection, lock = open_file(path, 5)
    lock.close()
    return connection


def test_a_full_disk_is_named_where_sqlite_speaks_of_input_and_output(tmp_path: Path) -> None:
    error = sqlite3.OperationalError("disk I/O error")

    assert why(error, Path("/proc/store.db")) == "disk I/O error; its disk is full"  # which never has room
    assert why(error, tmp_path / "store.db") == why(error, tmp_path / "none" / "store.db") == "disk I/O error"


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_files_are_the_owners_alone_whatever_the_umask(tmp_path: Path, umask: int) -> None:
    path = tmp_path / "state" / "store.db"
    before = os.umask(umask)
    try:
        path.parent.mkdir(mode=0o700)
        path.parent.chmod(0o700)
        with contextlib.closing(opened(path)) as connection:
            connection.execute("INSERT INTO state VALUES (1)")
            modes = {file.name: mode_of(file) for file in path.parent.iterdir()}
    finally:
        os.umask(before)

    assert set(modes) == {"store.db", "store.db-wal", "store.db-shm", "store.db.lock"}
    assert all(mode & 0o077 == 0 for mode in modes.values())


def test_a_directory_is_made_for_the_owner_alone(tmp_path: Path) -> None:
    opened(tmp_path / "a" / "b" / "store.db").close()

    assert mode_of(tmp_path / "a" / "b") == 0o700


def test_what_others_could_read_is_closed_to_them(tmp_path: Path) -> None:
    path = tmp_path / "state" / "store.db"
    opened(path).close()
    path.chmod(0o644)
    path.parent.chmod(0o755)
    opened(path).close()

    assert (mode_of(path), mode_of(path.parent)) == (0o600, 0o700)


@pytest.mark.parametrize("mode", [0o777, 0o770, 0o1777])
def test_a_directory_that_others_may_write_to_is_refused_and_left_alone(tmp_path: Path, mode: int) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "state").chmod(mode)
    with pytest.raises(StoreRefused, match="chmod 700"):
        open_file(tmp_path / "state" / "store.db", 0)

    assert list((tmp_path / "state").iterdir()) == []
    assert mode_of(tmp_path / "state") == mode


def test_a_link_in_the_files_place_is_refused(tmp_path: Path) -> None:
    target = tmp_path / "elsewhere"
    target.write_bytes(b"")
    (tmp_path / "state").mkdir(mode=0o700)
    (tmp_path / "state" / "store.db").symlink_to(target)
    with pytest.raises(StoreRefused, match="cannot be opened"):
        open_file(tmp_path / "state" / "store.db", 0)

    assert target.read_bytes() == b""


def test_a_file_where_the_directory_should_be_is_refused(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("")
    with pytest.raises(StoreRefused, match="cannot be opened"):
        open_file(tmp_path / "state" / "store.db", 0)


def test_another_programs_database_is_refused_unchanged(tmp_path: Path) -> None:
    path = tmp_path / "state" / "store.db"
    path.parent.mkdir(mode=0o700)
    with contextlib.closing(sqlite3.connect(path)) as foreign:
        foreign.execute("CREATE TABLE theirs (x)")
    before = path.read_bytes()
    with pytest.raises(StoreRefused, match="another program"):
        open_file(path, 0)

    assert path.read_bytes() == before


@pytest.mark.parametrize(
    "content", [b"no database at all, but long enough to look into " * 20, b"SQLite format 3\0junk"]
)
def test_what_is_no_database_is_refused_unchanged(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "state" / "store.db"
    path.parent.mkdir(mode=0o700)
    path.write_bytes(content)
    with pytest.raises(StoreRefused, match="not a store, or is damaged"):
        open_file(path, 0)

    assert path.read_bytes() == content


def test_a_newer_programs_store_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "state" / "store.db"
    with contextlib.closing(opened(path)) as connection:
        connection.execute("PRAGMA user_version=99")
    with pytest.raises(StoreRefused, match="newer version"):
        open_file(path, 0)


def test_a_commit_is_synced_and_deleted_content_is_wiped(tmp_path: Path) -> None:
    with contextlib.closing(opened(tmp_path / "state" / "store.db")) as connection:
        found = {
            name: connection.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("journal_mode", "synchronous", "foreign_keys", "secure_delete", "trusted_schema", "fullfsync")
        }

    assert found == {
        "journal_mode": "wal",
        "synchronous": 2,
        "foreign_keys": 1,
        "secure_delete": 1,
        "trusted_schema": 0,
        "fullfsync": 1,
    }


def test_a_new_file_starts_where_it_is_told_and_an_old_one_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "state" / "store.db"
    for generation in (5, 9):
        connection, lock = open_file(path, generation)
        lock.close()
        with contextlib.closing(connection):
            assert connection.execute("SELECT generation FROM state").fetchall() == [(5,)]


def test_one_writer_at_a_time_within_a_deadline(tmp_path: Path) -> None:
    first, second = WriterLock(tmp_path / "lock"), WriterLock(tmp_path / "lock")
    with contextlib.closing(first), contextlib.closing(second):
        with first.held():
            started = time.monotonic()
            with pytest.raises(StoreUnavailable, match="another process"), second.held():
                raise AssertionError("two writers")
            assert LOCK_WAIT <= time.monotonic() - started < LOCK_WAIT + 1
        with second.held():
            pass


def _hold(path: Path, held: object) -> None:
    with WriterLock(path).held():
        held.set()  # type: ignore[attr-defined]
        time.sleep(60)


def test_a_killed_writer_holds_nothing(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    held = context.Event()
    process = context.Process(target=_hold, args=(tmp_path / "lock", held))
    process.start()
    assert held.wait(30)
    with contextlib.closing(WriterLock(tmp_path / "lock")) as lock:
        with pytest.raises(StoreUnavailable), lock.held():
            raise AssertionError("two writers")
        assert process.pid is not None
        os.kill(process.pid, signal.SIGKILL)
        process.join(10)
        with lock.held():
            pass


def test_a_full_disk_at_the_opening_may_pass(tmp_path: Path) -> None:
    """The size limit of a process stands for a full disk; SIGXFSZ is ignored by Python, so the write fails (EFBIG)."""
    path = tmp_path / "state" / "store.db"
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        with pytest.raises(StoreUnavailable, match="cannot be opened") as failed:
            open_file(path, 0)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not isinstance(failed.value, StoreRefused)
    opened(path).close()
