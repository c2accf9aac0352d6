"""
What other processes may know of the credentials service: structs, paths, error codes. With `client.py` its only face.

The gateway holds one snapshot at a time and learns of a newer one by a long poll, so that a normal request makes no
hop. A snapshot carries what may be put on the wire and nothing that could make more of it: no refresh token, no master
key, no login state.
"""

from enum import Enum
from typing import Final

import msgspec

SNAPSHOT_PATH: Final = "/v1/snapshot"  # GET ?after=<generation>&wait=<seconds> -> Snapshot
REPORT_PATH: Final = "/v1/reports"  # POST Report -> Snapshot
AUDIENCE: Final = "zr-credentials"  # in the proof of a call (chassis/peer)
LONGEST_WAIT: Final = 25.0  # seconds a long poll is held; below the idle time of anything in between


class Kind(Enum):
    """How a credential came to be."""

    API_KEY = "api_key"  # given by its owner
    OAUTH = "oauth"  # resolved from a login


class Plan(Enum):
    """What a lease may be used for."""

    CODING = "coding-plan"
    START = "start-plan"


class State(Enum):
    """Whether a credential may be used; everything but READY says why not."""

    READY = "ready"
    COOLING = "cooling"  # until `usable_at`
    LOGIN_REQUIRED = "login_required"  # only a person can mend it
    DISABLED = "disabled"  # with a reason, until a person acts


class Lease(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One credential, ready to be sent upstream."""

    credential_id: str
    version: int  # of the record; a report on an older one changes nothing
    provider: str
    plan: Plan
    kind: Kind
    secret: str  # the only secret here; becomes a chassis Secret on arrival
    user_id: str | None = None  # OAuth logins: for metadata.user_id
    state: State = State.READY
    usable_at: float | None = None  # seconds since the epoch
    expires_at: float | None = None
    blocked_models: tuple[str, ...] = ()  # not part of this credential's plan


class ClientKey(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What the gateway needs to check a client's key; the key itself is known to nobody but its holder."""

    id: str
    macs: tuple[str, ...]  # HMAC-SHA-256(pepper, secret) in hex; two while a key is being replaced
    name: str = ""
    owner: str = ""
    models: tuple[str, ...] = ()  # empty: all
    expires_at: float | None = None
    disabled: bool = False


class Snapshot(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """All that a gateway may use, as of one generation of the store."""

    generation: int
    leases: tuple[Lease, ...] = ()
    client_keys: tuple[ClientKey, ...] = ()
    pepper: str = ""  # base64; of the client keys' MACs


class ReportKind(Enum):
    """What a gateway found out about a lease."""

    UNAUTHORIZED = "unauthorized"  # 1000-1005, 401: resolve it anew
    COOLING = "cooling"  # a window limit, until `until`
    DISABLED = "disabled"  # account, plan or fair use: until a person acts
    MODEL_BLOCKED = "model_blocked"  # `model` is not in its plan


class Report(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One finding. The answer is the snapshot that follows from it, so that the caller can go on at once."""

    credential_id: str
    version: int
    kind: ReportKind
    plan: Plan = Plan.CODING  # of the lease: a login's two plans have limits and failures of their own
    reason: str = ""  # an upstream code, never text of the upstream
    until: float | None = None  # seconds since the epoch
    model: str | None = None


class ErrorCode(Enum):
    """`code` of a problem document from this service."""

    NOT_AUTHENTICATED = "not_authenticated"
    REPLAYED = "replayed"
    LOGIN_REQUIRED = "login_required"
    STORE_UNAVAILABLE = "store_unavailable"
    NOT_FOUND = "not_found"
    CONFLICT = "conflict"
    INVALID = "invalid"
