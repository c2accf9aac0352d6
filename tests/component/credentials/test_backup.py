"""P-69 on a real Redis: what was backed up is usable after it was put into an empty store."""

import asyncio
import base64
import time
from pathlib import Path

import pytest

from services.credentials import backup, key_format
from services.credentials.client_keys import ClientKeyBook
from services.credentials.stores.factory import open_store
from services.credentials.vault import CREDENTIAL, Vault
from tests.component.credentials.conftest import show
from tests.support.redis_server import Server
from tests.support.vaults import ADDED, FIRST, credential


@pytest.mark.promise("P-69")
@pytest.mark.parametrize("count", [100, pytest.param(1_000, marks=pytest.mark.soak)])
async def test_records_are_usable_after_a_restore_into_an_empty_redis(redis: Server, count: int) -> None:
    source = await open_store(f"{redis.url}?prefix=old:", Path())
    vault = Vault(source, FIRST)
    await vault.unlock(initialise=True)
    for first in range(0, count, 50):
        await asyncio.gather(*(vault.write_credential(credential(first + number), 0) for number in range(50)))
    key = (await ClientKeyBook(vault, source).create("ci")).key
    made = await backup.make(vault, source)

    started = time.monotonic()
    target = await open_store(f"{redis.url}?prefix=new:", Path())
    fresh = Vault(target, ADDED)
    await fresh.unlock(initialise=True)
    done = await backup.restore(fresh, target, backup.read(fresh, made.data))
    records = await fresh.credentials()
    known = await ClientKeyBook(fresh, target).known()
    parsed = key_format.parse(key.reveal().encode())
    again = await backup.restore(fresh, target, backup.read(fresh, made.data))
    await source.aclose()
    await target.aclose()

    assert made.count == done.written == count + 2
    assert [record.secrets for record in records] == [credential(number).secrets for number in range(count)]
    assert parsed is not None
    assert key_format.mac(base64.b64decode(known.pepper), parsed.secret).hex() in known.keys[0].macs
    assert (again.written, again.left) == (0, count + 2)
    assert set(made.left_out) | set(done.broken) == set()
    show("P-69", count, count - len(records), restore_seconds=round(time.monotonic() - started, 2), kind=CREDENTIAL)
