"""Leases out of a snapshot, and what is reported on them."""

import asyncio

import msgspec
import pytest

from services.credentials.client import CredentialsClient
from services.credentials.contract import Kind, Lease, Plan, Report, ReportKind, Snapshot, State
from services.credentials.errors import Unavailable
from services.gateway import routing
from services.gateway.errors import BadRequest, GatewayError, Misconfigured, Overloaded
from services.gateway.leases import Lease as Ready
from services.gateway.routing import UpstreamRoute
from services.gateway.snapshot_leases import SnapshotLeases, report_of
from services.gateway.translation.fault import Action, Fault
from services.gateway.upstream.transport import Origin
from services.gateway.wire.formats import WireFormat
from tests.support.clock import ManualClock

CLOCK = ManualClock()
NOW = CLOCK.now()
ROUTE = UpstreamRoute(
    provider="zai",
    plan=routing.Plan.CODING,
    format=WireFormat.ANTHROPIC,
    origin=Origin("https", "api.z.ai", 443),
    path=b"/",
    auth_header=b"x-api-key",
    auth_prefix=b"",
)
LEASE = Lease(
    credential_id="crd_a", version=3, provider="zai", plan=Plan.CODING, kind=Kind.OAUTH, secret="a.key", user_id="u"
)
OTHER = msgspec.structs.replace(LEASE, credential_id="crd_b", secret="b.key")
FAULT = Fault(status=429, message="", upstream_code="1308", retry_after=60.0, action=Action.COOL_CREDENTIAL)


class Service:
    """A `CredentialsService` that gives what it is told to, and keeps the reports."""

    def __init__(self, *leases: Lease, following: tuple[Lease, ...] | None = None) -> None:
        self.snapshot = Snapshot(generation=1, leases=leases)
        self.following = None if following is None else Snapshot(generation=2, leases=following)
        self.reports: list[Report] = []
        self.away = False

    async def poll(self, after: int, wait: float) -> Snapshot:
        if self.away:
            raise Unavailable("away")
        if after >= 1:
            await asyncio.sleep(wait)
        return self.snapshot

    async def report(self, report: Report) -> Snapshot:
        self.reports.append(report)
        if self.following is None:
            raise Unavailable("away")
        return self.following


async def leases(service: Service) -> tuple[SnapshotLeases, CredentialsClient]:
    client = CredentialsClient(service, clock=CLOCK)
    await client.start(seconds=0.2)
    return SnapshotLeases(client, CLOCK), client


async def refused(*held: Lease, away: bool = False, model: str | None = None) -> GatewayError:
    service = Service(*held)
    service.away = away
    found, client = await leases(service)
    with pytest.raises(GatewayError) as caught:
        found.current(ROUTE, model)
    await client.aclose()
    return caught.value


async def test_the_first_usable_lease_of_the_route_is_taken_and_stays() -> None:
    wrong = [
        msgspec.structs.replace(LEASE, provider="bigmodel"),
        msgspec.structs.replace(LEASE, plan=Plan.START),
        msgspec.structs.replace(LEASE, state=State.COOLING, usable_at=NOW + 1),
        msgspec.structs.replace(LEASE, state=State.DISABLED),
        msgspec.structs.replace(LEASE, state=State.LOGIN_REQUIRED),
        msgspec.structs.replace(LEASE, expires_at=NOW),
        msgspec.structs.replace(LEASE, blocked_models=("glm-5",)),
    ]
    found, client = await leases(Service(*wrong, OTHER, LEASE))
    first = found.current(ROUTE, "glm-5")

    assert (first.credential_id, first.secret.reveal(), first.user_id, first.version) == ("crd_b", "b.key", "u", 3)
    assert found.current(ROUTE, "glm-5") is first, "nothing is made anew per request"
    await client.aclose()


async def test_one_that_rests_is_taken_only_when_there_is_no_other() -> None:
    found, client = await leases(Service(LEASE, OTHER))

    assert found.current(ROUTE, None, {"crd_a"}).credential_id == "crd_b"
    assert found.current(ROUTE, None, {"crd_a", "crd_b"}).credential_id == "crd_a"
    assert found.current(ROUTE, None, {"crd_b"}).credential_id == "crd_a"
    await client.aclose()


async def test_cooling_that_is_over_may_be_used() -> None:
    found, client = await leases(Service(msgspec.structs.replace(LEASE, state=State.COOLING, usable_at=NOW)))

    assert found.current(ROUTE).credential_id == "crd_a"
    await client.aclose()


