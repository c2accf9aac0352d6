"""
How one of our processes proves to another who it is (promises.md C5). Pure: used by both sides.

Every call carries `Authorization: Bearer <token>`. A call that changes something also carries a time, a nonce and an
HMAC over all that matters, so that it cannot be altered, sent twice, sent late or sent to another service:

    X-ZR-Ts      seconds since the epoch, whole
    X-ZR-Nonce   22 characters of base64url, never used before
    X-ZR-Mac     hex of HMAC-SHA-256(key, lines), key = HMAC-SHA-256(token, "zr/internal/1/" + audience)

The lines are method, path with query, time, nonce and the hex SHA-256 of the body, joined by "\\n".
"""

import hmac
import re
from collections.abc import Iterable, Mapping
from enum import Enum
from hashlib import sha256
from typing import Final

TOLERANCE: Final = 30.0  # seconds between the two clocks
NONCE_LIFE: Final = 90.0  # seconds a nonce is remembered: more than twice the tolerance, so that none is seen twice
TOKEN_LENGTH: Final = 32  # characters; a shorter token can be guessed

TIME_HEADER: Final = "x-zr-ts"
NONCE_HEADER: Final = "x-zr-nonce"
MAC_HEADER: Final = "x-zr-mac"

_NONCE: Final = re.compile(r"[A-Za-z0-9_-]{22}", re.ASCII)
_TIME: Final = re.compile(r"[0-9]{9,11}", re.ASCII)
_BEARER: Final = "bearer "


class Proof(Enum):
    """What became of a proof."""

    GOOD = "good"
    NO_TOKEN = "no_token"  # noqa: S105 -- no secret
    WRONG_TOKEN = "wrong_token"  # noqa: S105 -- no secret
    MALFORMED = "malformed"
    TOO_OLD = "too_old"
    FORGED = "forged"


def presented(authorization: str | None) -> str | None:
    """Return the token that a header presents, whatever it is worth; None where there is none."""
    if authorization is None or authorization[: len(_BEARER)].lower() != _BEARER:
        return None
    return authorization[len(_BEARER) :].strip() or None


def token_of(authorization: str | None, tokens: Iterable[str]) -> str | None:
    """Return which of the accepted tokens a header presents, comparing in constant time with each."""
    shown = (presented(authorization) or "").encode()
    found = None
    for token in tokens:
        if hmac.compare_digest(shown, token.encode()):
            found = token
    return found


def sign(token: str, method: str, target: str, body: bytes, *, now: float, nonce: str, audience: str) -> dict[str, str]:
    """Return the headers of a call; `target` is the path with its query, `nonce` 22 fresh characters."""
    at = str(int(now))
    return {
        "authorization": f"Bearer {token}",
        TIME_HEADER: at,
        NONCE_HEADER: nonce,
        MAC_HEADER: _mac(token, audience, (method, target, at, nonce, sha256(body).hexdigest())),
    }


def verify(
    token: str, method: str, target: str, body: bytes, headers: Mapping[str, str], *, now: float, audience: str
) -> tuple[Proof, str]:
    """Judge a signed call whose token is known, and return its nonce, which the caller must then see only once."""
    at, nonce, mac = (headers.get(name, "") for name in (TIME_HEADER, NONCE_HEADER, MAC_HEADER))
    if _TIME.fullmatch(at) is None or _NONCE.fullmatch(nonce) is None or not mac.isascii():
        return Proof.MALFORMED, ""
    if not hmac.compare_digest(mac, _mac(token, audience, (method, target, at, nonce, sha256(body).hexdigest()))):
        return Proof.FORGED, ""
    if abs(now - int(at)) > TOLERANCE:
        return Proof.TOO_OLD, ""
    return Proof.GOOD, nonce


def _mac(token: str, audience: str, lines: tuple[str, ...]) -> str:
    key = hmac.digest(token.encode(), f"zr/internal/1/{audience}".encode(), "sha256")
    return hmac.digest(key, "\n".join(lines).encode(), "sha256").hex()
