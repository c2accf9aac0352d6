"""Which books a `store.url` names. Nothing is opened or made before it is needed."""

import os
import secrets
import socket
from pathlib import Path
from urllib.parse import unquote, urlsplit

import msgspec

from services.chassis.redis.address import Login, RedisAddress, parse
from services.chassis.storage import StoreRefused
from services.gateway.books.memory import MemoryBooks
from services.gateway.books.port import Books
from services.gateway.books.sqlite import FILE_NAME, SqliteBooks


def open_books(
    url: str | None, directory: Path, *, hours: int, login: Login | None = None, ca_file: str | None = None
) -> Books:
    """Return the books of a store; `hours` is how long they are kept. Raises StoreRefused."""
    process = f"{socket.gethostname()}.{os.getpid()}.{secrets.token_hex(4)}"
    scheme = "sqlite" if url is None else urlsplit(url).scheme
    if scheme == "memory":
        return MemoryBooks(process=process)
    if url is None or scheme == "sqlite":
        return SqliteBooks(_path(url, directory), process)
    from services.gateway.books.redis import RedisBooks  # noqa: PLC0415 -- its library is heavy, and most have none

    try:
        return RedisBooks(_trusting(parse(url, login), ca_file), process, hours=hours)
    except (OSError, ValueError) as error:
        raise StoreRefused(f"store.url {error}") from None


def _trusting(address: RedisAddress, ca_file: str | None) -> RedisAddress:
    if ca_file is None or address.tls is None:
        return address
    return msgspec.structs.replace(address, tls=msgspec.structs.replace(address.tls, ca=address.tls.ca or ca_file))


def _path(url: str | None, directory: Path) -> Path:
    """The file lies beside the store's, which is in `directory` where no other is named."""
    if url is None:
        return directory.expanduser() / FILE_NAME
    path = unquote(urlsplit(url).path).lstrip("/")
    store = Path(path).expanduser() if path.startswith("~") else Path("/" + path)
    return store.parent / FILE_NAME
