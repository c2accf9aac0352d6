"""The audit log that belongs to the store of the settings, for the commands that write to it."""

from services.credentials.audit import FILE_NAME, Audit, log_name
from services.credentials.settings import directory
from services.credentials.vault import Vault
from services.gateway.settings import GatewaySettings


def audit_of(settings: GatewaySettings, vault: Vault) -> Audit:
    """Return the log of the settings' store."""
    return Audit(vault, directory(settings.store) / FILE_NAME, name=log_name(settings.store.url))
