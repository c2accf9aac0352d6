"""
What a gateway gets from the credentials service: a client of it, leases and client keys out of its snapshot, and what
readiness makes of it.

For a gateway of its own and for all in one process; without a service the configuration's key is all there is.
"""

from typing import Final

from services.chassis.health import Health, Needs
from services.credentials.client import CredentialsClient, connected
from services.credentials.contract import Snapshot
from services.gateway import settings_rules as rules
from services.gateway.client_keys import SnapshotKeys
from services.gateway.leases import Leases
from services.gateway.settings import GatewaySettings
from services.gateway.snapshot_leases import SnapshotLeases

SNAPSHOT: Final = "snapshot"  # the service has been heard of, and not too long ago
LEASES: Final = "leases"  # there is something to call the upstream with
SERVICE: Final = "credentials"  # the service answers

# Ready once there is a snapshot, and as long as requests can be served from it or a better one may come (C11).
NEEDS: Final = Needs(groups=((SNAPSHOT,), (LEASES, SERVICE)), optional=(SERVICE,))


def has_service(settings: GatewaySettings) -> bool:
    """Say whether a credentials service is configured that is not in this process."""
    return settings.credentials.address != "app:"


def client_of(settings: GatewaySettings) -> CredentialsClient:
    """Make the client of the configured service. Needs a running event loop; raises CaFileUnusable."""
    return connected(settings.credentials)


class Leasing:
    """The parts of a gateway that rest on a client of the service."""

    def __init__(self, settings: GatewaySettings, client: CredentialsClient) -> None:
        self._client = client
        self._own_key = rules.upstream_key(settings) is not None
        self.health = Health(NEEDS)
        # A key in the configuration wins over what is kept: it is what the seed's users have.
        self.leases: Leases | None = None if self._own_key else SnapshotLeases(client)
        self.keys = SnapshotKeys(lambda: client.snapshot, proxy_key=settings.auth.proxy_api_key)

    @property
    def snapshot(self) -> Snapshot:
        """What may be used now."""
        return self._client.snapshot

    def look(self) -> None:
        """Report to `health` how things are now."""
        snapshot: Snapshot = self._client.snapshot
        self.health.report(SNAPSHOT, snapshot.generation >= 0)
        self.health.report(LEASES, self._own_key or self._client.usable)
        self.health.report(SERVICE, self._client.reachable)
