"""
Who calls, by the projected ServiceAccount token that Kubernetes gives to a pod (promises.md C5).

A token counts when the cluster has signed it, it is for this service (`aud`), it is valid now, and its account is one
that may call. Signature and times are PyJWT's to verify; what is asked of a token is said here. The keys are the
issuer's public ones, so nobody is asked per call (a TokenReview would ask the API server, and need the right to).
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final, Protocol

import jwt

from services.chassis.peer.proof import TOLERANCE

LARGEST: Final = 8 * 1024  # characters; a real token has a thousand or two
LONGEST: Final = 3600.0  # seconds a token may be good for: one that is stolen must not be good for ever (T33)
ALGORITHMS: Final = ("RS256", "RS384", "RS512", "ES256", "ES384", "ES512")  # with public keys only
SMALLEST_RSA: Final = 2048  # bits

_CLAIM: Final = "kubernetes.io"
_REQUIRED: Final = ["exp", "iat", "iss", "aud", "sub"]


class TokenRefused(Exception):
    """A token that does not count; the message is safe to show to who presented it."""


class KeysAway(Exception):
    """Whether a token counts cannot be told now, because the issuer's keys cannot be had."""


class Keys(Protocol):
    """Where the issuer's keys come from."""

    async def find(self, kid: str) -> tuple[str, jwt.PyJWK] | None:
        """Return the issuer's name and its key of this id, None where it has no such key. Raises KeysAway."""


class ServiceAccounts:
    """The accounts that may call one service."""

    def __init__(self, keys: Keys, *, audience: str, allow: Iterable[str]) -> None:
        """`allow`: namespace/name of each."""
        self._keys = keys
        self._audience = audience
        self._allow = frozenset(allow)

    async def check(self, token: str) -> str:
        """Return whose token it is, as namespace/name. Raises TokenRefused and KeysAway."""
        found = await self._keys.find(_key_id(token))
        if found is None:
            raise TokenRefused("the token is signed with a key that its issuer does not publish")
        issuer, key = found
        account = _account(_claims(token, key, issuer=issuer, audience=self._audience))
        if account not in self._allow:
            raise TokenRefused(f"the account {account} is none of those that may call (serviceAccounts.allow)")
        return account


def looks_like_token(presented: str) -> bool:
    """Say whether something presented is meant to be such a token; everything else is compared with the token file."""
    return presented.startswith("ey") and presented.count(".") == 2


def usable_keys(document: Mapping[str, Any]) -> dict[str, jwt.PyJWK]:
    """Return the keys of a JWKS that may verify a token, by id; others are left out. Raises ValueError for none."""
    try:
        keys = jwt.PyJWKSet.from_dict(dict(document)).keys
    except jwt.PyJWTError as error:
        raise ValueError(f"no key set: {error}") from None
    found = {key.key_id: key for key in keys if key.key_id and _may_verify(key)}
    if not found:
        raise ValueError("no key that could verify a token (RS256 or ES256, with an id)")
    return {str(kid): key for kid, key in found.items()}


def _may_verify(key: jwt.PyJWK) -> bool:
    if key.algorithm_name not in ALGORITHMS or key.public_key_use not in (None, "sig"):
        return False
    return key.key_type != "RSA" or int(key.key.key_size) >= SMALLEST_RSA


def _key_id(token: str) -> str:
    if len(token) > LARGEST:
        raise TokenRefused(f"the token is longer than {LARGEST} characters")
    try:
        header = jwt.get_unverified_header(token)
    except (jwt.PyJWTError, ValueError, RecursionError):
        raise TokenRefused("the token is none: its head cannot be read") from None
    if header.get("alg") not in ALGORITHMS:
        raise TokenRefused("the token is not signed with one of the algorithms that Kubernetes uses")
    kid = header.get("kid")
    if not isinstance(kid, str) or not kid:
        raise TokenRefused("the token does not say with which key it is signed")
    return kid


def _claims(token: str, key: jwt.PyJWK, *, issuer: str, audience: str) -> dict[str, Any]:
    try:
        claims: dict[str, Any] = jwt.decode(
            token,
            key,
            algorithms=ALGORITHMS,
            issuer=issuer,
            audience=audience,
            leeway=TOLERANCE,
            options={"require": _REQUIRED, "enforce_minimum_key_length": True},
        )
        life = float(claims["exp"]) - float(claims["iat"])
    except jwt.ExpiredSignatureError:
        raise TokenRefused("the token has expired") from None
    except jwt.ImmatureSignatureError:
        raise TokenRefused("the token is not valid yet; do the clocks agree?") from None
    except jwt.InvalidAudienceError:
        raise TokenRefused(f"the token is not for {audience}") from None
    except jwt.InvalidIssuerError:
        raise TokenRefused(f"the token is not from {issuer}") from None
    except (jwt.PyJWTError, ValueError, TypeError, OverflowError, RecursionError):
        raise TokenRefused("the token is not what its issuer signed") from None
    if not life <= LONGEST + TOLERANCE:
        raise TokenRefused(f"the token is good for more than {LONGEST:.0f} s; ask for a shorter one")
    return claims


def _account(claims: Mapping[str, Any]) -> str:
    """Return namespace/name; the subject and Kubernetes' own claim must say the same."""
    try:
        own = claims[_CLAIM]
        namespace, name = own["namespace"], own["serviceaccount"]["name"]
    except (KeyError, TypeError):
        raise TokenRefused("the token is not that of a ServiceAccount") from None
    if claims["sub"] != f"system:serviceaccount:{namespace}:{name}":
        raise TokenRefused("the token is not that of a ServiceAccount")
    return f"{namespace}/{name}"
