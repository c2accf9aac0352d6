"""`Administration` by way of a running service's admin port, for a person who is not where its store is."""

import asyncio
from collections.abc import Callable
from ipaddress import ip_address
from typing import Final, TypeVar
from urllib.parse import urlsplit

import msgspec

from services.chassis.clock import Clock
from services.chassis.peer.token_file import TokenFile
from services.chassis.trust import Trust
from services.credentials import admin_contract as paths
from services.credentials.admin_contract import (
    AUDIENCE,
    AuditVerdict,
    KeyInfo,
    KeyMade,
    KeyRequest,
    LoginInfo,
    Logins,
    Logout,
    MasterProof,
    MasterRequest,
    MasterState,
    Replaced,
    Replacement,
)
from services.credentials.calls import Calls
from services.credentials.errors import CredentialsError, Unavailable

T = TypeVar("T")

_CONNECT: Final = 5.0  # seconds: a person waits, perhaps behind a port that is forwarded
_SECONDS: Final = 45.0  # a login provider may be asked meanwhile
_LOOK: Final = 0.5  # seconds between two looks at a rotation
_MISSES: Final = 20  # looks in a row without an answer until the rotation is left to itself


class RemoteAdministration:
    """Everything raises CredentialsError. `aclose` it on the loop that used it."""

    def __init__(
        self, address: str, *, tokens: TokenFile, trust: Trust | None = None, clock: Clock | None = None
    ) -> None:
        self._calls = Calls(address, audience=AUDIENCE, tokens=tokens, clock=clock, trust=trust, connect=_CONNECT)

    async def aclose(self) -> None:
        """Close every connection."""
        await self._calls.aclose()

    async def logins(self) -> Logins:
        """Return what is kept."""
        return await self._get(paths.LOGINS_PATH, Logins)

    async def log_out(self, provider: str | None) -> tuple[LoginInfo, ...]:
        """Remove what is kept of a provider (None: of all) and return it."""
        return await self._post(paths.LOGOUT_PATH, Logout(provider), tuple[LoginInfo, ...])

    async def keys(self) -> tuple[KeyInfo, ...]:
        """Return every client key."""
        return await self._get(paths.KEYS_PATH, tuple[KeyInfo, ...])

    async def create_key(self, wanted: KeyRequest) -> KeyMade:
        """Make a client key."""
        return await self._post(paths.KEYS_PATH, wanted, KeyMade)

    async def rotate_key(self, id_: str) -> KeyMade:
        """Give a client key a new secret beside the one it has."""
        return await self._post(f"{paths.KEY_PATH}{id_}/rotate", None, KeyMade)

    async def settle_key(self, id_: str) -> KeyInfo:
        """End the older secret of a client key."""
        return await self._post(f"{paths.KEY_PATH}{id_}/settle", None, KeyInfo)

    async def revoke_key(self, id_: str) -> KeyInfo:
        """End a client key."""
        return await self._post(f"{paths.KEY_PATH}{id_}/revoke", None, KeyInfo)

    async def replace(self, id_: str, replacement: Replacement) -> Replaced:
        """Put a new upstream key in the place of a credential's, or ask its login provider for one."""
        return await self._post(f"{paths.CREDENTIAL_PATH}{id_}/rotate", replacement, Replaced)

    async def rotate_master(self, progress: Callable[[MasterState], None], replicas: int = 0) -> MasterProof:
        """Let the service carry a rotation out and follow it; it goes on there when this is broken off."""
        wanted = MasterRequest(replicas=replicas) if replicas else None  # older services read no body
        state = await self._post(paths.MASTER_PATH, wanted, MasterState)
        misses = 0
        while state.running:
            if state.step:
                progress(state)
            await asyncio.sleep(_LOOK)
            try:
                state = await self._get(paths.MASTER_PATH, MasterState)
                misses = 0
            except Unavailable:
                misses += 1
                if misses > _MISSES:
                    raise
        if state.proof is None:
            raise CredentialsError(state.fault or "the service that rotated has started anew; begin the rotation again")
        return state.proof

    async def verify_audit(self) -> AuditVerdict:
        """Prove the audit log of the replica that answers."""
        return await self._get(paths.AUDIT_PATH, AuditVerdict)

    async def _get(self, target: str, wanted: type[T]) -> T:
        return await self._calls.call("GET", target, seconds=_SECONDS, wanted=wanted)

    async def _post(self, target: str, body: msgspec.Struct | None, wanted: type[T]) -> T:
        sent = b"" if body is None else msgspec.json.encode(body)
        return await self._calls.call("POST", target, sent, seconds=_SECONDS, wanted=wanted)


def why_not(address: str) -> str | None:
    """Say what is wrong with an admin port's address: keys travel there, so in the clear over loopback only."""
    try:
        parts = urlsplit(address)
        extra = parts.port == 0 or parts.username or parts.query or parts.fragment
    except ValueError:
        return "is no address"
    if extra or parts.scheme not in ("http", "https") or not parts.hostname:
        return "must be http://127.0.0.1:9091 or https://host:port, the service's admin port"
    if parts.scheme == "http" and not _is_loopback(parts.hostname):
        return "would send keys in the clear: use https://, or forward the port (kubectl port-forward … 9091)"
    return None


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"
