"""Which store a `store.url` names, opened and found fit for use."""

from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

import msgspec

from services.chassis.clock import Clock
from services.chassis.redis.address import Login, RedisAddress, parse
from services.credentials.settings import STORE_NAME
from services.credentials.stores.memory import MemoryStore
from services.credentials.stores.port import Store, StoreRefused
from services.credentials.stores.sqlite import SqliteStore

if TYPE_CHECKING:
    from services.credentials.stores.redis import RedisStore


async def open_store(
    url: str | None,
    directory: Path,
    *,
    login: Login | None = None,
    ca_file: str | None = None,
    clock: Clock | None = None,
) -> Store:
    """
    Open the store of `url`; without one the SQLite file in `directory`.

    Raises StoreRefused when the store must not be used as it is, and StoreUnavailable when it does not answer: then
    the caller may try again. `login` and `ca_file` are for Redis; what the URL says wins over them.
    """
    scheme = "sqlite" if url is None else urlsplit(url).scheme
    if scheme == "memory":
        return MemoryStore(clock)
    store: SqliteStore | RedisStore
    if url is None or scheme == "sqlite":
        store = SqliteStore(_path(url, directory), clock)
    else:
        store = _redis(_address(url, login, ca_file))
    try:
        await store.open()
    except BaseException:
        await store.aclose()
        raise
    return store


def _redis(address: RedisAddress) -> "RedisStore":
    from services.credentials.stores.redis import RedisStore  # noqa: PLC0415 -- its library is heavy, a laptop has none

    try:
        return RedisStore(address)
    except (OSError, ValueError) as error:  # a TLS file, or the prefix
        raise StoreRefused(f"store.url: {error}") from error


def _address(url: str, login: Login | None, ca_file: str | None) -> RedisAddress:
    try:
        address = parse(url, login)
    except ValueError as error:
        raise StoreRefused(f"store.url {error}") from None
    if ca_file is None:
        return address
    if address.tls is None:
        raise StoreRefused("store.caFile is set and store.url asks for no TLS: that is rediss:// or ?tls=true")
    return msgspec.structs.replace(address, tls=msgspec.structs.replace(address.tls, ca=address.tls.ca or ca_file))


def _path(url: str | None, directory: Path) -> Path:
    """`sqlite:///data/x.db`, with three slashes or four, is /data/x.db; `sqlite:///~/x.db` is in the home directory."""
    if url is None:
        return directory.expanduser() / STORE_NAME
    parts = urlsplit(url)
    if parts.netloc or len(parts.path) < 2 or parts.query or parts.fragment:
        raise StoreRefused("store.url: sqlite takes a path and nothing else, as in sqlite:///data/zcode/store.db")
    path = unquote(parts.path).lstrip("/")
    return Path(path).expanduser() if path.startswith("~") else Path("/" + path)
