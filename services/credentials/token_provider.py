"""
The port to a login provider: what the broker needs of it, and nothing of how it is spoken to.

    mode      given                    gets                                     upstream.md
    rotate    a refresh token          new tokens; the old one may be spent     2.5
    resolve   a stored access token    the plan's key anew                      2.4, 2.5
    none      -                        nothing: only a person can log in again  2.5

Which failure is which decides whether a credential survives, so the three are kept apart: `InvalidGrant` may be said
only when the provider itself has said so; `TransientFailure` only when it is certain that nothing was done; everything
else after the first byte was sent is `OutcomeUnknown`.
"""

from enum import Enum
from typing import Protocol

import msgspec

from services.credentials.contract import Kind
from services.credentials.records import Secrets


class RefreshMode(Enum):
    """How a credential is made anew; a setting per provider may say otherwise."""

    ROTATE = "rotate"
    RESOLVE = "resolve"
    NONE = "none"


class RefreshedSecrets(msgspec.Struct, frozen=True, kw_only=True):
    """What a provider answered: all secrets of the credential from now on, those that did not change included."""

    secrets: Secrets
    expires_in: float | None = None  # seconds from the answer; None: does not expire by itself
    user_id: str | None = None  # None: as before


class ProviderFailure(Exception):
    """Base of what a provider may raise; the message is safe to log and never holds a secret or text of theirs."""


class InvalidGrant(ProviderFailure):
    """The provider said that this token is not good, or no longer."""


class TransientFailure(ProviderFailure):
    """Nothing was done; later it may work. `retry_after` in seconds, where the provider named it."""

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class OutcomeUnknown(ProviderFailure):
    """The request went out and no whole answer came back: the token may be spent or not."""


class TokenProvider(Protocol):
    """One provider. Has its own deadline inside (promises.md C7: 10 s in all)."""

    async def refresh(self, secrets: Secrets, mode: RefreshMode) -> RefreshedSecrets:
        """Make a credential anew; `mode` is never NONE. Raises InvalidGrant, TransientFailure, OutcomeUnknown."""


def mode_of(kind: Kind, secrets: Secrets, setting: RefreshMode | None = None) -> RefreshMode:
    """Return how a credential can be made anew: as set, as far as it holds what that takes; else the best it can."""
    if kind is Kind.API_KEY:
        return RefreshMode.NONE
    possible = {
        RefreshMode.ROTATE: secrets.refresh_token is not None,
        RefreshMode.RESOLVE: secrets.access_token is not None,
        RefreshMode.NONE: True,
    }
    if setting is not None and possible[setting]:
        return setting
    return next(mode for mode, can in possible.items() if can)
