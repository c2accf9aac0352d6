"""What a gateway's readiness makes of the credentials service: the table of promises.md C11, line by line."""

from pathlib import Path

import msgspec
import pytest

from services.chassis.secret import Secret
from services.chassis.trust import CaFileUnusable
from services.credentials.client import CredentialsClient
from services.credentials.contract import Kind, Lease, Plan, Report, Snapshot
from services.credentials.errors import Unavailable
from services.credentials.settings import ListenSettings
from services.gateway.leasing import Leasing, client_of, has_service
from services.gateway.settings import AuthSettings, GatewaySettings
from tests.support.clock import ManualClock
from tests.support.credentials import until

LEASE = Lease(credential_id="crd_a", version=1, provider="zai", plan=Plan.CODING, kind=Kind.API_KEY, secret="s")
FULL = Snapshot(generation=1, leases=(LEASE,))
NOTHING = Snapshot(generation=1)


class Service:
    """Answers a poll with what it has, or not at all."""

    def __init__(self, snapshot: Snapshot | None) -> None:
        self.snapshot = snapshot

    async def poll(self, after: int, wait: float) -> Snapshot:
        del after, wait
        return self._answer()

    async def report(self, report: Report) -> Snapshot:
        del report
        return self._answer()

    def _answer(self) -> Snapshot:
        if self.snapshot is None:
            raise Unavailable("away")
        return self.snapshot


def settings(**fields: object) -> GatewaySettings:
    return msgspec.structs.replace(GatewaySettings(), **fields)


@pytest.mark.parametrize(
    ("first", "then", "key", "status", "degraded"),
    [
        (FULL, FULL, False, "ready", ()),
        (None, None, False, "unready", ("snapshot", "leases", "credentials")),
        (None, None, True, "unready", ("snapshot", "credentials")),
        (NOTHING, NOTHING, False, "ready", ("leases",)),
        (NOTHING, None, False, "unready", ("leases", "credentials")),
        (NOTHING, None, True, "ready", ("credentials",)),
        (FULL, None, False, "ready", ("credentials",)),
    ],
)
async def test_a_gateway_is_ready_while_it_can_serve_or_soon_will(
    first: Snapshot | None, then: Snapshot | None, key: bool, status: str, degraded: tuple[str, ...]
) -> None:
    service = Service(first)
    client = CredentialsClient(service, wait=0.0)
    await client.start(seconds=0.2)
    service.snapshot = then
    if then is None:
        await until(lambda: not client.reachable)
    auth = AuthSettings(api_key=Secret("a.b") if key else None)
    leasing = Leasing(settings(auth=auth), client)
    leasing.health.started()
    leasing.look()
    verdict = leasing.health.readiness()
    await client.aclose()

    assert (verdict.status, verdict.degraded) == (status, degraded)
    assert (leasing.leases is None) is key


async def test_leases_that_were_kept_too_long_are_none_and_readiness_says_so() -> None:
    clock = ManualClock()
    service = Service(FULL)
    client = CredentialsClient(service, wait=0.0, keep=10.0, clock=clock)
    await client.start()
    service.snapshot = None
    await until(lambda: not client.reachable)
    leasing = Leasing(settings(), client)
    leasing.health.started()
    clock.advance(11.0)
    leasing.look()
    await client.aclose()

    assert leasing.health.readiness().status == "unready"


def test_only_another_process_is_a_service_to_connect_to() -> None:
    assert not has_service(settings())
    assert has_service(settings(credentials=ListenSettings(address="unix:/run/c.sock")))


async def test_authorities_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    listen = ListenSettings(
        address="https://credentials:8081", token_file=str(tmp_path / "t"), ca_file=str(tmp_path / "nowhere")
    )
    with pytest.raises(CaFileUnusable, match=r"credentials\.caFile"):
        client_of(settings(credentials=listen))
