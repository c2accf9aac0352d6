"""
From records to what a gateway may have of them: pure, and the one place that decides what leaves the service.

A login gives up to two leases, one per plan: the plan's key, and the start plan's JWT. Refresh and access tokens never
leave.
"""

from collections.abc import Iterable, Iterator

import msgspec

from services.credentials.contract import ClientKey, Lease, Plan, Snapshot, State
from services.credentials.records import Credential, Standing


class KnownKeys(msgspec.Struct, frozen=True, kw_only=True):
    """The clients' keys as a snapshot carries them."""

    keys: tuple[ClientKey, ...] = ()
    pepper: str = ""


def assemble(generation: int, credentials: Iterable[Credential], known: KnownKeys, now: float) -> Snapshot:
    """Return the snapshot of some records; `now` in seconds since the epoch."""
    leases = tuple(lease for credential in credentials for lease in leases_of(credential, now))
    return Snapshot(generation=generation, leases=leases, client_keys=known.keys, pepper=known.pepper)


def leases_of(credential: Credential, now: float) -> Iterator[Lease]:
    """Return what a credential is good for, ready or not, so that a gateway can say why it is not."""
    secrets = credential.secrets
    standing = Standing(state=credential.state, reason=credential.reason, usable_at=credential.usable_at)
    if secrets.api_key is not None:
        yield _lease(credential, Plan.CODING, secrets.api_key, standing, now)
    if secrets.start_plan_jwt is not None:
        # What stops the account stops both plans; a limit of one plan says nothing about the other.
        whole = credential.state in (State.LOGIN_REQUIRED, State.DISABLED)
        yield _lease(credential, Plan.START, secrets.start_plan_jwt, standing if whole else credential.start_plan, now)


def _lease(credential: Credential, plan: Plan, secret: str, standing: Standing, now: float) -> Lease:
    over = standing.state is State.COOLING and standing.usable_at is not None and standing.usable_at <= now
    return Lease(
        credential_id=credential.id,
        version=credential.version,
        provider=credential.provider,
        plan=plan,
        kind=credential.kind,
        secret=secret,
        user_id=credential.user_id,
        state=State.READY if over else standing.state,
        usable_at=None if over else standing.usable_at,
        expires_at=credential.expires_at,
        blocked_models=credential.blocked_models,
    )
