"""
What the simulated identity provider knows: pending logins, codes, tokens and their families, keys. No I/O.

A login is a family of tokens. A refresh token is good for one use; used again within `grace` it gives what it gave the
first time, after that it ends the whole family, as providers that rotate tokens do.
"""

import base64
import hmac
import secrets
import time
from collections import Counter
from collections.abc import Callable
from hashlib import sha256
from typing import Final, Literal

import msgspec

PROVIDERS: Final = ("zai", "bigmodel")
KEY_NAME: Final = "zcode-api-key"


class Behaviour(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the provider behaves; `POST /_simulator/identity` changes the fields it names."""

    # auto: agrees at once. visit: once the page was opened. wait: once told to. deny: the person refuses.
    approve: Literal["auto", "visit", "wait", "deny"] = "auto"
    offered: bool = True  # whether the flow without a callback exists
    pending: int = 0  # polls answered with pending before anything else
    interval: float = 1  # seconds between polls, as told to the client
    lifetime: float = 300  # seconds of a pending login
    code_seconds: float = 60
    code_name: Literal["code", "authCode"] = "code"
    pkce: bool = False  # whether a code challenge is required
    refresh: bool = False  # whether refresh tokens are handed out
    rotate: bool = True  # whether they are good for one use
    grace: float = 0  # seconds in which a used one still gives the same answer
    expires_in: float | None = None
    jwt: bool = True  # whether the account has a start-plan
    secret: bool = True  # whether a key has a secret half
    user: str = "user-simulated"
    faults: dict[str, list[str]] = {}  # endpoint -> faults of its next calls, "" for none


class Issued(msgspec.Struct, frozen=True, kw_only=True):
    """One set of tokens."""

    provider: str
    access_token: str
    refresh_token: str | None
    jwt: str | None


class _Pending(msgspec.Struct, kw_only=True):
    provider: str
    poll_token: str
    expires: float
    polls: int = 0
    visited: bool = False
    approved: bool = False


class _Code(msgspec.Struct, frozen=True, kw_only=True):
    provider: str
    redirect_uri: str
    state: str
    challenge: str | None
    expires: float


class _Family(msgspec.Struct, kw_only=True):
    provider: str
    ended: bool = False


class _Used(msgspec.Struct, frozen=True):
    at: float
    gave: Issued


class Accounts:
    """The state. `issued_keys` and `revoked_keys` are what the chat area goes by; `counts` is for tests."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self.reset()

    def reset(self) -> None:
        """Forget everything."""
        self.behaviour = Behaviour()
        self.counts: Counter[str] = Counter()
        self.issued_keys: set[str] = set()
        self.revoked_keys: set[str] = set()
        self._pending: dict[str, _Pending] = {}
        self._codes: dict[str, _Code] = {}
        self._families: list[_Family] = []
        self._access: dict[str, _Family] = {}
        self._business: dict[str, _Family] = {}
        self._refresh: dict[str, _Family] = {}
        self._used: dict[str, _Used] = {}
        self._keys: dict[str, tuple[str, str]] = {}  # provider -> the key's two halves

    def change(self, fields: object) -> None:
        """Change the behaviour. Raises msgspec.ValidationError."""
        given = msgspec.convert(fields, dict[str, object])
        self.behaviour = msgspec.convert(msgspec.to_builtins(self.behaviour) | given, Behaviour)

    def fault(self, endpoint: str) -> str:
        """Return the fault of this call, empty for none, and count the call."""
        self.counts[endpoint] += 1
        queue = self.behaviour.faults.get(endpoint)
        return queue.pop(0) if queue else ""

    # -- logins that are polled

    def begin(self, provider: str, poll_token: str) -> str:
        """Begin a login and return its id."""
        flow_id = secrets.token_hex(8)
        expires = self._now() + self.behaviour.lifetime
        self._pending[flow_id] = _Pending(provider=provider, poll_token=poll_token, expires=expires)
        return flow_id

    def visit(self, flow_id: str) -> bool:
        """Note that the page of a login was opened; False when there is no such login."""
        pending = self._pending.get(flow_id)
        if pending is not None:
            pending.visited = True
        return pending is not None

    def approve(self) -> int:
        """Let the person agree to every pending login; returns how many there are."""
        for pending in self._pending.values():
            pending.approved = True
        return len(self._pending)

    def poll(self, flow_id: str, poll_token: str) -> Issued | Literal["pending", "failed"] | None:
        """Say how a login stands; None when there is none of this id and token. Ready is said once."""
        pending = self._pending.get(flow_id)
        if pending is None or not hmac.compare_digest(pending.poll_token, poll_token):
            return None
        pending.polls += 1
        if self.behaviour.approve == "deny" or pending.expires < self._now():
            return "failed"
        agreed = pending.approved or {"auto": True, "visit": pending.visited}.get(self.behaviour.approve, False)
        if pending.polls <= self.behaviour.pending or not agreed:
            return "pending"
        del self._pending[flow_id]
        return self._issue(self._family(pending.provider))

    # -- logins with a code

    def code(self, provider: str, redirect_uri: str, state: str, challenge: str | None) -> str:
        """Hand out a code."""
        code = secrets.token_hex(12)
        expires = self._now() + self.behaviour.code_seconds
        self._codes[code] = _Code(
            provider=provider, redirect_uri=redirect_uri, state=state, challenge=challenge, expires=expires
        )
        return code

    def exchange(self, fields: dict[str, str]) -> Issued | None:
        """Turn a code into tokens, once; None when it is not good."""
        code = self._codes.pop(fields.get("code", ""), None)
        if code is None or code.expires < self._now():
            return None
        if (code.provider, code.redirect_uri) != (fields.get("provider"), fields.get("redirect_uri")):
            return None
        if code.state != fields.get("state") or code.challenge != _challenge(fields.get("code_verifier")):
            return None
        self.counts["exchanged"] += 1
        return self._issue(self._family(code.provider))

    # -- tokens

    def refresh(self, token: str) -> Issued | None:
        """Use a refresh token; None when it is not good, or no longer."""
        family = self._refresh.get(token)
        if family is None or family.ended:
            return None
        used = self._used.get(token)
        if used is None:
            gave = self._issue(family, keep=None if self.behaviour.rotate else token)
            if self.behaviour.rotate:
                self._used[token] = _Used(self._now(), gave)
            self.counts["refreshed"] += 1
            return gave
        if self._now() - used.at <= self.behaviour.grace:
            self.counts["graced"] += 1
            return used.gave
        family.ended = True
        self.counts["families_ended"] += 1
        return None

    def business(self, access_token: str) -> str | None:
        """Exchange an access token for one of the account calls."""
        family = self._access.get(access_token)
        if family is None or family.ended or family.provider != "zai":
            return None
        token = f"sim-business-{secrets.token_hex(12)}"
        self._business[token] = family
        return token

    def owner(self, authorization: str) -> str | None:
        """Return whose account a call is for: `Bearer` with zai's business token, or bigmodel's access token bare."""
        scheme, _, token = authorization.rpartition(" ")
        family = (self._business if scheme == "Bearer" else self._access if not scheme else {}).get(token)
        wanted = "zai" if scheme else "bigmodel"
        return family.provider if family is not None and not family.ended and family.provider == wanted else None

    def end_logins(self) -> None:
        """End every login, as when a person ends all sessions; keys stay good."""
        for family in self._families:
            family.ended = True

    # -- keys

    def key(self, provider: str) -> tuple[str, str] | None:
        """Return the two halves of the account's key, if it has one."""
        return self._keys.get(provider)

    def make_key(self, provider: str) -> tuple[str, str]:
        """Make the account's key."""
        halves = (f"sim{secrets.token_hex(12)}", secrets.token_hex(12) if self.behaviour.secret else "")
        self._keys[provider] = halves
        self.issued_keys.add(".".join(filter(None, halves)))
        return halves

    def revoke_keys(self) -> None:
        """Take every key away, so that the chat area refuses it and the next look-up makes a new one."""
        self.revoked_keys |= self.issued_keys
        self.issued_keys.clear()
        self._keys.clear()

    def _family(self, provider: str) -> _Family:
        family = _Family(provider=provider)
        self._families.append(family)
        return family

    def _issue(self, family: _Family, keep: str | None = None) -> Issued:
        access = f"sim-access-{secrets.token_hex(12)}"
        self._access[access] = family
        refresh = keep
        if refresh is None and self.behaviour.refresh:
            refresh = f"sim-refresh-{secrets.token_hex(12)}"
            self._refresh[refresh] = family
        return Issued(
            provider=family.provider,
            access_token=access,
            refresh_token=refresh,
            jwt=_jwt(self.behaviour.user) if self.behaviour.jwt else None,
        )


def _challenge(verifier: str | None) -> str | None:
    return None if verifier is None else _url64(sha256(verifier.encode()).digest())


def _jwt(user: str) -> str:
    """Make a token with the time of its making and no end, as the real ones have it."""
    parts = ({"alg": "none", "typ": "JWT"}, {"sub": user, "iat": int(time.time()), "jti": secrets.token_hex(8)})
    return ".".join([*(_url64(msgspec.json.encode(part)) for part in parts), _url64(b"simulated")])


def _url64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
