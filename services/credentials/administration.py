"""
What a person may do, on an open store: `Administration` for a command and, behind the admin port, for the service.

Whatever is done is in the audit log before anybody is answered; what cannot be written down is not told.
"""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Protocol

from services.credentials import logins
from services.credentials.admin_contract import (
    AuditVerdict,
    Broken,
    KeyInfo,
    KeyMade,
    KeyRequest,
    LoginInfo,
    Logins,
    MasterProof,
    MasterState,
    Replaced,
    Replacement,
)
from services.credentials.audit import Audit
from services.credentials.client_keys import ClientKeyBook, KeyRecord, NewKey
from services.credentials.contract import Kind
from services.credentials.errors import Conflict, LoginRequired, Unavailable, Undecryptable
from services.credentials.keyring_file import KeyringFile
from services.credentials.records import Credential
from services.credentials.refresh import End
from services.credentials.rotation import Hooks, Progress, Rotation
from services.credentials.stores.port import Store
from services.credentials.vault import CREDENTIAL, Vault

_DONE = (End.REFRESHED, End.NEWER, End.PENDING)


class Renewer(Protocol):
    """Makes a credential anew with its login provider: a broker."""

    async def refresh(self, credential_id: str) -> End:
        """Do it now. Raises NotFound, Undecryptable, LoginRequired."""


class StoreAdministration:
    """One per store and person; `renewer` comes when it is needed, because it is heavy."""

    def __init__(
        self,
        vault: Vault,
        store: Store,
        audit: Audit,
        *,
        actor: str,
        keyring: Path,
        renewer: Callable[[], Awaitable[Renewer]],
    ) -> None:
        self._vault = vault
        self._store = store
        self._audit = audit
        self._actor = actor
        self._keyring = keyring
        self._renewer = renewer
        self._book = ClientKeyBook(vault, store)

    # -- logins

    async def logins(self) -> Logins:
        """Return what is kept, and what of it does not open."""
        found, broken = [], []
        for id_, stored in sorted((await self._store.scan(CREDENTIAL)).items()):
            try:
                found.append(info_of(await self._vault.read_credential(id_)))
            except Undecryptable as fault:
                broken.append(Broken(id_, stored.version, str(fault)))
        return Logins(tuple(found), tuple(broken))

    async def log_out(self, provider: str | None) -> tuple[LoginInfo, ...]:
        """Remove what is kept of a provider (None: of all) and return it."""
        removed = await logins.remove(self._vault, provider)
        for record in removed:
            await self._record("cred.delete", f"{record.id} {record.provider}")
        return tuple(info_of(record) for record in removed)

    async def replace(self, id_: str, replacement: Replacement) -> Replaced:
        """
        Put a new upstream key in the place of a credential's; requests that run go on with the old one.

        Raises NotFound, Undecryptable, Conflict for a key where its provider makes them or none where it is needed,
        LoginRequired, Unavailable.
        """
        before = await self._vault.read_credential(id_)
        if (before.kind is Kind.API_KEY) != (replacement.api_key is not None):
            raise Conflict(
                "this credential came with a login, which makes its own key"
                if before.kind is Kind.OAUTH
                else "this credential is a key that somebody gave: the new one must be given too"
            )
        if replacement.api_key is not None:
            after = await logins.replace_key(self._vault, id_, replacement.api_key, now=await self._store.now())
        else:
            after = await self._renewed(id_)
        changed = after.secrets.api_key != before.secrets.api_key
        await self._record("cred.rotate", f"{id_} {after.provider}", "" if changed else "the same key as before")
        return Replaced(login=info_of(after), changed=changed)

    async def _renewed(self, id_: str) -> Credential:
        end = await (await self._renewer()).refresh(id_)
        if end is End.LOGIN_REQUIRED:
            raise LoginRequired("the provider does not accept the login any longer: log in again")
        if end not in _DONE:
            raise Unavailable("the login provider does not answer, or the credential is in use; try again")
        return await self._vault.read_credential(id_)

    # -- client keys

    async def keys(self) -> tuple[KeyInfo, ...]:
        """Return every client key."""
        return tuple(_key_info(record) for record in await self._book.all())

    async def create_key(self, wanted: KeyRequest) -> KeyMade:
        """Make a client key."""
        new = await self._book.create(
            wanted.name, owner=wanted.owner, models=wanted.models, expires_at=wanted.expires_at
        )
        return await self._made("key.create", new)

    async def rotate_key(self, id_: str) -> KeyMade:
        """Give a client key a new secret beside the one it has."""
        return await self._made("key.rotate", await self._book.rotate(id_), "two secrets")

    async def settle_key(self, id_: str) -> KeyInfo:
        """End the older secret of a client key."""
        return await self._changed("key.rotate", await self._book.settle(id_), "only the newest")

    async def revoke_key(self, id_: str) -> KeyInfo:
        """End a client key."""
        return await self._changed("key.revoke", await self._book.revoke(id_))

    async def _made(self, event: str, new: NewKey, detail: str = "") -> KeyMade:
        return KeyMade(key=new.key.reveal(), info=await self._changed(event, new.record, detail))

    async def _changed(self, event: str, record: KeyRecord, detail: str = "") -> KeyInfo:
        await self._record(event, f"{record.id} {record.name}", detail)
        return _key_info(record)

    # -- master keys and the log

    async def rotate_master(self, progress: Callable[[MasterState], None], replicas: int = 0) -> MasterProof:
        """Carry a rotation out, or go on with one; every change of the keyring is in the log first."""

        async def record(event: str, kid: int) -> None:
            await self._record(event, f"master key {kid}")

        hooks = Hooks(progress=lambda step: progress(_state(step)), audit=record)
        holder = KeyringFile(self._keyring)
        proof = await Rotation(self._store, self._vault, holder, at_least=replicas, hooks=hooks).run()
        return MasterProof(
            primary=proof.primary,
            retired=proof.retired,
            records=proof.counts,
            resealed=proof.resealed,
            replicas=proof.replicas,
            next=proof.next,
        )

    async def verify_audit(self) -> AuditVerdict:
        """Prove the audit log of this machine."""
        verdict = await self._audit.verify()
        return AuditVerdict(
            file=str(self._audit.path),
            lines=verdict.head.seq,
            without_key=verdict.unkeyed,
            line=verdict.line,
            fault=verdict.fault,
        )

    async def _record(self, event: str, subject: str, detail: str = "") -> None:
        await self._audit.record(event, actor=self._actor, subject=subject, detail=detail)


