"""
What a gateway's report changes in a record. Pure.

    report          of what                  becomes
    UNAUTHORIZED    can be made anew         refresh (the broker's business); the same again within a minute: a strike
                    cannot                   a strike; the third within ten minutes: LOGIN_REQUIRED
    COOLING         either plan              COOLING until the time named, a month at most
    DISABLED        either plan              DISABLED with the upstream's code
    MODEL_BLOCKED   the credential           the model joins `blocked_models`
    any             another version          nothing: somebody has acted on it already

What only a person can mend is never made worse or better by a report: LOGIN_REQUIRED and DISABLED stay. One refusal is
no proof that a key is dead, because upstreams have bad minutes too, so it takes three (promises.md C8).
"""

from typing import Final

import msgspec

from services.credentials.contract import Plan, Report, ReportKind, State
from services.credentials.records import Credential, Standing

STRIKES: Final = 3
STRIKE_WINDOW: Final = 600.0  # seconds
FRESH: Final = 60.0  # seconds after a refresh in which another refusal means that refreshing does not help

_LONGEST_COOLING: Final = 32 * 86_400.0  # seconds; a monthly limit and a day
_SHORTEST_COOLING: Final = 1.0
_MOST_MODELS: Final = 64
_LONGEST_NAME: Final = 128  # characters of a model or a reason
_FINAL: Final = (State.LOGIN_REQUIRED, State.DISABLED)


def after(credential: Credential, report: Report, now: float) -> Credential:
    """Return the record as it is after a report; the same when that changes nothing (UNAUTHORIZED never does)."""
    match report.kind:
        case ReportKind.MODEL_BLOCKED:
            return _blocked(credential, report.model)
        case ReportKind.COOLING:
            return _cooling(credential, report, now)
        case ReportKind.DISABLED:
            return stood(credential, report.plan, Standing(state=State.DISABLED, reason=_short(report.reason)))
        case _:
            return credential


def login_required(credential: Credential, plan: Plan, reason: str) -> Credential:
    """Return the record with a plan that only a new login can mend, whatever else is the matter with it."""
    return _set(credential, plan, Standing(state=State.LOGIN_REQUIRED, reason=_short(reason)))


def stood(credential: Credential, plan: Plan, standing: Standing) -> Credential:
    """Return the record with a plan's standing changed, unless a person has to act on it anyway."""
    if standing_of(credential, plan).state in _FINAL:
        return credential
    return _set(credential, plan, standing)


def _set(credential: Credential, plan: Plan, standing: Standing) -> Credential:
    if plan is Plan.START:
        return msgspec.structs.replace(credential, start_plan=standing)
    return msgspec.structs.replace(
        credential, state=standing.state, reason=standing.reason, usable_at=standing.usable_at
    )


def standing_of(credential: Credential, plan: Plan) -> Standing:
    """Return how a plan of a credential stands."""
    if plan is Plan.START:
        return credential.start_plan
    return Standing(state=credential.state, reason=credential.reason, usable_at=credential.usable_at)


class Strikes:
    """How often of late a secret was refused. Kept in memory: what a restart forgets is found out again."""

    def __init__(self) -> None:
        self._times: dict[str, list[float]] = {}

    def add(self, key: str, now: float) -> bool:
        """Count a refusal (`now` monotonic); returns whether it is one too many."""
        times = [time for time in self._times.get(key, []) if now - time < STRIKE_WINDOW] + [now]
        self._times[key] = times[-STRIKES:]
        return len(times) >= STRIKES


def _cooling(credential: Credential, report: Report, now: float) -> Credential:
    until = report.until if report.until is not None else now + _SHORTEST_COOLING
    until = min(max(until, now + _SHORTEST_COOLING), now + _LONGEST_COOLING)
    return stood(credential, report.plan, Standing(state=State.COOLING, reason=_short(report.reason), usable_at=until))


def _blocked(credential: Credential, model: str | None) -> Credential:
    blocked = credential.blocked_models
    if not model or len(model) > _LONGEST_NAME or model in blocked or len(blocked) >= _MOST_MODELS:
        return credential
    return msgspec.structs.replace(credential, blocked_models=(*blocked, model))


def _short(reason: str) -> str:
    return reason[:_LONGEST_NAME]
