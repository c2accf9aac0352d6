"""The gateway's side: what it holds, for how long, and how often it asks."""

import asyncio

import msgspec
import pytest

from services.credentials.client import EMPTY, CredentialsClient, connect, is_usable
from services.credentials.contract import Kind, Lease, Plan, Report, ReportKind, Snapshot, State
from services.credentials.errors import NotFound, Unavailable
from tests.support.clock import ManualClock
from tests.support.credentials import until

LEASE = Lease(credential_id="crd_a", version=3, provider="zai", plan=Plan.CODING, kind=Kind.OAUTH, secret="key")
ONE = Snapshot(generation=1, leases=(LEASE,))
TWO = Snapshot(generation=2, leases=(msgspec.structs.replace(LEASE, version=4),))
REPORT = Report(credential_id="crd_a", version=3, kind=ReportKind.UNAUTHORIZED)


class Service:
    """A `CredentialsService` whose snapshot, failures and slowness are the test's."""

    def __init__(self, snapshot: Snapshot = ONE) -> None:
        self.snapshot = snapshot
        self.changed = asyncio.Event()
        self.failure: Exception | None = None
        self.polls: list[int] = []
        self.reports = 0
        self.release = asyncio.Event()
        self.release.set()

    def become(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        self.changed.set()
        self.changed = asyncio.Event()

    async def poll(self, after: int, wait: float) -> Snapshot:
        self.polls.append(after)
        while self.failure is None and self.snapshot.generation <= after:
            await self.changed.wait()
        if self.failure is not None:
            raise self.failure
        return self.snapshot

    async def report(self, report: Report) -> Snapshot:
        self.reports += 1
        await self.release.wait()
        if self.failure is not None:
            raise self.failure
        return TWO


async def test_it_follows_every_change_and_says_so() -> None:
    service, seen = Service(), []
    client = CredentialsClient(service, on_change=seen.append)
    assert client.snapshot is EMPTY
    assert await client.start()
    service.become(TWO)
    await until(lambda: len(service.polls) == 3)
    await client.aclose()

    assert client.snapshot is TWO
    assert seen == [ONE, TWO]
    assert service.polls[:3] == [-1, 1, 2]


async def test_a_start_without_the_service_goes_on_trying() -> None:
    service = Service()
    service.failure = Unavailable("away")
    client = CredentialsClient(service)
    assert not await client.start(seconds=0.05)
    assert (client.reachable, client.usable) == (False, False)
    service.failure = None
    await until(lambda: client.snapshot is ONE)
    assert (client.reachable, client.usable) == (True, True)
    await client.aclose()


@pytest.mark.promise("P-62")
async def test_the_last_snapshot_is_kept_for_a_bounded_time() -> None:
    clock, service = ManualClock(), Service()
    client = CredentialsClient(service, keep=900.0, clock=clock)
    await client.start()
    service.failure = Unavailable("away")
    service.become(ONE)
    await until(lambda: not client.reachable)
    clock.advance(900.0)
    assert client.snapshot is ONE
    clock.advance(1.0)
    assert client.snapshot is EMPTY
    service.failure = None
    service.become(TWO)
    await until(lambda: client.snapshot is TWO)
    await client.aclose()


async def test_tries_are_spread_out_while_the_service_is_away() -> None:
    service = Service()
    service.failure = Unavailable("away")
    client = CredentialsClient(service)
    await client.start(seconds=0.5)
    await client.aclose()

    assert 2 <= len(service.polls) <= 10


async def test_one_report_is_made_for_all_who_found_the_same() -> None:
    service = Service()
    service.release.clear()
    client = CredentialsClient(service)
    await client.start()
    tasks = [asyncio.ensure_future(client.report(REPORT)) for _ in range(20)]
    other = asyncio.ensure_future(client.report(msgspec.structs.replace(REPORT, plan=Plan.START)))
    await until(lambda: service.reports == 2)
    tasks[0].cancel()  # its client has gone away; the others still want to know
    service.release.set()
    snapshots = [await task for task in [*tasks[1:], other]]
    await client.aclose()

    assert service.reports == 2
    assert set(map(id, snapshots)) == {id(TWO)}
    assert client.snapshot is TWO


async def test_a_report_on_what_is_already_newer_is_answered_at_once() -> None:
    service = Service(TWO)
    client = CredentialsClient(service)
    await client.start()

    assert await client.report(REPORT) is TWO
    assert service.reports == 0
    await client.aclose()


@pytest.mark.parametrize(("failure", "reachable"), [(Unavailable("away"), False), (NotFound("none"), True)])
async def test_a_report_that_fails_is_told_to_who_made_it(failure: Exception, reachable: bool) -> None:
    service = Service()
    client = CredentialsClient(service)
    await client.start()
    service.failure = failure
    with pytest.raises(type(failure)):
        await client.report(REPORT)

    assert (client.reachable, client.snapshot) == (reachable, ONE)
    await client.aclose()


async def test_an_older_snapshot_never_takes_the_place_of_a_newer_one() -> None:
    service = Service()
    client = CredentialsClient(service)
    await client.start()
    await client.report(REPORT)
    service.become(msgspec.structs.replace(ONE, generation=2, leases=()))
    await asyncio.sleep(0.05)

    assert client.snapshot is TWO
    await client.aclose()


@pytest.mark.parametrize(
    ("change", "usable"),
    [
        ({}, True),
        ({"expires_at": 100.0}, False),
        ({"expires_at": 101.0}, True),
        ({"state": State.COOLING}, False),
        ({"state": State.COOLING, "usable_at": 101.0}, False),
        ({"state": State.COOLING, "usable_at": 100.0}, True),
        ({"state": State.DISABLED}, False),
        ({"state": State.LOGIN_REQUIRED}, False),
    ],
)
def test_what_may_be_put_on_the_wire(change: dict[str, object], usable: bool) -> None:
    assert is_usable(msgspec.structs.replace(LEASE, **change), 100.0) is usable


@pytest.mark.parametrize("address", ["app:", "ftp://x", "unix:relative", "http://x", "unix:/x"])
async def test_an_address_that_does_not_fit_is_refused(address: str) -> None:
    with pytest.raises(ValueError, match=r"credentials\."):
        connect(address)
