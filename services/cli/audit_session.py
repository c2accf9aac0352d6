"""The audit log that belongs to the store of the settings, for the commands that write to it or prove it."""

from pathlib import Path

from services.credentials.audit import FILE_NAME, Audit, log_name
from services.credentials.audit_chain import START, Verdict
from services.credentials.vault import Vault
from services.credentials.vault_of import is_untouched, vault_of
from services.gateway.settings import GatewaySettings


def log_path(directory: Path) -> Path:
    """Return where the log is kept."""
    return directory.expanduser() / FILE_NAME


def audit_of(settings: GatewaySettings, vault: Vault) -> Audit:
    """Return the log of the settings' store."""
    return Audit(vault, log_path(Path(settings.store.dir)), name=log_name(settings.store.url))


async def verify(settings: GatewaySettings) -> Verdict:
    """Prove the log."""
    if is_untouched(settings.store):
        return Verdict(START)
    async with vault_of(settings.store, settings.keyring) as (vault, _):
        return await audit_of(settings, vault).verify()
