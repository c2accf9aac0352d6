"""What `rotate` does, on the store that the settings name."""

from collections.abc import Callable

from services.cli.audit_session import audit_of
from services.cli.rotate_screen import RotationScreen
from services.credentials.audit import actor
from services.credentials.keyring_file import KeyringFile
from services.credentials.rotation import Hooks, Proof, Rotation
from services.credentials.settings import keyring_path
from services.credentials.vault_of import vault_of
from services.gateway.settings import GatewaySettings


async def rotate_master(settings: GatewaySettings, *, complain: Callable[[str], None]) -> Proof:
    """Carry a rotation out, or go on with one; every change of the keyring is in the audit log first."""
    path = keyring_path(settings.store, settings.keyring)
    async with vault_of(settings.store, settings.keyring) as (vault, store):
        audit = audit_of(settings, vault)

        async def record(event: str, kid: int) -> None:
            await audit.record(event, actor=actor(), subject=f"master key {kid}")

        with RotationScreen(complain) as screen:
            rotation = Rotation(store, vault, KeyringFile(path), hooks=Hooks(progress=screen.show, audit=record))
            return await rotation.run()
