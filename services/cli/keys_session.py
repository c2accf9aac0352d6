"""What the `keys` commands do, and how keys are shown."""

import typer

from services.cli.exits import Exit
from services.cli.lifetimes import day
from services.cli.office import Office
from services.cli.output import complain
from services.credentials import key_format
from services.credentials.admin_contract import KeyInfo, KeyMade, KeyRequest


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


async def create(office: Office, wanted: KeyRequest) -> KeyMade:
    """Make a key. When the audit log cannot be written nobody gets to see it."""
    async with office.open() as desk:
        return await desk.create_key(wanted)


async def listed(office: Office) -> tuple[KeyInfo, ...]:
    """Return every key."""
    if office.empty:
        return ()
    async with office.open() as desk:
        return await desk.keys()


async def rotate(office: Office, id_: str) -> KeyMade:
    """Give a key a new secret beside the one it has."""
    async with office.open(for_what_is_there=_absent(id_)) as desk:
        return await desk.rotate_key(id_)


async def settle(office: Office, id_: str) -> KeyInfo:
    """End the older secret of a key."""
    async with office.open(for_what_is_there=_absent(id_)) as desk:
        return await desk.settle_key(id_)


async def revoke(office: Office, id_: str) -> KeyInfo:
    """End a key."""
    async with office.open(for_what_is_there=_absent(id_)) as desk:
        return await desk.revoke_key(id_)


def _absent(id_: str) -> str:
    return f"there is no key with the id {id_}"


def state_of(key: KeyInfo, now: float) -> str:
    """Say in one word whether a key is good."""
    if key.revoked_at is not None:
        return "revoked"
    if key.expires_at is not None and key.expires_at <= now:
        return "expired"
    return "active" if key.secrets == 1 else "two secrets"


def row(key: KeyInfo, now: float) -> tuple[str, ...]:
    """Return a line of `keys list`."""
    expires = "never" if key.expires_at is None else day(key.expires_at)
    models = ", ".join(key.models) or "all"
    return (key.id, key.name, key.owner or "-", models, state_of(key, now), day(key.created_at), expires)


def shown(key: KeyInfo, now: float) -> dict[str, object]:
    """Return an entry of `keys list --json`."""
    return {
        "id": key.id,
        "name": key.name,
        "owner": key.owner,
        "models": list(key.models),
        "state": state_of(key, now),
        "secrets": key.secrets,
        "created_at": key.created_at,
        "rotated_at": key.rotated_at,
        "expires_at": key.expires_at,
        "revoked_at": key.revoked_at,
    }
