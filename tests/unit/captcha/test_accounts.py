"""Whose JWT is sent, and who hears that it was refused."""

from typing import Any

import pytest

from services.captcha.accounts import CONFIGURED, Accounts
from services.captcha.errors import JwtInvalid
from services.chassis.secret import Secret
from services.credentials.contract import Kind, Lease, Plan, Report, ReportKind, Snapshot, State
from services.credentials.errors import Unavailable

NOW = 1_800_000_000.0
JWT = "eyJhbGciOiJub25lIn0.eyJpYXQiOjE3NjAwMDAwMDB9.x"


def lease(name: str = "crd_a", **fields: Any) -> Lease:
    given: dict[str, Any] = {
        "credential_id": name,
        "version": 3,
        "provider": "zai",
        "plan": Plan.START,
        "kind": Kind.OAUTH,
        "secret": JWT,
        "user_id": "user-1",
    }
    return Lease(**(given | fields))


class Credentials:
    """A snapshot, and what was reported."""

    def __init__(self, *leases: Lease, away: bool = False) -> None:
        self.snapshot = Snapshot(generation=1, leases=leases)
        self.reports: list[Report] = []
        self._away = away

    async def report(self, report: Report) -> Snapshot:
        if self._away:
            raise Unavailable("away")
        self.reports.append(report)
        return self.snapshot


def accounts(*leases: Lease, jwt: str | None = None) -> Accounts:
    return Accounts(
        provider="zai", jwt=None if jwt is None else Secret(jwt), leases=Credentials(*leases), now=lambda: NOW
    )


def test_the_login_of_the_provider_counts() -> None:
    found = accounts(lease("crd_coding", plan=Plan.CODING), lease("crd_b", provider="bigmodel"), lease()).find("zai")

    assert (found.id, found.version, found.user_id, found.issued_at) == ("crd_a", 3, "user-1", 1_760_000_000)
    assert found.jwt.reveal() == JWT
    assert JWT not in repr(found)


def test_the_settings_win_for_their_provider_alone() -> None:
    both = accounts(lease("crd_b", provider="bigmodel"), lease(), jwt="opaque")

    assert (both.find("zai").id, both.find("zai").issued_at) == (CONFIGURED, None)
    assert both.find("bigmodel").id == "crd_b"


def test_what_cannot_be_used_is_passed_over() -> None:
    cooling = lease("crd_a", state=State.COOLING, usable_at=NOW + 60)

    assert accounts(cooling, lease("crd_b")).find("zai").id == "crd_b"
    with pytest.raises(JwtInvalid, match="auth status"):
        accounts(cooling).find("zai")


@pytest.mark.parametrize(
    ("leases", "words"),
    [((), "nobody is logged in"), ((lease(state=State.LOGIN_REQUIRED),), "no longer accepts its login")],
)
def test_without_one_the_command_is_named(leases: tuple[Lease, ...], words: str) -> None:
    with pytest.raises(JwtInvalid, match=f"{words}.*zcode-proxy auth login zai"):
        accounts(*leases).find("zai")


def test_without_a_credentials_service_there_is_none() -> None:
    with pytest.raises(JwtInvalid):
        Accounts(provider="zai", now=lambda: NOW).find("zai")


def test_an_account_is_known_by_its_own_name_or_the_one_it_has_here() -> None:
    assert accounts(lease("crd_b"), lease("crd_a")).known("zai", "crd_a") == "crd_a"
    assert accounts(jwt=JWT).known("zai", "config") == CONFIGURED
    assert accounts().known("zai", "crd_gone") == "crd_gone"


async def test_a_refused_jwt_is_reported() -> None:
    credentials = Credentials(lease())
    await Accounts(provider="zai", leases=credentials, now=lambda: NOW).refused("zai", "crd_a", 3)
    [report] = credentials.reports

    assert (report.kind, report.plan, report.version) == (ReportKind.UNAUTHORIZED, Plan.START, 3)


async def test_nobody_is_disturbed_by_a_report_that_cannot_be_made() -> None:
    away = Accounts(provider="zai", leases=Credentials(away=True), now=lambda: NOW)
    await away.refused("zai", "crd_a", 3)
    await Accounts(provider="zai", now=lambda: NOW).refused("zai", CONFIGURED, 0)