def info_of(record: Credential) -> LoginInfo:
    """Return what may be shown of a credential."""
    secrets = record.secrets
    return LoginInfo(
        id=record.id,
        provider=record.provider,
        label=record.label,
        kind=record.kind.value,
        state=record.state.value,
        reason=record.reason,
        user_id=record.user_id,
        key=logins.masked(secrets.api_key),
        created_at=record.created_at,
        rotated_at=record.rotated_at,
        expires_at=record.expires_at,
        usable_at=record.usable_at,
        refreshable=bool(secrets.refresh_token or secrets.access_token),
        start_plan=secrets.start_plan_jwt is not None,
        start_plan_state=record.start_plan.state.value,
        start_plan_issued_at=logins.jwt_issued_at(secrets.start_plan_jwt),
    )


def _key_info(record: KeyRecord) -> KeyInfo:
    return KeyInfo(
        id=record.id,
        name=record.name,
        owner=record.owner,
        models=record.models,
        secrets=len(record.macs),
        created_at=record.created_at,
        rotated_at=record.rotated_at,
        expires_at=record.expires_at,
        revoked_at=record.revoked_at,
    )


def _state(progress: Progress) -> MasterState:
    return MasterState(
        step=progress.step.value,
        done=progress.done,
        total=progress.total,
        waiting_for=progress.waiting_for,
        running=True,
    )
