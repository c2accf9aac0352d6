"""
Who may call: the client's key, compared in constant time, or the loopback interface when no key is configured.

Default deny: every path of the data port passes here first, known or not.
"""

import hmac
from collections.abc import Mapping
from typing import Any, Final, Protocol

import msgspec

from services.chassis.secret import Secret
from services.gateway.errors import Unauthenticated
from services.gateway.translation.own_faults import unauthenticated

_BEARER: Final = b"bearer "
_LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "::ffff:127.0.0.1"})


class Caller(msgspec.Struct, frozen=True):
    """Who calls, as far as limits and logs need it; never the key itself."""

    key_id: str
    models: tuple[str, ...] = ()  # that this key may ask for; empty: all


ANONYMOUS: Final = Caller("loopback")


class ClientKeys(Protocol):
    """Knows the keys that clients may present."""

    def caller_of(self, presented: bytes | None, peer: str | None) -> Caller:
        """Return who presents this key from this address; raises Unauthenticated."""


class LoopbackOnly:
    """No key is configured: whoever sits on this machine may call, nobody else."""

    def caller_of(self, presented: bytes | None, peer: str | None) -> Caller:  # noqa: ARG002  # part of the port
        """Accept loopback peers and unix sockets, with any key or none."""
        if peer is None or peer in _LOOPBACK:
            return ANONYMOUS
        raise Unauthenticated(
            unauthenticated(
                "No client key is configured, so only this machine is served. "
                "To serve others, make them keys with `zcode-proxy keys create` or set auth.proxyApiKey "
                "(ZCODE_PROXY_API_KEY)."
            )
        )


class SingleKey:
    """The seed's `auth.proxyApiKey`: one key for all clients."""

    def __init__(self, key: Secret) -> None:
        self._expected = key.reveal().encode()
        self._caller = Caller("proxy-key")

    def caller_of(self, presented: bytes | None, peer: str | None) -> Caller:  # noqa: ARG002  # part of the port
        """Accept the one key."""
        if presented is None:
            raise Unauthenticated(
                unauthenticated(
                    "This gateway wants a client key: send it as `Authorization: Bearer <key>` or `x-api-key: <key>`."
                )
            )
        if not hmac.compare_digest(presented, self._expected):
            raise Unauthenticated(unauthenticated("The client key is not known to this gateway."))
        return self._caller


def presented_key(headers: Mapping[bytes, bytes]) -> bytes | None:
    """Return the key of a request, from either header; two different keys are refused rather than chosen between."""
    authorization = headers.get(b"authorization")
    api_key = headers.get(b"x-api-key")
    if authorization is None:
        return api_key
    if authorization[:7].lower() != _BEARER:
        raise Unauthenticated(unauthenticated("The Authorization header must have the form 'Bearer <key>'."))
    bearer = authorization[7:].strip()
    if api_key is not None and not hmac.compare_digest(api_key, bearer):
        raise Unauthenticated(unauthenticated("Authorization and x-api-key hold different keys; send one of them."))
    return bearer


def peer_of(scope: Mapping[str, Any]) -> str | None:
    """Return the address of the other end, None for a unix socket."""
    client = scope.get("client")
    return client[0] if client else None
