"""
A whole refresh with the rights of the service's own Redis user (deploy/redis/users.acl), over a master with a replica.

Shown to fail once by: intents under a key that the user may not write. So it was: with the shipped users no refresh ever
began, because only the store's own kinds of values were tried with them.
"""

from functools import partial
from pathlib import Path

import pytest

from tests.component.credentials.conftest import Arena
from tests.contract.stores.test_users import configuration, password
from tests.support.credentials import eventually
from tests.support.credentials_worker import Nursery
from tests.support.redis_server import Server
from tests.support.token_provider import Provider


async def _made_anew(arena: Arena, name: str, times: int) -> bool:
    return (await arena.read(name)).version > times and await arena.is_newest(name)


@pytest.mark.promise("P-29")
async def test_a_login_is_made_anew_with_the_shipped_rights(
    tmp_path: Path, provider: Provider, nursery: Nursery
) -> None:
    directory = tmp_path / "master"
    directory.mkdir()
    with Server(directory, configuration(directory)) as master:
        known = ("masteruser admin", "masterauth admin")
        with Server(tmp_path / "replica", f"replicaof 127.0.0.1 {master.port}", *known):
            url = f"redis://zr-cred:{password('zr-cred')}@127.0.0.1:{master.port}?wait=1"
            arena = Arena(tmp_path, url, provider, nursery)
            await arena.open()
            provider.set(expires_in=0.4)
            name = await arena.add()
            arena.spawn(0, lease=3.0)
            await eventually(partial(_made_anew, arena, name, 3), seconds=20)
            await arena.store.aclose()

    assert provider.counts()["refused"] == 0
