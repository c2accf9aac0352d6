"""
The way from a gateway to a credentials service that is a Deployment of its own: TLS, and projected tokens.

Shown to fail once by: a client that trusts anybody; a client that reads its token or its authorities once; a guard that
takes a ServiceAccount's token of another audience; a gateway that asks the service for each request.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx2
import pytest

from services.chassis.peer.issuer_keys import accounts_of
from services.chassis.peer.token_file import TokenFile, generate
from services.chassis.process import Tasks
from services.chassis.server_tls import CertificateFiles, ServerTls
from services.chassis.trust import Trust
from services.cli.checks.finding import Finding, Status
from services.cli.checks.services import check_services
from services.credentials.app import create_app
from services.credentials.client import CredentialsClient, connect
from services.credentials.contract import AUDIENCE, Kind, Report, ReportKind
from services.credentials.errors import Unavailable
from services.credentials.settings import ListenSettings
from services.gateway.settings import GatewaySettings
from services.gateway.snapshot_leases import SnapshotLeases
from tests.component.credentials.conftest import show
from tests.support.certificates import Authority
from tests.support.credentials import RunningBroker, credential, running_broker, secrets_of, until
from tests.support.gateway import running_gateway
from tests.support.kubernetes import ApiServer, running_api_server
from tests.support.serving import RunningServer, running_server

GATEWAY = "llm/zcode-proxy-gateway"


class Deployment:
    """A service of its own, the cluster that vouches for its callers, and what a gateway's pod has mounted."""

    def __init__(self, service: RunningBroker, cluster: ApiServer, directory: Path) -> None:
        self.service = service
        self.cluster = cluster
        self.directory = directory
        self.authority = Authority(directory)
        self.cert, self.key, self.token = (directory / name for name in ("tls.crt", "tls.key", "projected"))
        self.authority.write(self.cert, self.key)
        self.server: RunningServer
        self.calls = 0
        cluster.mount(self.token, GATEWAY, AUDIENCE)

    def hang_up(self) -> None:
        """End every connection, so that gateways must make new ones."""
        for connection in list(self.server.site._state.connections):
            connection.transport.abort()

    @asynccontextmanager
    async def gateway(self, *, ca_file: Path | None = None, wait: float = 0.2) -> AsyncIterator[CredentialsClient]:
        trust = Trust("credentials", ca_file=str(ca_file or self.authority.file))
        client = connect(self.server.url, token_file=self.token, trust=trust)
        client._wait = wait
        try:
            yield client
        finally:
            await client.aclose()


@pytest.fixture
async def deployment(tmp_path: Path) -> AsyncIterator[Deployment]:
    generate(tmp_path / "own.token")
    async with (
        running_api_server(tmp_path, GATEWAY) as cluster,
        running_broker(tmp_path) as service,
        Tasks() as tasks,
    ):
        found = Deployment(service, cluster, tmp_path)
        await service.add(credential("crd_a", api_key="key-1", kind=Kind.API_KEY))
        accounts = accounts_of(cluster.settings, AUDIENCE, tasks)
        guard = create_app(
            service.broker, tokens=TokenFile(tmp_path / "own.token"), store=service.store, accounts=accounts
        )

        async def counted(scope, receive, send):
            found.calls += scope["type"] == "http"
            await guard(scope, receive, send)

        tls = ServerTls(CertificateFiles("credentials.tls", found.cert, found.key))
        async with running_server(counted, tls=tls) as server:
            found.server = server
            yield found
            service.broker.end_polls()


async def test_a_gateway_learns_its_leases_over_tls_by_its_account(deployment: Deployment) -> None:
    async with deployment.gateway() as gateway:
        assert await gateway.start(seconds=5)

        assert secrets_of(gateway.snapshot) == {"key-1"}


async def test_a_gateway_reports_and_is_told_what_follows(deployment: Deployment) -> None:
    async with deployment.gateway() as gateway:
        await gateway.start(seconds=5)
        [lease] = gateway.snapshot.leases
        report = Report(credential_id="crd_a", version=lease.version, kind=ReportKind.MODEL_BLOCKED, model="glm-x")
        after = await gateway.report(report)

    assert after.leases[0].blocked_models != lease.blocked_models


async def test_a_gateway_that_trusts_another_authority_learns_nothing_and_says_why(
    deployment: Deployment, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "other").mkdir()
    async with deployment.gateway(ca_file=Authority(tmp_path / "other", "other").file) as gateway:
        assert not await gateway.start(seconds=0.5)

    assert deployment.calls == 0
    assert "its certificate is not trusted" in caplog.text


