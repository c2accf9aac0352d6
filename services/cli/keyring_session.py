"""What the `keyring` commands do, on the store that the settings name, and how a keyring is shown."""

import secrets
from pathlib import Path

import msgspec

from services.chassis.sealing import MASTER_SIZE
from services.cli.audit_log import audit_of
from services.cli.output import say
from services.credentials import keyring_file
from services.credentials.audit import actor
from services.credentials.errors import Conflict, NotFound
from services.credentials.keyring import Keyring
from services.credentials.keyring_changes import KeyringChanges, Standing
from services.credentials.settings import is_untouched
from services.credentials.vault_of import vault_of
from services.gateway.settings import GatewaySettings

_ABSENT = "there is no store yet: a keyring that seals nothing needs no rotation"


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One master key. `records` are sealed under it, `processes` have it."""

    kid: int
    state: str
    fingerprint: str
    records: int
    processes: int

    def shown(self) -> dict[str, object]:
        """Return an entry of `keyring status --json`."""
        return {"key": self.kid, **{name: getattr(self, name) for name in self.__struct_fields__ if name != "kid"}}

    def cells(self) -> tuple[str, ...]:
        """Return a line of `keyring status`."""
        return tuple(str(getattr(self, name)) for name in self.__struct_fields__)


async def standing(settings: GatewaySettings, replicas: int) -> Standing:
    """Look at replicas and records."""
    if is_untouched(settings.store):
        raise NotFound(_ABSENT)
    async with vault_of(settings.store, settings.keyring) as (vault, store):
        return await KeyringChanges(store, vault, at_least=replicas, audit=_unheard).standing()


async def change(settings: GatewaySettings, what: str, *, replicas: int = 0, kid: int = 0) -> Keyring:
    """Return the next keyring; what is done is in the audit log first. Raises Conflict before its turn."""
    if is_untouched(settings.store):
        raise NotFound(_ABSENT)
    async with vault_of(settings.store, settings.keyring) as (vault, store):
        log = audit_of(settings, vault)

        async def record(event: str, number: int) -> None:
            await log.record(event, actor=actor(), subject=f"master key {number}", detail="to be put in place")

        changes = KeyringChanges(store, vault, at_least=replicas, audit=record)
        match what:
            case "add":
                return await changes.added()
            case "promote":
                return await changes.promoted()
            case "retire":
                return await changes.retired()
            case _:
                return await changes.without(kid)


def made() -> Keyring:
    """Make a keyring of one key."""
    return Keyring.generate(secrets.token_bytes(MASTER_SIZE))


def give(keyring: Keyring, output: Path | None) -> None:
    """Write a keyring to a new file, or print it. Raises Conflict when the file cannot be made."""
    if output is None:
        say(keyring.dump().decode().rstrip())
        return
    try:
        keyring_file.create(output, keyring)
    except OSError as error:
        raise Conflict(f"{output} cannot be written: {error.strerror or error}") from None


def rows(standing: Standing) -> list[Row]:
    """Return what may be shown of each key."""
    facts = standing.facts
    fingerprints = facts.keyring.fingerprints()
    return [
        Row(
            kid=key.kid,
            state=key.state.value,
            fingerprint=fingerprints[key.kid],
            records=(facts.counts or {}).get(key.kid, 0),
            processes=sum(each.fingerprints.get(key.kid) == fingerprints[key.kid] for each in facts.replicas),
        )
        for key in facts.keyring
    ]


async def _unheard(event: str, number: int) -> None:
    """Nothing is changed, so nothing is written down."""
