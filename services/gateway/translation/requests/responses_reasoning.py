"""
The upstream's reasoning in `encrypted_content`, so that a client without a store brings it back whole.

What the Responses API encrypts is here the upstream's own block in base64: an Anthropic upstream verifies its
signature, so nothing is gained by sealing it, and any replica can read it. It comes from a client and is trusted no
further than a thinking block of a Messages request would be. What another service has encrypted is not readable here.
"""

import base64
import binascii
from typing import Final

import msgspec

_MARK: Final = "zcode1."


class Carried(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One block of reasoning: its text and signature, or its opaque data."""

    thinking: str = ""
    signature: str = ""
    redacted: str = ""


_CARRIED: Final = msgspec.json.Decoder(Carried)


def sealed(carried: Carried) -> str:
    """Return a block as the `encrypted_content` of an item."""
    return _MARK + base64.b64encode(msgspec.json.encode(carried)).decode()


def opened(encrypted_content: str) -> Carried | None:
    """Return the block again; None for what this gateway did not write."""
    if not encrypted_content.startswith(_MARK):
        return None
    try:
        return _CARRIED.decode(base64.b64decode(encrypted_content[len(_MARK) :], validate=True))
    except (binascii.Error, ValueError, msgspec.DecodeError, RecursionError):
        return None
