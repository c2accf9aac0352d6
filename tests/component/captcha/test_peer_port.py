"""
A port for gateways alone: with TLS and projected tokens, while the page's port knows nothing of either.

Shown to fail once by: serving gateways' calls on the page's port as well; a command that trusts any certificate.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import msgspec
import pytest

from services.captcha.client import AUDIENCE, CaptchaClient
from services.captcha.contract import STATE_PATH
from services.captcha.errors import NotAuthenticated, Unavailable
from services.captcha.process import public_listeners
from services.captcha.service import ServiceSettings, running_service
from services.captcha.settings import CaptchaSettings
from services.captcha_setup import client_for_people
from services.chassis.peer.issuer_keys import accounts_of
from services.chassis.peer.settings import TlsSettings
from services.chassis.peer.token_file import TokenFile
from services.chassis.process import Tasks
from services.chassis.secret import Secret
from services.chassis.server import Server
from services.chassis.trust import Trust
from services.cli.checks.finding import Status
from services.cli.checks.services import check_services
from services.credentials.settings import StoreSettings
from services.gateway.routing import Plan
from services.gateway.settings import GatewaySettings
from services.simulator.app import Simulator
from services.simulator.captcha import CONFIGS_PATH
from tests.support.captcha import JWT, PROVIDER
from tests.support.certificates import Authority
from tests.support.kubernetes import ApiServer, running_api_server
from tests.support.redis_server import free_port
from tests.support.simulated import TEST_SETTINGS, running_simulator

GATEWAY = "llm/zcode-proxy-gateway"


class Ports(msgspec.Struct, frozen=True):
    """A served captcha service, and what the pods of its callers have mounted."""

    settings: CaptchaSettings
    store: StoreSettings
    authority: Authority
    cluster: ApiServer
    token: Path

    @property
    def page(self) -> str:
        return f"http://127.0.0.1:{self.settings.port}"

    @property
    def peers(self) -> str:
        return f"https://127.0.0.1:{self.settings.peer_port}"

    def client(self) -> CaptchaClient:
        trust = Trust("captcha", ca_file=str(self.authority.file))
        return CaptchaClient(self.peers, tokens=TokenFile(self.token), trust=trust)


@pytest.fixture
async def ports(tmp_path: Path) -> AsyncIterator[Ports]:
    authority, cert, key = Authority(tmp_path), tmp_path / "tls.crt", tmp_path / "tls.key"
    authority.write(cert, key)
    captcha = CaptchaSettings(
        port=free_port(), peer_port=free_port(), tls=TlsSettings(cert_file=str(cert), key_file=str(key))
    )
    async with (
        running_api_server(tmp_path, GATEWAY) as cluster,
        running_simulator(Simulator(TEST_SETTINGS)) as origin,
        Tasks() as tasks,
    ):
        settings = ServiceSettings(
            captcha=captcha,
            store=StoreSettings(dir=str(tmp_path / "store")),
            provider=PROVIDER,
            configs_url=origin + CONFIGS_PATH,
            jwt=Secret(JWT),
        )
        accounts = accounts_of(cluster.settings, AUDIENCE, tasks)
        async with running_service(settings, None) as service:
            server = Server(public_listeners(settings, service, accounts=accounts), drain_seconds=0.5)
            await server.start()
            cluster.mount(tmp_path / "projected", GATEWAY, AUDIENCE)
            yield Ports(captcha, settings.store, authority, cluster, tmp_path / "projected")
            service.end_waits()
            await server.stop()


async def test_a_gateway_is_known_by_its_account(ports: Ports) -> None:
    async with contextlib.aclosing(ports.client()) as client:
        assert (await client.state(PROVIDER)).account == "configured"


async def test_another_account_and_another_audience_are_not(ports: Ports) -> None:
    for account, audience in (("llm/another", AUDIENCE), (GATEWAY, "zr-credentials")):
        ports.cluster.mount(ports.token, account, audience)
        async with contextlib.aclosing(ports.client()) as client:
            with pytest.raises(NotAuthenticated):
                await client.state(PROVIDER)


async def test_gateways_and_browsers_have_a_port_each(ports: Ports) -> None:
    context = Trust("captcha", ca_file=str(ports.authority.file)).context
    headers = {"authorization": f"Bearer {ports.token.read_text()}"}
    async with httpx2.AsyncClient(verify=context, trust_env=False) as http:
        found = {
            (origin, path): (
                await http.get(f"{origin}{path}", params={"provider": PROVIDER}, headers=headers)
            ).status_code
            for origin in (ports.page, ports.peers)
            for path in (STATE_PATH, "/captcha")
        }

    assert found == {
        (ports.page, STATE_PATH): 404,
        (ports.page, "/captcha"): 200,
        (ports.peers, STATE_PATH): 200,
        (ports.peers, "/captcha"): 404,
    }


async def test_a_command_beside_the_service_trusts_the_services_own_certificate_only(
    ports: Ports, tmp_path: Path
) -> None:
    """It is issued for a Service's name, not for 127.0.0.1."""
    assert ports.settings.tls.cert_file
    ports.authority.write(tmp_path / "tls.crt", tmp_path / "tls.key", "captcha.llm.svc")
    own = GatewaySettings(captcha=ports.settings, store=ports.store)
    async with contextlib.aclosing(client_for_people(own)) as client:
        assert (await client.state(PROVIDER)).account == "configured"
    ports.authority.write(tmp_path / "other.crt", tmp_path / "other.key", "captcha.llm.svc")
    other = msgspec.structs.replace(
        ports.settings, tls=msgspec.structs.replace(ports.settings.tls, cert_file=str(tmp_path / "other.crt"))
    )
    async with contextlib.aclosing(client_for_people(GatewaySettings(captcha=other, store=ports.store))) as client:
        with pytest.raises(Unavailable, match="not trusted"):
            await client.state(PROVIDER)


async def test_doctor_says_whether_the_service_answers_and_why_not(ports: Ports) -> None:
    captcha = CaptchaSettings(address=ports.peers, token_file=str(ports.token), ca_file=str(ports.authority.file))
    settings = GatewaySettings(plan=Plan.START, provider=PROVIDER, captcha=captcha)
    [good] = await asyncio.to_thread(lambda: list(check_services(settings)))
    ports.cluster.mount(ports.token, GATEWAY, "zr-credentials")
    [bad] = await asyncio.to_thread(lambda: list(check_services(settings)))

    assert (good.status, "0 requests wait" in good.message) == (Status.GOOD, True)
    assert (bad.status, "the token is not for zr-captcha" in bad.message) == (Status.FAIL, True)
    assert "captcha.serviceAccounts.allow" in (bad.advice or "")
