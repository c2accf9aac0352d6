"""The bank works with the rights of the captcha service's Redis user and nothing else (deploy/redis/users.acl)."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from services.captcha.banks.port import Granted, Note, NotYet
from services.captcha.banks.redis import RedisBank
from services.captcha.contract import Captcha
from services.captcha.keys import Keys
from services.chassis.redis.address import parse
from tests.contract.stores.test_users import configuration, login
from tests.support.redis_server import Server

TOKEN = Captcha(param="param-canary", region="region-canary")


@pytest.fixture
async def bank(tmp_path: Path, keys: Keys) -> AsyncIterator[tuple[RedisBank, Server]]:
    with Server(tmp_path / "redis", configuration(tmp_path)) as server:
        address = parse(f"{server.url}?deadline=5000", login("zr-cap"))
        bank = RedisBank(address, keys, capacity=3, queue=3)
        yield bank, server
        await bank.aclose()


async def test_everything_is_allowed_and_nothing_lies_open(bank: tuple[RedisBank, Server]) -> None:
    used, server = bank
    assert await used.put("crd_a", TOKEN)
    assert await used.claim("crd_a", "one", wait=True) == Granted(TOKEN, pytest.approx(0, abs=1e12))
    assert await used.claim("crd_a", "two", wait=True) is NotYet.WAITING
    assert await used.note("crd_a", Note.REFUSED) == 1
    await used.learn("crd_a", "openai", 60)
    assert (await used.standing("crd_a")).waiting == 1
    await used.leave("crd_a", "two")
    assert await used.first("link/x", 60)
    await used.put("crd_a", Captcha(param="second-canary", region="region-canary"))
    with server.client(username="admin", password="admin") as admin:
        names = [name if isinstance(name, str) else name.decode() for name in admin.scan_iter()]
        dumps = b"".join(filter(None, (admin.dump(name) for name in names)))

    assert {name.split("}")[0] for name in names} == {"zr:{c:crd_a", "zr:{c:page"}
    assert b"canary" not in dumps
    assert "canary" not in " ".join(names)