@pytest.mark.parametrize(
    ("change", "kind", "status", "code"),
    [
        ({"provider": "bigmodel"}, Misconfigured, 503, "credential_missing"),
        ({"blocked_models": ("glm-5",)}, BadRequest, 400, "model_not_in_plan"),
        ({"state": State.COOLING, "usable_at": NOW + 90}, Overloaded, 429, "gateway_overloaded"),
        ({"state": State.LOGIN_REQUIRED}, Misconfigured, 503, "login_required"),
        ({"state": State.DISABLED}, Misconfigured, 503, "credential_disabled"),
        ({"expires_at": NOW - 1}, Overloaded, 503, "credentials_unavailable"),
    ],
)
async def test_why_there_is_none_is_said(
    change: dict[str, object], kind: type[GatewayError], status: int, code: str
) -> None:
    error = await refused(msgspec.structs.replace(LEASE, **change), model="glm-5")

    assert (type(error), error.fault.status, error.fault.code) == (kind, status, code)
    assert error.fault.retry_after == (90.0 if status == 429 else 5.0 if kind is Overloaded else None)


async def test_a_service_that_was_never_reached_is_not_an_unknown_login() -> None:
    error = await refused(away=True)

    assert (error.fault.status, error.fault.code) == (503, "credentials_unavailable")


@pytest.mark.parametrize(
    ("action", "code", "kind", "until"),
    [
        (Action.RENEW_CREDENTIAL, "1001", ReportKind.UNAUTHORIZED, None),
        (Action.COOL_CREDENTIAL, "1308", ReportKind.COOLING, NOW + 60),
        (Action.DISABLE_CREDENTIAL, "1113", ReportKind.DISABLED, None),
        (Action.STOP, "1313", ReportKind.DISABLED, None),
        (Action.STOP, "3012", ReportKind.COOLING, NOW + 1800),
        (Action.BLOCK_MODEL, "1311", ReportKind.MODEL_BLOCKED, None),
    ],
)
def test_a_fault_of_the_credential_is_reported(
    action: Action, code: str, kind: ReportKind, until: float | None
) -> None:
    fault = msgspec.structs.replace(FAULT, action=action, upstream_code=code)
    lease = Ready("crd_a", None, None, 3)  # type: ignore[arg-type]  # a report has no use for the secret

    assert report_of(fault, lease, routing.Plan.START, "glm-5", NOW) == Report(
        credential_id="crd_a",
        version=3,
        kind=kind,
        plan=Plan.START,
        reason=code,
        until=until,
        model="glm-5" if kind is ReportKind.MODEL_BLOCKED else None,
    )


@pytest.mark.parametrize(("action", "version"), [(Action.RETRY, 3), (Action.PASS, 3), (Action.COOL_CREDENTIAL, 0)])
async def test_what_says_nothing_of_a_stored_credential_is_not_reported(action: Action, version: int) -> None:
    service = Service(LEASE)
    found, client = await leases(service)
    lease = msgspec.structs.replace(found.current(ROUTE), version=version)

    assert await found.after(msgspec.structs.replace(FAULT, action=action), lease, ROUTE, "glm-5") is None
    assert service.reports == []
    await client.aclose()


@pytest.mark.parametrize(
    ("following", "action", "next_one"),
    [
        ((msgspec.structs.replace(LEASE, version=4, secret="a.new"),), Action.RENEW_CREDENTIAL, "crd_a"),
        ((OTHER,), Action.COOL_CREDENTIAL, "crd_b"),
        ((LEASE,), Action.RENEW_CREDENTIAL, None),  # nothing came of it
        ((), Action.DISABLE_CREDENTIAL, None),
        ((OTHER,), Action.STOP, None),  # about the person: no other account of theirs
        (None, Action.COOL_CREDENTIAL, None),  # the service is away
    ],
)
async def test_what_to_try_next_follows_from_the_report(
    following: tuple[Lease, ...] | None, action: Action, next_one: str | None
) -> None:
    service = Service(LEASE, following=following)
    found, client = await leases(service)
    lease = await found.after(msgspec.structs.replace(FAULT, action=action), found.current(ROUTE), ROUTE, "glm-5")

    assert (lease and lease.credential_id) == next_one
    assert len(service.reports) == 1
    await client.aclose()
