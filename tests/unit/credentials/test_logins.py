"""What becomes of a login in the vault."""

import base64
import json

import msgspec
import pytest

from services.credentials import logins
from services.credentials.contract import Kind, State
from services.credentials.errors import Conflict
from services.credentials.login import LoggedIn
from services.credentials.records import Credential, Secrets, Standing
from services.credentials.stores.memory import MemoryStore
from services.credentials.vault import Vault
from tests.support.vaults import FIRST

GOT = LoggedIn(provider="zai", secrets=Secrets(api_key="k" * 40, access_token="at"), user_id="u", expires_in=60.0)


async def vault() -> Vault:
    made = Vault(MemoryStore(), FIRST)
    await made.unlock(initialise=True)
    return made


async def keep(
    into: Vault, got: LoggedIn = GOT, kind: Kind = Kind.OAUTH, label: str = "", now: float = 100.0
) -> Credential:
    return await logins.keep(into, got, kind=kind, label=label, title="Z.AI", now=now)


async def test_a_first_login_is_a_new_record() -> None:
    into = await vault()

    record = await keep(into)

    assert (record,) == await into.credentials()
    assert (record.provider, record.label, record.user_id, record.kind) == ("zai", "Z.AI", "u", Kind.OAUTH)
    assert (record.created_at, record.rotated_at, record.expires_at, record.version) == (100.0, 100.0, 160.0, 1)
    assert record.secrets == GOT.secrets
    assert record.id.startswith("crd_")
    assert len(record.id) == 16


async def test_the_same_user_renews_the_record_and_mends_its_state() -> None:
    into = await vault()
    first = await keep(into, label="mine")
    broken = msgspec.structs.replace(
        first,
        state=State.LOGIN_REQUIRED,
        reason="invalid_grant",
        blocked_models=("m",),
        start_plan=Standing(state=State.DISABLED),
    )
    await into.write_credential(broken, first.version)

    fresh = LoggedIn(provider="zai", secrets=Secrets(api_key="new"), user_id="u")
    second = await keep(into, fresh, now=200.0)

    assert (second,) == await into.credentials()
    assert (second.id, second.label, second.created_at) == (first.id, "mine", 100.0)
    assert (second.secrets, second.rotated_at, second.expires_at, second.version) == (fresh.secrets, 200.0, None, 3)
    assert (second.state, second.reason, second.blocked_models, second.start_plan) == (State.READY, "", (), Standing())
    assert (await keep(into, fresh, label="renamed")).label == "renamed"


@pytest.mark.parametrize(
    "other",
    [
        msgspec.structs.replace(GOT, user_id="v"),
        msgspec.structs.replace(GOT, provider="bigmodel"),
        msgspec.structs.replace(GOT, user_id=None),
    ],
)
async def test_another_user_or_provider_is_a_record_of_its_own(other: LoggedIn) -> None:
    into = await vault()

    assert (await keep(into)).id != (await keep(into, other)).id
    assert len(await into.credentials()) == 2


async def test_a_key_is_known_by_itself() -> None:
    into = await vault()
    one = LoggedIn(provider="zai", secrets=Secrets(api_key="one"))
    two = LoggedIn(provider="zai", secrets=Secrets(api_key="two"))

    kept = [(await keep(into, got, Kind.API_KEY)).id for got in (one, two, one)]

    assert kept[0] == kept[2] != kept[1]


async def test_somebody_else_being_faster_is_no_reason_to_fail_unless_it_goes_on() -> None:
    class Contested(Vault):
        faster = 2

        async def write_credential(self, record: Credential, expected: int) -> Credential:
            if self.faster:
                self.faster -= 1
                raise Conflict("somebody was faster")
            return await super().write_credential(record, expected)

    into = Contested(MemoryStore(), FIRST)
    await into.unlock(initialise=True)
    assert (await keep(into)).version == 1
    into.faster = 100
    with pytest.raises(Conflict):
        await keep(into)


async def test_logging_out_removes_one_provider_or_all() -> None:
    into = await vault()
    for provider in ("zai", "bigmodel"):
        await keep(into, msgspec.structs.replace(GOT, provider=provider))

    assert [record.provider for record in await logins.remove(into, "bigmodel")] == ["bigmodel"]
    assert [record.provider for record in await logins.remove(into, None)] == ["zai"]
    assert await logins.remove(into, None) == ()


@pytest.mark.parametrize(("key", "shown"), [(None, ""), ("short", "…"), ("x" * 31, "…"), ("x" * 28 + "tail", "…tail")])
def test_of_a_key_only_its_end_is_shown(key: str | None, shown: str) -> None:
    assert logins.masked(key) == shown


def jwt(claims: object) -> str:
    return f"h.{base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip('=')}.s"


@pytest.mark.parametrize(
    ("token", "issued"),
    [
        (jwt({"iat": 5}), 5.0),
        (jwt({"iat": 5.5, "x": "yy"}), 5.5),
        (jwt({"iat": "5"}), None),
        (jwt({"iat": True}), None),
        (jwt({}), None),
        (jwt([]), None),
        ("opaque", None),
        ("a.b.c", None),
        ("a.\u00e4.c", None),
        (None, None),
    ],
)
def test_a_tokens_age_is_read_where_it_says_one(token: str | None, issued: float | None) -> None:
    assert logins.jwt_issued_at(token) == issued
