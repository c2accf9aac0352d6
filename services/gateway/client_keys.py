"""
Client keys out of the credentials service's snapshot, and the seed's `auth.proxyApiKey` beside them.

A check reads memory only: no key that anybody presents ever causes a lookup elsewhere, so that guessing costs the store
nothing. What is looked up is the presented secret's MAC, under its id, and not the id: nobody without the pepper can
tell a MAC, so how long the lookup takes tells nothing, and an id that is not known, a secret that is wrong and one that
is almost right are one and the same miss (promises.md P-37). A lookup by id, with MACs compared in constant time,
answered 11 ns sooner for an unknown id, and 100 ns where the known one had left the processor's caches.

A MAC costs as much as the rest of the check twice over, and a client presents the same key again and again. So a key
that was found good is remembered. Python finds it by a hash under a secret of the process's own (SipHash, PEP 456), and
compares bytes only where all of the hash is the same, so this is no way to find another key: what is not a key that was
good before takes the way above, whatever it is.

    keys of the service   auth.proxyApiKey   who is served
    some                  any                who presents one of them, or auth.proxyApiKey
    none                  set                who presents auth.proxyApiKey
    none                  unset              this machine, with any key or none
    not known yet         any                who presents auth.proxyApiKey; the others are told to try again
"""

import base64
import hmac
from collections.abc import Callable
from typing import Final

import msgspec

from services.chassis.clock import Clock, SystemClock
from services.chassis.secret import Secret
from services.credentials import key_format
from services.credentials.contract import ClientKey, Snapshot
from services.gateway.errors import Overloaded, Unauthenticated
from services.gateway.guard import Caller, LoopbackOnly
from services.gateway.translation.own_faults import overloaded, unauthenticated

PROXY_KEY: Final = Caller("proxy-key")

_SECRETS: Final = 2  # a key has two while its secret is replaced, never more
_AWAY: Final = 5.0  # seconds after which it is worth asking again while the service is away
_LOOPBACK_ONLY: Final = LoopbackOnly()


class _Held(msgspec.Struct, frozen=True):
    """A key, made ready for checks."""

    caller: Caller
    expires_at: float
    disabled: bool = False


class SnapshotKeys:
    """`guard.ClientKeys` over the newest snapshot; `snapshot` returns it without waiting."""

    def __init__(
        self, snapshot: Callable[[], Snapshot], *, proxy_key: Secret | None = None, clock: Clock | None = None
    ) -> None:
        self._snapshot = snapshot
        self._clock: Clock = clock or SystemClock()
        self._proxy_key = proxy_key.reveal().encode() if proxy_key else None
        self._of: Snapshot | None = None
        self._held: dict[tuple[str, bytes], _Held] = {}  # by id and MAC
        self._seen: dict[bytes, _Held] = {}  # those of them that were presented
        self._pepper = b""

    def caller_of(self, presented: bytes | None, peer: str | None) -> Caller:
        """Return who presents this key; raises Unauthenticated, or Overloaded while the keys are not known."""
        snapshot = self._snapshot()
        if snapshot is not self._of:
            self._take(snapshot)
        if self._proxy_key is not None and presented is not None and hmac.compare_digest(presented, self._proxy_key):
            return PROXY_KEY
        if snapshot.generation < 0:
            raise _away()
        if self._proxy_key is None and not snapshot.client_keys:
            return _LOOPBACK_ONLY.caller_of(presented, peer)
        if presented is None:
            raise _refused(
                "This gateway wants a client key: send it as `Authorization: Bearer <key>` or `x-api-key: <key>`."
            )
        held = self._seen.get(presented)
        if held is None:
            held = self._seen[presented] = self._found(presented)
        return self._checked(held)

    def _found(self, presented: bytes) -> _Held:
        key = key_format.parse(presented)
        if key is None:
            if presented.startswith(b"zrp_"):
                raise _refused("The client key is mistyped or cut off; copy the whole of it.")
            raise _refused("The client key is not known to this gateway.")
        held = self._held.get((key.id, key_format.mac(self._pepper, key.secret)))
        if held is None:
            raise _refused("The client key is not known to this gateway.")
        return held

    def _checked(self, held: _Held) -> Caller:
        if held.disabled:
            raise _refused("The client key was revoked; ask its owner for another one.")
        if held.expires_at <= self._clock.now():
            raise _refused("The client key has expired; ask its owner for another one.")
        return held.caller

    def _take(self, snapshot: Snapshot) -> None:
        self._pepper = base64.b64decode(snapshot.pepper)
        # Without its pepper no MAC means anything.
        known = snapshot.client_keys if self._pepper else ()
        self._held = {(key.id, bytes.fromhex(mac)): _held(key) for key in known for mac in key.macs[:_SECRETS]}
        self._seen = {}
        self._of = snapshot


def _held(key: ClientKey) -> _Held:
    expires_at = float("inf") if key.expires_at is None else key.expires_at
    return _Held(Caller(key.id, key.models), expires_at, key.disabled)


def _refused(message: str) -> Unauthenticated:
    return Unauthenticated(unauthenticated(message))


def _away() -> Overloaded:
    message = "This gateway does not know its client keys: the credentials service does not answer; try again."
    return Overloaded(msgspec.structs.replace(overloaded(_AWAY, message), status=503, code="credentials_unavailable"))