async def test_a_token_is_renewed_without_a_restart(deployment: Deployment) -> None:
    async with deployment.gateway() as gateway:
        deployment.token.write_text(deployment.cluster.token(GATEWAY, AUDIENCE, exp=1))
        assert not await gateway.start(seconds=0.5)
        deployment.cluster.mount(deployment.token, GATEWAY, AUDIENCE)
        await until(lambda: gateway.snapshot.leases)


async def test_authorities_are_renewed_without_a_restart(deployment: Deployment) -> None:
    """The service gets a certificate of a new authority; a gateway that trusts that one too connects to it anew."""
    async with deployment.gateway() as gateway:
        await gateway.start(seconds=5)
        Authority(deployment.directory, "renewed").write(deployment.cert, deployment.key)
        deployment.hang_up()
        await deployment.service.add(credential("crd_b", api_key="key-2", kind=Kind.API_KEY))
        await until(lambda: secrets_of(gateway.snapshot) == {"key-1", "key-2"})
        assert gateway.reachable


async def test_a_token_for_another_service_is_none_here(
    deployment: Deployment, caplog: pytest.LogCaptureFixture
) -> None:
    deployment.cluster.mount(deployment.token, GATEWAY, "zr-captcha")
    async with deployment.gateway() as gateway:
        assert not await gateway.start(seconds=0.5)

    assert "the token is not for zr-credentials" in caplog.text


async def test_a_service_that_cannot_verify_yet_is_one_that_is_away(deployment: Deployment) -> None:
    """Its keys were never had: that is no reason to call a good token a bad one."""
    deployment.cluster.down = True
    tasks = Tasks()
    accounts = accounts_of(deployment.cluster.settings, AUDIENCE, tasks)
    app = create_app(
        deployment.service.broker,
        tokens=TokenFile(deployment.directory / "own.token"),
        store=deployment.service.store,
        accounts=accounts,
    )
    async with tasks, running_server(app) as server:
        client = connect(server.url, token_file=deployment.token)
        with pytest.raises(Unavailable, match="keys cannot be had"):
            await client._service.poll(-1, 0)
        await client.aclose()


async def test_a_request_makes_no_hop_to_the_service(deployment: Deployment) -> None:
    """The snapshot is in memory, whatever is spoken between the two: requests wait for no call of ours."""
    await deployment.service.add(credential("crd_a", version=1, api_key="id.key-3", kind=Kind.API_KEY))
    async with (
        deployment.gateway(wait=30) as client,
        running_gateway(leases=SnapshotLeases(client), auth={"api_key": None}, provider="zai") as gateway,
        httpx2.AsyncClient(trust_env=False, timeout=20.0) as http,
    ):
        await client.start(seconds=5)
        await until(lambda: deployment.calls == 2)  # the first answer, and the poll that waits for another
        body = {"model": "glm-5.2", "max_tokens": 16, "messages": [{"role": "user", "content": "hi"}]}
        statuses = [(await http.post(f"{gateway.url}/v1/messages", json=body)).status_code for _ in range(200)]

    show("C5", len(statuses), deployment.calls - 2)
    assert (set(statuses), deployment.calls, deployment.cluster.asked) == ({200}, 2, 1)


async def _examined(deployment: Deployment, **credentials: str) -> Finding:
    """Return what `doctor` finds of the service, in a thread of its own, because it runs a loop of its own."""
    found = {"address": deployment.server.url, "token_file": str(deployment.token), **credentials}
    settings = GatewaySettings(credentials=ListenSettings(**found))
    [finding] = await asyncio.to_thread(lambda: list(check_services(settings)))
    return finding


async def test_doctor_says_whether_the_service_answers_and_why_not(deployment: Deployment) -> None:
    trusted = str(deployment.authority.file)
    good = await _examined(deployment, ca_file=trusted)
    stranger = await _examined(deployment)
    deployment.cluster.mount(deployment.token, "llm/another", AUDIENCE)
    another = await _examined(deployment, ca_file=trusted)
    nobody = await _examined(deployment, ca_file=trusted, address="https://127.0.0.1:1")
    no_file = await _examined(deployment, ca_file="/nowhere")

    assert (good.status, "1 credentials, 0 client keys" in good.message) == (Status.GOOD, True)
    assert [found.status for found in (stranger, another, nobody, no_file)] == [Status.FAIL] * 4
    assert "its certificate is not trusted" in stranger.message
    assert "the account llm/another is none of those that may call" in another.message
    assert "credentials.serviceAccounts.allow" in (another.advice or "")
    assert "does not answer" in nobody.message
    assert no_file.message.startswith("credentials.caFile cannot be used")
    assert "key-1" not in str((good, stranger, another, nobody))
