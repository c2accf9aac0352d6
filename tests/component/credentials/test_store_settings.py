"""`store.*`: who we are at a Redis, and whom we trust there, told apart from its address."""

import contextlib
from pathlib import Path

import pytest

from services.chassis.secret import Secret
from services.credentials.settings import StoreSettings
from services.credentials.stores.port import StoreRefused, StoreUnavailable
from services.credentials.vault_of import store_of
from tests.support.certificates import Authority
from tests.support.fault_proxy import FaultProxy
from tests.support.redis_server import Server

PASSWORD = "canary-of-the-user"
USERS = ("user default off", f"user zr on >{PASSWORD} ~* &* +@all")


async def refusal(settings: StoreSettings) -> str:
    """Open the store and return why it cannot be; empty when it can."""
    try:
        async with contextlib.aclosing(await store_of(settings)) as store:
            await store.generation()
    except (StoreRefused, StoreUnavailable) as fault:
        return str(fault)
    return ""


async def test_a_login_and_an_authority_of_the_settings_are_used(tmp_path: Path) -> None:
    authority, stranger = Authority(tmp_path), tmp_path / "strange"
    stranger.mkdir()
    other = Authority(stranger, "another authority")
    with Server(tmp_path / "redis", *USERS) as redis:
        async with FaultProxy(redis.port, authority.server("127.0.0.1")) as proxy:
            url = f"rediss://127.0.0.1:{proxy.port}?deadline=4000"

            def settings(**changed: object) -> StoreSettings:
                given = {"username": "zr", "password": Secret(PASSWORD), "ca_file": str(authority.file)} | changed
                return StoreSettings(dir=str(tmp_path), url=url, **given)  # type: ignore[arg-type] # fields by name

            assert await refusal(settings()) == ""
            for changed in (
                {"password": Secret("wrong")},
                {"username": None, "password": None},
                {"ca_file": None},
                {"ca_file": str(other.file)},
            ):
                why = await refusal(settings(**changed))
                assert why
                assert PASSWORD not in why


@pytest.mark.parametrize("name", ["password", "sentinel_password"])
def test_a_password_does_not_print(name: str) -> None:
    assert PASSWORD not in repr(StoreSettings(**{name: Secret(PASSWORD)}))  # type: ignore[arg-type] # as above
