"""What lies in a store, its log, its backups and on its wire is sealed: a thief of any of them has nothing (P-20)."""

import base64
import contextlib
import secrets
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from services.credentials.client_keys import ClientKeyBook
from services.credentials.records import Secrets
from services.credentials.stores.factory import open_store
from services.credentials.stores.port import Store
from services.credentials.vault import Vault
from tests.support.canaries import Canaries, disguises
from tests.support.redis_server import Server
from tests.support.vaults import FIRST, credential

pytestmark = pytest.mark.promise("P-20")


async def fill(store: Store, canaries: Canaries) -> None:
    """Keep a secret of every kind there is: written, written over, removed, kept for one time."""
    vault = Vault(store, FIRST)
    await vault.unlock(initialise=True)
    for number in range(3):
        made = {name: f"{name}.{secrets.token_urlsafe(32)}" for name in Secrets.__struct_fields__}
        for name, secret in made.items():
            canaries.plant(f"{name} {number}", secret)
        record = await vault.write_credential(credential(number, secrets=Secrets(**made)), 0)
        changed = f"api.{secrets.token_urlsafe(32)}"
        canaries.plant(f"changed {number}", changed)
        await vault.write_credential(
            credential(number, secrets=Secrets(api_key=changed), version=record.version), record.version
        )
    await vault.remove("cred", credential(2).id, 2)
    keys = ClientKeyBook(vault, store)
    canaries.plant("client key", (await keys.create("somebody")).key.reveal().split("_")[2])
    pepper = await vault.read_value("meta", "pepper")
    assert pepper is not None
    canaries.plant("pepper", pepper.data)
    canaries.plant("master key", FIRST.primary.material)
    for taken in (True, False):
        pending = secrets.token_urlsafe(48)
        canaries.plant("pending login", pending)
        id_ = secrets.token_hex(32)
        await store.put_once("login", id_, vault.seal_value("login", id_, "state", 1, pending.encode()), ttl=600)
        if taken:
            await store.take("login", id_)


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    """Uncompressed, so that the search sees what is there."""
    with Server(tmp_path / "redis", "rdbcompression no") as server:
        yield server


async def test_redis_never_sees_a_secret(server: Server) -> None:
    canaries = Canaries()
    with server.client() as watching, watching.monitor() as monitor:
        async with contextlib.aclosing(await open_store(f"{server.url}?deadline=4000", Path())) as store:
            await fill(store, canaries)
        heard = read_monitor(monitor)
    with server.client() as admin:
        names = "\n".join(admin.scan_iter("*")).encode()
        admin.save()
    lying = [path.read_bytes() for path in server.directory.rglob("*") if path.is_file()]

    assert b"crd_000000000000" in b"".join(lying)
    assert b"EVALSHA" in heard
    assert canaries.found_in(heard, names, *lying) == set()


def read_monitor(monitor: Any) -> bytes:
    """Read what MONITOR has said so far."""
    monitor.connection._sock.settimeout(1.0)
    heard = b""
    try:
        while chunk := monitor.connection._sock.recv(1 << 20):
            heard += chunk
    except OSError:
        pass
    return heard


async def test_the_file_of_the_embedded_store_holds_no_secret(tmp_path: Path) -> None:
    canaries = Canaries()
    async with contextlib.aclosing(await open_store(None, tmp_path / "state")) as store:
        await fill(store, canaries)
        open_files = [path.read_bytes() for path in (tmp_path / "state").iterdir()]
    closed_files = [path.read_bytes() for path in (tmp_path / "state").iterdir()]

    assert b"crd_000000000000" in b"".join(open_files)
    assert canaries.found_in(*open_files, *closed_files) == set()


async def test_a_store_of_plain_values_would_be_found_out(server: Server) -> None:
    """The same search, with a vault that seals nothing."""
    canaries = Canaries()
    secret = secrets.token_urlsafe(32)
    canaries.plant("plain", secret)
    async with contextlib.aclosing(await open_store(f"{server.url}?deadline=4000", Path())) as store:
        await store.put("cred", "crd_plain", base64.b64encode(b"{" + secret.encode() + b"}"), kid=0, expected=0)
    with server.client() as admin:
        admin.save()

    assert canaries.found_in(*(path.read_bytes() for path in server.directory.rglob("*.rdb"))) != set()


@pytest.mark.parametrize("form", list(disguises(b"x" * 24)))
def test_the_search_sees_through_every_disguise(form: str) -> None:
    secret = secrets.token_bytes(32)
    canaries = Canaries()
    canaries.plant("secret", secret)

    assert canaries.found_in(disguises(secret)[form]) != set()
    assert canaries.found_in(disguises(secrets.token_bytes(32))[form]) == set()
