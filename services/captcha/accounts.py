"""
Whose JWT is sent: the one that the settings hold, else the start-plan lease of the credentials service.

A report that a JWT was refused goes back there; whether the login has to be done again is for that service to say.
"""

import logging
from collections.abc import Callable
from typing import Final, Protocol

import msgspec

from services.captcha.errors import JwtInvalid
from services.captcha.jwt_claims import issued_at
from services.chassis.secret import Secret
from services.credentials.client import is_usable
from services.credentials.contract import Lease, Plan, Report, ReportKind, Snapshot, State
from services.credentials.errors import CredentialsError

CONFIGURED: Final = "configured"  # id of the account whose JWT stands in the settings

_log = logging.getLogger(__name__)


class Leases(Protocol):
    """What is wanted of the credentials service's client."""

    @property
    def snapshot(self) -> Snapshot: ...

    async def report(self, report: Report) -> Snapshot: ...


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """One account of a provider."""

    id: str
    version: int
    jwt: Secret
    issued_at: float | None
    user_id: str | None


class Accounts:
    """Finds accounts. `jwt` is the settings' own, of `provider`; `leases` is absent where nobody can log in."""

    def __init__(
        self, *, provider: str, jwt: Secret | None = None, leases: Leases | None = None, now: Callable[[], float]
    ) -> None:
        self._provider = provider
        self._jwt = jwt
        self._leases = leases
        self._now = now

    def find(self, provider: str) -> Account:
        """Return the account whose turn it is. Raises JwtInvalid when there is none."""
        if self._jwt is not None and provider == self._provider:
            at = issued_at(self._jwt.reveal())
            return Account(id=CONFIGURED, version=0, jwt=self._jwt, issued_at=at, user_id=None)
        found = [] if self._leases is None else _start_leases(self._leases.snapshot, provider)
        for lease in found:
            if is_usable(lease, self._now()):
                jwt = Secret(lease.secret)
                return Account(
                    id=lease.credential_id,
                    version=lease.version,
                    jwt=jwt,
                    issued_at=issued_at(lease.secret),
                    user_id=lease.user_id,
                )
        raise JwtInvalid(_words(provider, found))

    def known(self, provider: str, account: str) -> str:
        """Return the id of an account as it is known here: a gateway may call the settings' own one differently."""
        leases = [] if self._leases is None else _start_leases(self._leases.snapshot, provider)
        if any(lease.credential_id == account for lease in leases):
            return account
        try:
            return self.find(provider).id
        except JwtInvalid:
            return account

    async def refused(self, provider: str, account: str, version: int) -> None:
        """Tell the credentials service that the provider no longer takes a JWT."""
        if self._leases is None or account == CONFIGURED:
            _log.warning("%s refuses the start-plan JWT of the settings (startPlan.jwt)", provider)
            return
        report = Report(
            credential_id=account, version=version, kind=ReportKind.UNAUTHORIZED, plan=Plan.START, reason="401"
        )
        try:
            await self._leases.report(report)
        except CredentialsError as error:
            _log.warning("the credentials service could not be told of a refused JWT: %s", error)


def _start_leases(snapshot: Snapshot, provider: str) -> list[Lease]:
    return [lease for lease in snapshot.leases if lease.plan is Plan.START and lease.provider == provider]


def _words(provider: str, found: list[Lease]) -> str:
    login = f"zcode-proxy auth login {provider}"
    if not found:
        return f"nobody is logged in to the start plan of {provider}; run: {login}"
    if any(lease.state is State.LOGIN_REQUIRED for lease in found):
        return f"the start plan of {provider} no longer accepts its login; run: {login}"
    return f"the start plan of {provider} cannot be used now; zcode-proxy auth status says why"
