"""What is kept, where, for how long, and what happens when that is not to be had."""

import asyncio
import sqlite3
import stat
from pathlib import Path

import pytest

from services.chassis.redis.address import parse
from services.chassis.storage import StoreRefused, StoreUnavailable
from services.gateway.books.factory import open_books
from services.gateway.books.memory import MemoryBooks
from services.gateway.books.port import Books, Tally, UsageKey
from services.gateway.books.redis import RedisBooks
from services.gateway.books.sqlite import SqliteBooks
from tests.support.redis_server import free_port

KEY = UsageKey(480_000, "glm-5.2", "k", "c")


async def test_a_process_that_starts_anew_adds_to_what_it_wrote_before(tmp_path: Path) -> None:
    for _ in range(2):
        books = open_books(None, tmp_path, hours=24)
        await books.write({KEY: Tally(requests=1)})
        await books.aclose()

    assert {KEY: Tally(requests=2)} == await _read(open_books(None, tmp_path, hours=24))


async def test_the_file_is_its_owners_and_beside_the_store(tmp_path: Path) -> None:
    books = open_books(f"sqlite://{tmp_path}/deep/store.db", Path("/nowhere"), hours=24)
    await books.write({KEY: Tally(requests=1)})
    await books.aclose()

    mode = (tmp_path / "deep" / "usage.db").stat().st_mode
    assert 0o600 == stat.S_IMODE(mode)


async def test_reading_makes_no_file(tmp_path: Path) -> None:
    books = open_books(None, tmp_path / "untouched", hours=24)
    assert {} == await _read(books)

    assert not (tmp_path / "untouched").exists()


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
async def test_old_hours_are_forgotten(kind: str, tmp_path: Path) -> None:
    books: Books = MemoryBooks() if kind == "memory" else SqliteBooks(tmp_path / "usage.db", "one")
    await books.write({KEY: Tally(requests=1), UsageKey(KEY.hour + 1, "m", "k", "c"): Tally(requests=2)})
    await books.prune(KEY.hour + 1)

    assert [2] == [tally.requests for tally in (await _read(books, KEY.hour, KEY.hour + 9)).values()]


async def test_redis_forgets_by_itself(redis_url: str) -> None:
    address = parse(f"{redis_url}?prefix=forget:&deadline=5000")
    books = RedisBooks(address, "one", hours=3)
    await books.write({KEY: Tally(requests=1)})
    await books.prune(KEY.hour + 1)
    left = await books._link.call("TTL", f"forget:u:{KEY.hour}")
    await books.aclose()

    assert 3 * 3600 - 60 < left <= 3 * 3600


async def test_a_store_that_is_away_is_said_to_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    gone = [open_books(None, tmp_path / "file" / "below", hours=1)]
    gone.append(open_books(f"redis://127.0.0.1:{free_port()}", tmp_path, hours=1))
    for books in gone:
        with pytest.raises(StoreUnavailable):
            await books.write({KEY: Tally()})
        await books.aclose()


async def test_a_file_that_another_process_is_just_opening_is_waited_for(tmp_path: Path) -> None:
    books = SqliteBooks(tmp_path / "usage.db", "one")
    other = sqlite3.connect(tmp_path / "usage.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")  # SQLite does not wait for this one by itself
    asyncio.get_running_loop().call_later(0.2, other.close)
    await books.write({KEY: Tally(requests=1)})

    assert {KEY: Tally(requests=1)} == await _read(books)


async def test_a_file_that_could_not_be_opened_is_opened_at_the_next_call(tmp_path: Path) -> None:
    books = SqliteBooks(tmp_path / "usage.db", "one")
    other = sqlite3.connect(tmp_path / "usage.db", isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(StoreUnavailable, match="locked"):
        await books.write({KEY: Tally(requests=1)})
    other.close()
    await books.write({KEY: Tally(requests=1)})

    assert {KEY: Tally(requests=1)} == await _read(books)


async def test_a_url_that_is_none_is_refused_without_repeating_it(tmp_path: Path) -> None:
    with pytest.raises(StoreRefused) as refused:
        open_books("redis://user:hunter2-password@:nothing", tmp_path, hours=1)

    assert "hunter2" not in str(refused.value)
    assert isinstance(open_books("memory:", tmp_path, hours=1), MemoryBooks)


async def _read(books: Books, first: int = KEY.hour, last: int = KEY.hour) -> dict[UsageKey, Tally]:
    try:
        return dict(await books.read(first, last))
    finally:
        await books.aclose()
