"""P-25: with a wrong, missing, short or worthless master key nothing starts and nothing is written."""

import asyncio
import base64
import hashlib
import os
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from services.credentials import keyring_file
from services.credentials.errors import KeyringInvalid
from services.credentials.keyring import Keyring
from services.credentials.opening import open_vault
from services.credentials.stores.sqlite import SqliteStore
from tests.support.vaults import FIRST, STRANGE, contents, filled

STARTS = {"laptop": {"own": True}, "cluster": {}, "cluster told to initialise": {"initialise": True}}


def one_key(material: bytes) -> bytes:
    key = {"kid": 1, "b64": base64.b64encode(material).decode(), "state": "primary"}
    return msgspec.json.encode({"primary": 1, "keys": [key]})


BAD: dict[str, Callable[[Path], object]] = {
    "missing": lambda path: path.unlink(),
    "empty": lambda path: path.write_bytes(b""),
    "not JSON": lambda path: path.write_bytes(os.urandom(100)),
    "short": lambda path: path.write_bytes(one_key(b"0123456789abcdef")),
    "all zero": lambda path: path.write_bytes(one_key(bytes(32))),
    "of another store": lambda path: path.write_bytes(STRANGE.dump()),
    "without a primary": lambda path: path.write_bytes(FIRST.dump().replace(b'"primary"\n', b'"decrypt"\n')),
    "of the right key under another number": lambda path: path.write_bytes(FIRST.dump().replace(b": 1,", b": 2,")),
}


async def snapshot(directory: Path) -> str:
    """Hash all that the store holds and every file but SQLite's own, which opening a store may touch."""
    store = SqliteStore(directory / "store.db")
    found = msgspec.json.encode(
        sorted((*name, *msgspec.structs.astuple(v)) for name, v in (await contents(store)).items())
    )
    await store.aclose()
    return hashlib.sha256(found + repr(files(directory)).encode()).hexdigest()


def files(directory: Path) -> list[tuple[str, bytes]]:
    found = sorted(directory.iterdir())
    return [(path.name, path.read_bytes()) for path in found if not path.name.startswith("store.db")]


@pytest.mark.promise("P-25")
@pytest.mark.parametrize("start", STARTS)
@pytest.mark.parametrize("bad", BAD)
async def test_a_bad_keyring_starts_nothing_and_nothing_is_written(bad: str, start: str, tmp_path: Path) -> None:
    path = tmp_path / "keyring"
    keyring_file.create(path, FIRST)
    store = SqliteStore(tmp_path / "store.db")
    await filled(store, 3)
    await store.aclose()
    BAD[bad](path)
    before = await snapshot(tmp_path)

    store = SqliteStore(tmp_path / "store.db")
    started = time.monotonic()
    with pytest.raises(KeyringInvalid) as caught:
        await asyncio.wait_for(open_vault(store, path, **STARTS[start]), 2)
    assert time.monotonic() - started < 2
    await store.aclose()

    message = str(caught.value)
    assert "keyring" in message
    assert "\n" not in message
    assert base64.b64encode(FIRST.primary.material).decode() not in message
    assert await snapshot(tmp_path) == before


@pytest.mark.promise("P-25")
@pytest.mark.parametrize("bad", ["short", "all zero"])
async def test_a_worthless_keyring_claims_no_new_store(bad: str, tmp_path: Path) -> None:
    """Shown to fail once by: taking a key that is one byte over and over."""
    path = tmp_path / "keyring"
    keyring_file.create(path, FIRST)
    BAD[bad](path)
    for how in STARTS.values():
        store = SqliteStore(tmp_path / "store.db")
        with pytest.raises(KeyringInvalid):
            await open_vault(store, path, **how)
        assert await contents(store) == {}
        await store.aclose()


@pytest.mark.promise("P-25")
async def test_the_right_keyring_starts_all_of_them(tmp_path: Path) -> None:
    path = tmp_path / "keyring"
    keyring_file.create(path, FIRST)
    store = SqliteStore(tmp_path / "store.db")
    await filled(store, 3)

    for how in STARTS.values():
        assert (await open_vault(store, path, **how)).keyring == Keyring.parse(path.read_bytes())
    await store.aclose()
