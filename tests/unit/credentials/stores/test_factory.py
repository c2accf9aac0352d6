"""Which store a URL names."""

import contextlib
from pathlib import Path

import pytest

from services.chassis.redis.address import Login
from services.chassis.secret import Secret
from services.credentials.settings import STORE_NAME
from services.credentials.stores.factory import open_store
from services.credentials.stores.memory import MemoryStore
from services.credentials.stores.port import StoreRefused, StoreUnavailable
from services.credentials.stores.sqlite import SqliteStore
from tests.support.clock import ManualClock


async def test_without_a_url_it_is_a_file_in_the_directory(tmp_path: Path) -> None:
    async with contextlib.aclosing(await open_store(None, tmp_path / "new" / "state")) as store:
        assert isinstance(store, SqliteStore)
        assert (tmp_path / "new" / "state" / STORE_NAME).is_file()


async def test_memory_goes_by_the_clock_it_is_given(tmp_path: Path) -> None:
    async with contextlib.aclosing(await open_store("memory:", tmp_path, clock=ManualClock(now=12.0))) as store:
        assert isinstance(store, MemoryStore)
        assert await store.now() == 12.0


@pytest.mark.parametrize("slashes", ["//", "///"])
async def test_a_path_is_absolute_with_three_slashes_or_four(tmp_path: Path, slashes: str) -> None:
    path = tmp_path / "a b" / "x.db"
    url = f"sqlite:{slashes}{str(path).replace(' ', '%20')}"
    async with contextlib.aclosing(await open_store(url, Path())):
        assert path.is_file()


async def test_a_tilde_is_the_home_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    async with contextlib.aclosing(await open_store("sqlite:///~/s/x.db", Path())):
        assert (tmp_path / "s" / "x.db").is_file()
    async with contextlib.aclosing(await open_store(None, Path("~/t"))):
        assert (tmp_path / "t" / STORE_NAME).is_file()


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("sqlite://", "takes a path"),
        ("sqlite:///", "takes a path"),
        ("sqlite://host/x.db", "takes a path"),
        ("sqlite:///x.db?mode=ro", "takes a path"),
        ("http://h", "store.url is none of"),
        ("redis://h1,h2", "several hosts"),
        ("redis://h?prefix=x", "prefix"),
        ("rediss://h?ca=/nonexistent/ca.pem", "No such file"),
    ],
)
async def test_what_is_no_store_is_refused(url: str, says: str) -> None:
    with pytest.raises(StoreRefused, match=says):
        await open_store(url, Path())


async def test_a_redis_that_is_not_there_is_unavailable_and_its_password_unsaid(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable) as failed:
        await open_store("redis://user:canary-1@127.0.0.1:1", tmp_path, login=Login(password=Secret("canary-2")))

    assert not isinstance(failed.value, StoreRefused)
    assert "canary" not in str(failed.value)


async def test_authorities_to_trust_belong_to_an_address_with_tls() -> None:
    with pytest.raises(StoreRefused, match=r"store\.caFile is set and store.url asks for no TLS"):
        await open_store("redis://127.0.0.1:1", Path(), ca_file="/etc/ca.pem")


@pytest.mark.parametrize("url", ["rediss://127.0.0.1:1", "rediss://127.0.0.1:1?ca=/nonexistent/url.pem"])
async def test_authorities_that_cannot_be_read_are_said(url: str) -> None:
    with pytest.raises(StoreRefused, match=r"store\.url"):
        await open_store(url, Path(), ca_file="/nonexistent/setting.pem")
