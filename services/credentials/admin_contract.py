"""
What a person may do to logins, keys and master keys, by whichever way: structs, paths, and the port.

`administration.py` does it on a store, `admin_client.py` by way of a running service. No secret is listed; the two that
must travel, a new client key and a new upstream key, are in `KeyMade` and `Replacement` alone.
"""

from collections.abc import Callable
from typing import Annotated, Final, Protocol, runtime_checkable

import msgspec
from msgspec import Meta

AUDIENCE: Final = "zr-credentials-admin"

PREFIX: Final = "/v1/admin/"  # on the admin port only
LOGINS_PATH: Final = "/v1/admin/logins"  # GET -> Logins
LOGOUT_PATH: Final = "/v1/admin/logout"  # POST Logout -> list of LoginInfo
KEYS_PATH: Final = "/v1/admin/keys"  # GET -> list of KeyInfo; POST KeyRequest -> KeyMade
KEY_PATH: Final = "/v1/admin/keys/"  # POST <id>/rotate -> KeyMade; POST <id>/settle | <id>/revoke -> KeyInfo
CREDENTIAL_PATH: Final = "/v1/admin/credentials/"  # POST <id>/rotate Replacement -> Replaced
MASTER_PATH: Final = "/v1/admin/master"  # POST MasterRequest: begin, or join -> MasterState; GET -> MasterState
AUDIT_PATH: Final = "/v1/admin/audit"  # GET -> AuditVerdict


class LoginInfo(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A credential, without what is secret in it. Times are seconds since the epoch."""

    id: str
    provider: str
    label: str
    kind: str
    state: str
    reason: str
    user_id: str | None
    key: str  # its end; empty: there is none
    created_at: float
    rotated_at: float
    expires_at: float | None
    usable_at: float | None
    refreshable: bool
    start_plan: bool
    start_plan_state: str
    start_plan_issued_at: float | None


class Broken(msgspec.Struct, frozen=True):
    """A record that does not open."""

    id: str
    version: int
    why: str


class Logins(msgspec.Struct, frozen=True):
    """All that is kept."""

    logins: tuple[LoginInfo, ...] = ()
    broken: tuple[Broken, ...] = ()


class Logout(msgspec.Struct, frozen=True):
    """Whose logins are to be removed."""

    provider: str | None = None  # None: all


class KeyInfo(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A client key, without the key."""

    id: str
    name: str
    owner: str
    models: tuple[str, ...]  # empty: all
    secrets: int  # that are good at a time: two while it is being replaced
    created_at: float
    rotated_at: float
    expires_at: float | None
    revoked_at: float | None


class KeyRequest(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A client key that is wanted."""

    name: str
    owner: str = ""
    models: tuple[str, ...] = ()
    expires_at: float | None = None


class KeyMade(msgspec.Struct, frozen=True, kw_only=True):
    """A client key that was just made: the only time that the whole of it is seen."""

    key: str
    info: KeyInfo

    def __repr__(self) -> str:
        return f"KeyMade({self.info.id})"


class Replacement(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What is to take an upstream key's place; None: what the login provider gives."""

    api_key: str | None = None

    def __repr__(self) -> str:
        return "Replacement(…)"


class Replaced(msgspec.Struct, frozen=True, kw_only=True):
    """What became of it."""

    login: LoginInfo
    changed: bool  # False: the provider gave the key that was there already


class MasterRequest(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A rotation that is wanted."""

    replicas: Annotated[int, Meta(ge=0)] = 0  # so many running processes must report


class MasterProof(msgspec.Struct, frozen=True, kw_only=True):
    """What a finished rotation shows: every record counted, by the key that it is sealed under."""

    primary: int
    retired: tuple[int, ...]
    records: dict[int, int]
    resealed: int
    replicas: int
    next: str = ""  # what is left to whoever keeps the keyring, where the service can only read it


class MasterState(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """How far a rotation is. `step` as in `rotation_plan.Step`; empty: none was begun."""

    step: str = ""
    done: int = 0
    total: int = 0
    waiting_for: tuple[str, ...] = ()  # replicas
    running: bool = False
    proof: MasterProof | None = None  # of the last one, when it went well
    fault: str = ""  # of the last one, when it did not


class AuditVerdict(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Whether the log is whole."""

    file: str
    lines: int  # that are proven
    without_key: int  # of them, sealed under a master key that is gone
    line: int = 0  # the first wrong one
    fault: str = ""  # empty: none is


@runtime_checkable
class Administration(Protocol):
    """Everything raises CredentialsError, and StoreUnavailable where a store is near."""

    async def logins(self) -> Logins:
        """Return what is kept."""

    async def log_out(self, provider: str | None) -> tuple[LoginInfo, ...]:
        """Remove what is kept of a provider (None: of all) and return it."""

    async def keys(self) -> tuple[KeyInfo, ...]:
        """Return every client key."""

    async def create_key(self, wanted: KeyRequest) -> KeyMade:
        """Make a client key."""

    async def rotate_key(self, id_: str) -> KeyMade:
        """Give a client key a new secret beside the one it has."""

    async def settle_key(self, id_: str) -> KeyInfo:
        """End the older secret of a client key."""

    async def revoke_key(self, id_: str) -> KeyInfo:
        """End a client key."""

    async def replace(self, id_: str, replacement: Replacement) -> Replaced:
        """Put a new upstream key in the place of a credential's, or ask its login provider for one."""

    async def rotate_master(self, progress: Callable[[MasterState], None], replicas: int = 0) -> MasterProof:
        """Carry a rotation of the master key out, or go on with one; at least so many processes must report."""

    async def verify_audit(self) -> AuditVerdict:
        """Prove the audit log."""
