"""What a JWT says about itself. Pure; the signature is the provider's business and is not checked here."""

import base64
import binascii

import msgspec


class _Claims(msgspec.Struct):
    iat: float | None = None


def issued_at(jwt: str) -> float | None:
    """Return when a JWT was issued, in seconds since the epoch; None where it does not say."""
    parts = jwt.split(".")
    if len(parts) != 3:
        return None
    try:
        body = base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4))
        return msgspec.json.decode(body, type=_Claims).iat
    except (binascii.Error, ValueError, msgspec.MsgspecError):
        return None
