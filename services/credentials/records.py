"""
What is kept of a credential, before sealing and after opening. Pure.

The plain part lets a listing and a sweep work without opening anything; the sealed part is one JSON object, sealed as
a whole under the record's id and version.
"""

import msgspec

from services.credentials.contract import Kind, State


class Secrets(msgspec.Struct, frozen=True, kw_only=True):
    """The sealed part. Strings, because they exist only between opening and use; never log or print one."""

    api_key: str | None = None  # what goes upstream on the coding plan
    access_token: str | None = None  # of the provider's login; resolves to an api_key
    refresh_token: str | None = None
    start_plan_jwt: str | None = None

    def __repr__(self) -> str:
        held = [name for name in self.__struct_fields__ if getattr(self, name) is not None]
        return f"Secrets({', '.join(f'{name}=…' for name in held)})"


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """Whether something may be used, and if not, why and until when."""

    state: State = State.READY
    reason: str = ""
    usable_at: float | None = None


class Credential(msgspec.Struct, frozen=True, kw_only=True):
    """One record. Times are seconds since the epoch, by the store's clock."""

    id: str  # crd_ and 12 characters of a-z2-7
    provider: str
    kind: Kind
    label: str
    secrets: Secrets
    user_id: str | None = None
    created_at: float
    rotated_at: float  # when the secrets last changed
    expires_at: float | None = None  # of what must be refreshed; None: does not expire by itself
    refreshed_at: float | None = None
    state: State = State.READY
    reason: str = ""  # why it is not ready
    usable_at: float | None = None
    blocked_models: tuple[str, ...] = ()
    start_plan: Standing = Standing()  # of the start-plan JWT, which has limits and failures of its own
    made_from: str = ""  # what the secrets were that these were got with (`refresh.epoch`)
    fence: int = 0  # of the lease under which they were got
    version: int = 0  # of the stored record; 0: not stored yet
