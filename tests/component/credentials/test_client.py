"""One contract over three transports: what a gateway sees of the credentials service."""

import time
from pathlib import Path

import msgspec
import pytest

from services.credentials.contract import Kind, Plan, Report, ReportKind, State
from services.credentials.errors import NotFound
from tests.support.credentials import credential, running_broker, secrets_of, until

TRANSPORTS = ("app", "unix", "http")


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_snapshot_holds_both_plans_of_a_login_and_no_token(tmp_path: Path, transport: str) -> None:
    record = credential(api_key="key-1", start_plan_jwt="jwt-1", refresh_token="rt-canary", access_token="at-canary")
    async with running_broker(tmp_path) as service:
        await service.add(record)
        async with service.client(transport) as client:
            await until(lambda: client.snapshot.leases)

            assert {(lease.plan, lease.secret) for lease in client.snapshot.leases} == {
                (Plan.CODING, "key-1"),
                (Plan.START, "jwt-1"),
            }
            assert b"canary" not in msgspec.json.encode(client.snapshot)
            assert client.usable
            assert client.reachable


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_change_reaches_the_gateway_within_a_second(tmp_path: Path, transport: str) -> None:
    async with running_broker(tmp_path) as service:
        record = await service.add(credential(api_key="key-1"))
        async with service.client(transport) as client:
            await until(lambda: secrets_of(client.snapshot) == {"key-1"})
            changed = msgspec.structs.replace(record, secrets=msgspec.structs.replace(record.secrets, api_key="key-2"))
            begun = time.monotonic()
            await service.add(changed)
            await until(lambda: secrets_of(client.snapshot) == {"key-2"})

            assert time.monotonic() - begun < 1.0


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_report_is_answered_with_what_follows_from_it(tmp_path: Path, transport: str) -> None:
    async with running_broker(tmp_path) as service:
        record = await service.add(credential(api_key="key-1", kind=Kind.API_KEY))
        async with service.client(transport) as client:
            await until(lambda: client.snapshot.leases)
            until_ = time.time() + 60
            finding = Report(credential_id=record.id, version=record.version, kind=ReportKind.COOLING, until=until_)
            [lease] = (await client.report(finding)).leases

            assert (lease.state, lease.usable_at) == (State.COOLING, until_)
            assert not client.usable


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_report_on_nothing_we_have_is_not_found(tmp_path: Path, transport: str) -> None:
    async with running_broker(tmp_path) as service, service.client(transport) as client:
        with pytest.raises(NotFound):
            await client.report(Report(credential_id="crd_nobody", version=1, kind=ReportKind.DISABLED))
