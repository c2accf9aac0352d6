"""
The admin API is on the admin port only, and neither port takes the other's tokens (promises.md P-35, P-49).

Shown to fail once by: serving it beside the gateways' calls; giving both guards one audience.
"""

import secrets
import time
from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import msgspec
import pytest
from prometheus_client import CollectorRegistry

from services.chassis.health import Health
from services.chassis.peer import proof
from services.chassis.peer.token_file import TokenFile, generate
from services.chassis.process import Tasks
from services.credentials import admin_contract, contract
from services.credentials.admin import create_admin
from services.credentials.admin_client import RemoteAdministration
from services.credentials.admin_contract import KeyRequest, MasterProof, Replacement
from services.credentials.administration import StoreAdministration
from services.credentials.app import create_administration, create_app
from services.credentials.audit import Audit
from services.credentials.broker import Broker
from services.credentials.contract import Kind
from services.credentials.errors import Conflict, CredentialsError, LoginRequired, NotFound, Unavailable
from services.credentials.keyring_file import create
from services.credentials.master_run import MasterRun
from tests.support.credentials import RunningBroker, credential, running_broker
from tests.support.serving import running_server

PATHS = [
    ("GET", admin_contract.LOGINS_PATH),
    ("POST", admin_contract.LOGOUT_PATH),
    ("GET", admin_contract.KEYS_PATH),
    ("POST", admin_contract.KEYS_PATH),
    ("POST", f"{admin_contract.KEY_PATH}abcdefghij27/revoke"),
    ("POST", f"{admin_contract.CREDENTIAL_PATH}crd_a/rotate"),
    ("POST", admin_contract.MASTER_PATH),
    ("GET", admin_contract.MASTER_PATH),
    ("GET", admin_contract.AUDIT_PATH),
]


class Ports(msgspec.Struct, frozen=True):
    """A service's two ports, their tokens, and what is behind them."""

    service: RunningBroker
    data: str
    admin: str
    data_token: str
    admin_token: str
    audit: Audit

    def office(self) -> RemoteAdministration:
        return RemoteAdministration(self.admin, tokens=TokenFile(self.service.directory / "admin.token"))


@pytest.fixture
async def ports(tmp_path: Path) -> AsyncIterator[Ports]:
    for name in ("data.token", "admin.token"):
        generate(tmp_path / name)
    data, admin = (TokenFile(tmp_path / name) for name in ("data.token", "admin.token"))
    async with running_broker(tmp_path) as service, Tasks() as tasks:
        create(tmp_path / "keyring.json", service.vault.keyring)

        async def renewer() -> Broker:
            return service.broker

        audit = Audit(service.vault, tmp_path / "audit.log")
        office = StoreAdministration(
            service.vault,
            service.store,
            audit,
            actor="admin API",
            keyring=tmp_path / "keyring.json",
            renewer=renewer,
        )
        api = create_administration(office, MasterRun(office, tasks), tokens=admin, store=service.store)

        async def look() -> None: ...

        async with (
            running_server(create_app(service.broker, tokens=data, store=service.store)) as first,
            running_server(create_admin(Health(), CollectorRegistry(), look, administration=api)) as second,
        ):
            yield Ports(service, first.url, second.url, data.token, admin.token, audit)


async def ask(url: str, method: str, path: str, token: str | None, audience: str) -> httpx2.Response:
    headers, body = {}, b"{}" if method == "POST" else b""
    if token is not None:
        nonce = secrets.token_urlsafe(16)
        headers = proof.sign(token, method, path, body, now=time.time(), nonce=nonce, audience=audience)
    async with httpx2.AsyncClient(trust_env=False) as http:
        return await http.request(method, url + path, content=body, headers=headers)


@pytest.mark.promise("P-35")
@pytest.mark.parametrize(("method", "path"), PATHS)
async def test_nothing_is_administered_where_gateways_call(ports: Ports, method: str, path: str) -> None:
    for token, status in ((ports.data_token, 404), (ports.admin_token, 401), (None, 401)):
        answer = await ask(ports.data, method, path, token, contract.AUDIENCE)
        assert answer.status_code == status


@pytest.mark.promise("P-35")
@pytest.mark.parametrize(("method", "path"), PATHS)
async def test_nothing_is_administered_without_the_admin_token(ports: Ports, method: str, path: str) -> None:
    for token in (ports.data_token, None):
        answer = await ask(ports.admin, method, path, token, admin_contract.AUDIENCE)
        assert (answer.status_code, answer.json()["code"]) == (401, "not_authenticated")


