"""
When a credential is to be made anew, and how long to wait after a failure. Pure.

At 80 % of its life, less a jitter of up to 10 % (promises.md C3.6). The jitter follows from the record, not from
chance, so that all replicas agree on the moment and records that were made together are still spread out.
"""

from hashlib import sha256
from typing import Final

from services.credentials.contract import Kind, State
from services.credentials.records import Credential

AT: Final = 0.8  # of the life
JITTER: Final = 0.1  # of the life, at most, earlier
_SHORTEST_BACKOFF, _LONGEST_BACKOFF = 1.0, 60.0  # seconds


def due_at(credential: Credential) -> float | None:
    """Return when to refresh, in seconds since the epoch by the store's clock; None: never by itself."""
    if credential.expires_at is None or credential.kind is Kind.API_KEY or credential.state is State.LOGIN_REQUIRED:
        return None
    since = max(credential.rotated_at, credential.refreshed_at or 0.0)
    life = max(0.0, credential.expires_at - since)
    return since + life * (AT - JITTER * share(f"{credential.id}:{since}"))


def backoff(failures: int, retry_after: float | None, share_: float) -> float:
    """Return the pause after the n-th failure in a row; `share_` in 0..1 spreads it over its upper half."""
    pause = min(_LONGEST_BACKOFF, _SHORTEST_BACKOFF * 2.0 ** min(failures, 16))
    return max(pause * (0.5 + share_ / 2), min(retry_after or 0.0, _LONGEST_BACKOFF))


def share(text: str) -> float:
    """Return a number in 0..1 that follows from a text and looks like chance."""
    return int.from_bytes(sha256(text.encode()).digest()[:8], "big") / 2.0**64
