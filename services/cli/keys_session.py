"""What the `keys` commands do, on the store that the settings name."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
import typer

from services.cli.audit_session import audit_of
from services.cli.exits import Exit
from services.cli.lifetimes import day
from services.cli.output import complain
from services.credentials import key_format
from services.credentials.audit import Audit, actor
from services.credentials.client_keys import ClientKeyBook, KeyRecord, NewKey
from services.credentials.errors import NotFound
from services.credentials.vault_of import is_untouched, vault_of
from services.gateway.settings import GatewaySettings


def id_or_exit(text: str) -> str:
    """Return the id of a key, or leave with 2; a whole key is refused, and what to do about it is said."""
    found = key_format.id_in(text)
    if found is not None:
        return found
    whole = key_format.parse(text.encode())
    if whole is not None:
        complain(
            f"that is a whole key, and it is in your shell's history now: the id is enough, {whole.id}. "
            f"Give it another secret: zcode-proxy keys rotate {whole.id}, twice, or with --finish at the end"
        )
    else:
        complain("that is not the id of a key: 12 characters, as in `zcode-proxy keys list`")
    raise typer.Exit(Exit.USAGE)


async def create(
    settings: GatewaySettings, name: str, *, owner: str, models: tuple[str, ...], expires_at: float | None
) -> NewKey:
    """Make a key. When the audit log cannot be written nobody gets to see it."""
    async with _desk(settings) as desk:
        new = await desk.book.create(name, owner=owner, models=models, expires_at=expires_at)
        await desk.record("key.create", new.record)
        return new


async def listed(settings: GatewaySettings) -> tuple[KeyRecord, ...]:
    """Return every key."""
    if is_untouched(settings.store):
        return ()
    async with _desk(settings) as desk:
        return await desk.book.all()


async def rotate(settings: GatewaySettings, id_: str) -> NewKey:
    """Give a key a new secret beside the one it has."""
    async with _desk(settings, id_) as desk:
        new = await desk.book.rotate(id_)
        await desk.record("key.rotate", new.record, "two secrets")
        return new


async def settle(settings: GatewaySettings, id_: str) -> KeyRecord:
    """End the older secret of a key."""
    async with _desk(settings, id_) as desk:
        record = await desk.book.settle(id_)
        await desk.record("key.rotate", record, "only the newest")
        return record


async def revoke(settings: GatewaySettings, id_: str) -> KeyRecord:
    """End a key."""
    async with _desk(settings, id_) as desk:
        record = await desk.book.revoke(id_)
        await desk.record("key.revoke", record)
        return record


class _Desk(msgspec.Struct, frozen=True):
    """Where keys are handled: the book of them, and the log of what is done."""

    book: ClientKeyBook
    audit: Audit

    async def record(self, event: str, record: KeyRecord, detail: str = "") -> None:
        await self.audit.record(event, actor=actor(), subject=f"{record.id} {record.name}", detail=detail)


@asynccontextmanager
async def _desk(settings: GatewaySettings, for_id: str | None = None) -> AsyncIterator[_Desk]:
    """Open the store; for a key that must be there already, none is made."""
    if for_id is not None and is_untouched(settings.store):
        raise NotFound(f"there is no key with the id {for_id}")
    async with vault_of(settings.store, settings.keyring) as (vault, store):
        yield _Desk(ClientKeyBook(vault, store), audit_of(settings, vault))


def state_of(record: KeyRecord, now: float) -> str:
    """Say in one word whether a key is good."""
    if record.revoked_at is not None:
        return "revoked"
    if record.expires_at is not None and record.expires_at <= now:
        return "expired"
    return "active" if len(record.macs) == 1 else "two secrets"


def row(record: KeyRecord, now: float) -> tuple[str, ...]:
    """Return a line of `keys list`."""
    expires = "never" if record.expires_at is None else day(record.expires_at)
    models = ", ".join(record.models) or "all"
    return (
        record.id,
        record.name,
        record.owner or "-",
        models,
        state_of(record, now),
        day(record.created_at),
        expires,
    )


def shown(record: KeyRecord, now: float) -> dict[str, object]:
    """Return an entry of `keys list --json`."""
    return {
        "id": record.id,
        "name": record.name,
        "owner": record.owner,
        "models": list(record.models),
        "state": state_of(record, now),
        "secrets": len(record.macs),
        "created_at": record.created_at,
        "rotated_at": record.rotated_at,
        "expires_at": record.expires_at,
        "revoked_at": record.revoked_at,
    }
