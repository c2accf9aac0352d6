"""
What becomes of a login in the vault: kept, listed, removed.

A second login of the same user of the same provider renews the record that is there, under the same id, so that leases
and references go on; one of another user is a credential of its own.
"""

import base64
import secrets as chance
from collections.abc import Callable
from typing import Final

import msgspec

from services.credentials.contract import Kind, State
from services.credentials.errors import Conflict
from services.credentials.login import LoggedIn
from services.credentials.records import Credential, Standing
from services.credentials.vault import CREDENTIAL, Vault

_ALPHABET: Final = "abcdefghijklmnopqrstuvwxyz234567"
_SHOWN: Final = 4  # characters of a key that are shown, where it is long enough to keep the rest secret
_ATTEMPTS: Final = 5


def new_id(choice: Callable[[str], str] = chance.choice) -> str:
    """Return a credential's id."""
    return "crd_" + "".join(choice(_ALPHABET) for _ in range(12))


async def keep(vault: Vault, got: LoggedIn, *, kind: Kind, label: str, title: str, now: float) -> Credential:
    """
    Store what a login or an import brought; `label` may be empty, `title` is for a record that has none; `now` by the
    store's clock.

    Raises Conflict when others keep changing the record, Undecryptable when what is stored does not open.
    """
    for attempt in range(_ATTEMPTS):
        known = _known(await vault.credentials(), got, kind)
        record = _made(got, kind, label or title, now) if known is None else _renewed(known, got, label, now)
        try:
            return await vault.write_credential(record, record.version)
        except Conflict:
            if attempt == _ATTEMPTS - 1:
                raise
    raise AssertionError("unreachable")


async def replace_key(vault: Vault, id_: str, api_key: str, *, now: float) -> Credential:
    """
    Put another upstream key in the place of the one that is kept; whatever state that was in is over.

    Raises NotFound, Undecryptable, Conflict when others keep changing the record.
    """
    for attempt in range(_ATTEMPTS):
        known = await vault.read_credential(id_)
        got = LoggedIn(provider=known.provider, secrets=msgspec.structs.replace(known.secrets, api_key=api_key))
        try:
            return await vault.write_credential(_renewed(known, got, "", now), known.version)
        except Conflict:
            if attempt == _ATTEMPTS - 1:
                raise
    raise AssertionError("unreachable")


async def remove(vault: Vault, provider: str | None) -> tuple[Credential, ...]:
    """Remove the credentials of a provider (None: of all) and return them."""
    removed = [record for record in await vault.credentials() if provider in (None, record.provider)]
    for record in removed:
        await vault.remove(CREDENTIAL, record.id, record.version)
    return tuple(removed)


def masked(key: str | None) -> str:
    """Return what of a key may be shown: its end, if that leaves enough unknown."""
    if key is None:
        return ""
    return f"…{key[-_SHOWN:]}" if len(key) >= 8 * _SHOWN else "…"


def jwt_issued_at(token: str | None) -> float | None:
    """Return when a JWT says that it was made, in seconds since the epoch. It is not verified: for display only."""
    if token is None:
        return None
    try:
        payload = token.split(".")[1]
        claims = msgspec.json.decode(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        issued = claims["iat"]
    except (ValueError, LookupError, TypeError, msgspec.DecodeError):
        return None
    return float(issued) if isinstance(issued, int | float) and not isinstance(issued, bool) else None


def _known(records: tuple[Credential, ...], got: LoggedIn, kind: Kind) -> Credential | None:
    def is_same(record: Credential) -> bool:
        if (record.provider, record.kind) != (got.provider, kind):
            return False
        if kind is Kind.API_KEY:
            return record.secrets.api_key == got.secrets.api_key
        return record.user_id == got.user_id

    return next(filter(is_same, records), None)


def _made(got: LoggedIn, kind: Kind, label: str, now: float) -> Credential:
    return Credential(
        id=new_id(),
        provider=got.provider,
        kind=kind,
        label=label,
        secrets=got.secrets,
        user_id=got.user_id,
        created_at=now,
        rotated_at=now,
        expires_at=None if got.expires_in is None else now + got.expires_in,
    )


def _renewed(known: Credential, got: LoggedIn, label: str, now: float) -> Credential:
    """A person has acted, so whatever state the record was in is over."""
    return msgspec.structs.replace(
        known,
        label=label or known.label,
        secrets=got.secrets,
        user_id=got.user_id or known.user_id,
        rotated_at=now,
        refreshed_at=None,
        expires_at=None if got.expires_in is None else now + got.expires_in,
        state=State.READY,
        reason="",
        usable_at=None,
        blocked_models=(),
        start_plan=Standing(),
    )