@pytest.mark.promise("P-49")
async def test_a_change_that_is_signed_for_gateways_is_none_here(ports: Ports) -> None:
    for audience, status in ((contract.AUDIENCE, 401), (admin_contract.AUDIENCE, 200)):
        answer = await ask(ports.admin, "POST", admin_contract.LOGOUT_PATH, ports.admin_token, audience)
        assert answer.status_code == status


async def test_probes_need_no_token(ports: Ports) -> None:
    for path in ("/livez", "/readyz", "/metrics"):
        assert (await ask(ports.admin, "GET", path, None, "")).status_code in (200, 503)


async def test_keys_and_logins_are_handled_and_written_down(ports: Ports) -> None:
    await ports.service.add(credential("crd_key", kind=Kind.API_KEY, api_key="id.old-canary"))
    office = ports.office()
    made = await office.create_key(KeyRequest(name="ci", models=("glm-4.7",)))
    again = await office.rotate_key(made.info.id)
    settled = await office.settle_key(made.info.id)
    revoked = await office.revoke_key(made.info.id)
    replaced = await office.replace("crd_key", Replacement(api_key="id.new-canary"))
    logins = await office.logins()
    removed = await office.log_out("zai")
    verdict = await office.verify_audit()
    await office.aclose()

    assert made.key != again.key
    assert (again.info.secrets, settled.secrets) == (2, 1)
    assert revoked.revoked_at is not None
    assert replaced.changed
    assert [login.id for login in logins.logins] == ["crd_key"] == [login.id for login in removed]
    assert (verdict.lines, verdict.fault) == (6, "")
    events = [msgspec.json.decode(line)["event"] for line in ports.audit.path.read_bytes().splitlines()]
    assert events == ["key.create", "key.rotate", "key.rotate", "key.revoke", "cred.rotate", "cred.delete"]
    assert "canary" not in ports.audit.path.read_text()
    assert made.key not in repr(made) + ports.audit.path.read_text()


async def test_what_cannot_be_done_is_said_as_what_it_is(ports: Ports) -> None:
    await ports.service.add(credential("crd_login", api_key="id.x"))
    await ports.service.add(credential("crd_key", kind=Kind.API_KEY, api_key="id.y"))
    office = ports.office()
    await office.create_key(KeyRequest(name="ci"))
    for call, error in (
        (office.create_key(KeyRequest(name="ci")), Conflict),
        (office.revoke_key("abcdefghij27"), NotFound),
        (office.replace("crd_none", Replacement(api_key="id.z")), NotFound),
        (office.replace("crd_key", Replacement()), Conflict),
        (office.replace("crd_login", Replacement(api_key="id.z")), Conflict),
        (office.replace("crd_login", Replacement()), LoginRequired),
    ):
        with pytest.raises(error):
            await call
    await office.aclose()


async def test_a_rotation_runs_in_the_service_and_is_followed_from_afar(ports: Ports) -> None:
    await ports.service.add(credential("crd_key", kind=Kind.API_KEY, api_key="id.y"))
    office = ports.office()
    steps: list[str] = []
    proof_of_it: MasterProof = await office.rotate_master(lambda state: steps.append(state.step))
    await office.aclose()

    assert (proof_of_it.primary, proof_of_it.retired) == (2, (1,))
    assert set(proof_of_it.records) == {2}
    assert ports.service.vault.keyring.primary.kid == 2


async def test_a_rotation_that_cannot_be_is_said_and_can_be_begun_again(ports: Ports) -> None:
    path = ports.service.directory / "keyring.json"
    kept = path.read_bytes()
    path.unlink()
    office = ports.office()
    with pytest.raises(CredentialsError, match="cannot be read"):
        await office.rotate_master(lambda _: None)
    path.write_bytes(kept)
    path.chmod(0o600)

    assert (await office.rotate_master(lambda _: None)).primary == 2
    await office.aclose()


async def test_a_service_that_is_away_is_said(tmp_path: Path) -> None:
    generate(tmp_path / "token")
    office = RemoteAdministration("http://127.0.0.1:1", tokens=TokenFile(tmp_path / "token"))
    with pytest.raises(Unavailable, match="does not answer"):
        await office.logins()
    await office.aclose()
