"""
Leases out of the credentials service's snapshot, and what is to be reported on them.

`current` reads memory and never waits: the snapshot's leases are turned into ready ones once per snapshot. The first
lease of the route's provider and plan that can be used is taken; which one that is does not change from call to call,
because several accounts are not for spreading load.
"""

from collections.abc import Collection
from typing import Final

import msgspec

from services.chassis.clock import Clock, SystemClock
from services.chassis.secret import Secret
from services.credentials import contract
from services.credentials.client import CredentialsClient, is_usable
from services.credentials.contract import Report, ReportKind, Snapshot, State
from services.credentials.errors import CredentialsError
from services.gateway.errors import BadRequest, GatewayError, Misconfigured, Overloaded
from services.gateway.leases import Lease
from services.gateway.routing import Plan, UpstreamRoute
from services.gateway.translation.fault import Action, Fault
from services.gateway.translation.own_faults import bad_request, misconfigured, overloaded

_RISK_CONTROL: Final = "3012"
_RESTED: Final = 1800.0  # seconds a credential rests after an answer that says the account is watched (promises.md C8)
_NOT_IN_PLAN: Final = "model_not_in_plan"
_AWAY: Final = 5.0  # seconds after which it is worth asking again while the service is away

_KINDS: Final = {
    Action.RENEW_CREDENTIAL: ReportKind.UNAUTHORIZED,
    Action.COOL_CREDENTIAL: ReportKind.COOLING,
    Action.DISABLE_CREDENTIAL: ReportKind.DISABLED,
    Action.BLOCK_MODEL: ReportKind.MODEL_BLOCKED,
}


class _Held(msgspec.Struct, frozen=True):
    """A lease as the service gave it, and as the exchange takes it."""

    given: contract.Lease
    ready: Lease
    calm_until: (
        float  # seconds since the epoch; until then it may be used for any model, if the snapshot is still current
    )


class SnapshotLeases:
    """`Leases` over a client of the credentials service."""

    def __init__(self, client: CredentialsClient, clock: Clock | None = None) -> None:
        self._client = client
        self._clock: Clock = clock or SystemClock()
        self._of: Snapshot | None = None
        self._held: dict[tuple[str, str], tuple[_Held, ...]] = {}

    def current(self, route: UpstreamRoute, model: str | None = None, resting: Collection[str] = ()) -> Lease:
        """Return what to call this route with now; raises Misconfigured or Overloaded with what to do about it."""
        snapshot = self._client.snapshot
        if snapshot is not self._of:
            self._held = _by_plan(snapshot)
            self._of = snapshot
        held = self._held.get((route.provider, route.plan), ())
        now = self._clock.now()
        if held and held[0].calm_until > now and not resting:  # the usual case
            return held[0].ready
        second: Lease | None = None
        for each in held:
            if is_usable(each.given, now) and model not in each.given.blocked_models:
                if each.ready.credential_id not in resting:
                    return each.ready
                second = second or each.ready
        if second is not None:
            return second
        raise self._why_not(route, [each.given for each in held], now, model)

    async def after(self, fault: Fault, lease: Lease, route: UpstreamRoute, model: str) -> Lease | None:
        """Report what a fault says of a lease, and return the one to try next, if it is another or a newer one."""
        report = report_of(fault, lease, route.plan, model, self._clock.now())
        if report is None:
            return None
        try:
            await self._client.report(report)
            following = self.current(route, model)
        except (CredentialsError, GatewayError):
            return None  # the client is told of the fault itself
        # Fair use and risk control are about the person, so no other credential of theirs is tried (upstream.md 7).
        changed = (following.credential_id, following.version) != (lease.credential_id, lease.version)
        return following if changed and fault.action is not Action.STOP else None

    def _why_not(
        self, route: UpstreamRoute, leases: list[contract.Lease], now: float, model: str | None
    ) -> GatewayError:
        if not leases and not self._client.reachable:
            return _away()
        return _why_not(route, leases, now, model)


def report_of(fault: Fault, lease: Lease, plan: Plan, model: str, now: float) -> Report | None:
    """Return what the credentials service must know of a fault; None when it says nothing of the credential."""
    kind = _KINDS.get(fault.action)
    rest = fault.retry_after or 0.0
    if fault.action is Action.STOP:
        # Fair use takes a person. Risk control may pass, but not by asking again soon.
        kind = ReportKind.COOLING if fault.upstream_code == _RISK_CONTROL else ReportKind.DISABLED
        rest = _RESTED
    if kind is None or not lease.version:
        return None
    until = now + rest if kind is ReportKind.COOLING else None
    return Report(
        credential_id=lease.credential_id,
        version=lease.version,
        kind=kind,
        plan=contract.Plan(plan.value),
        reason=fault.upstream_code or "",
        until=until,
        model=model if kind is ReportKind.MODEL_BLOCKED else None,
    )


def _why_not(route: UpstreamRoute, leases: list[contract.Lease], now: float, model: str | None) -> GatewayError:
    """Return what stops every lease of a route, and what the reader can do about it."""
    if not leases:
        return _misconfigured(
            f"There is no credential for {route.provider} on the {route.plan.value}: "
            f"run `zcode-proxy auth login {route.provider}`.",
            "credential_missing",
        )
    usable = [lease for lease in leases if is_usable(lease, now)]
    if usable:
        return BadRequest(
            bad_request(f"The plan does not include the model `{model}`: choose another one.", "model", _NOT_IN_PLAN)
        )
    cooling = [lease.usable_at for lease in leases if lease.state is State.COOLING and lease.usable_at is not None]
    if cooling:
        message = "The plan's limit is used up; it opens again at the reset time."
        return Overloaded(overloaded(max(1.0, min(cooling) - now), message))
    states = {lease.state for lease in leases}
    if State.READY in states:  # then it is its time that is over, and the service has not made it anew
        return _away()
    if State.LOGIN_REQUIRED in states:
        message = f"The login at {route.provider} is no longer good: run `zcode-proxy auth login {route.provider}`."
        return _misconfigured(message, "login_required")
    return _misconfigured(
        f"The provider has stopped the account at {route.provider}: `zcode-proxy auth status` says why.",
        "credential_disabled",
    )


def _misconfigured(message: str, code: str) -> Misconfigured:
    return Misconfigured(misconfigured(message, code, status=503))


def _away() -> Overloaded:
    message = "The credentials service does not answer, and what it gave before is no longer good; try again."
    return Overloaded(msgspec.structs.replace(overloaded(_AWAY, message), status=503, code="credentials_unavailable"))


def _by_plan(snapshot: Snapshot) -> dict[tuple[str, str], tuple[_Held, ...]]:
    held: dict[tuple[str, str], tuple[_Held, ...]] = {}
    for lease in snapshot.leases:
        ready = Lease(lease.credential_id, Secret(lease.secret), lease.user_id, lease.version)
        key = (lease.provider, lease.plan.value)
        held[key] = (*held.get(key, ()), _Held(lease, ready, _calm_until(lease)))
    return held


def _calm_until(lease: contract.Lease) -> float:
    if lease.state is not State.READY or lease.blocked_models:
        return 0.0
    return float("inf") if lease.expires_at is None else lease.expires_at
