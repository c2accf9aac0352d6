"""
A stored login made anew (upstream.md 2.5), and which failure is which (promises.md C3). Pure.

    failure of                      a refresh token, good for one use    an access token, any number of uses
    UNSENT, BUSY                    TransientFailure                     TransientFailure
    LOST, UNREADABLE                OutcomeUnknown                       TransientFailure
    DENIED                          InvalidGrant                         InvalidGrant
    NOT_OFFERED, REFUSED            TransientFailure                     TransientFailure

Once a refresh token has been used, what came for it is kept whatever happens then: a key that cannot be resolved at
that moment stays the old one.
"""

from typing import Final

import msgspec

from services.credentials.oauth.answers import CallFailed, Kind
from services.credentials.oauth.exchange import use_refresh_token
from services.credentials.oauth.resolution import resolve
from services.credentials.oauth.steps import Flow
from services.credentials.oauth.vendors import Addresses, Vendor
from services.credentials.records import Secrets
from services.credentials.token_provider import (
    InvalidGrant,
    OutcomeUnknown,
    ProviderFailure,
    RefreshedSecrets,
    RefreshMode,
    TransientFailure,
)

_UNKNOWN: Final = (Kind.LOST, Kind.UNREADABLE)


def renew(vendor: Vendor, addresses: Addresses, secrets: Secrets, mode: RefreshMode) -> Flow[RefreshedSecrets]:
    """Make a login anew. Raises ProviderFailure."""
    if mode is RefreshMode.ROTATE and secrets.refresh_token is not None:
        return (yield from _rotate(vendor, addresses, secrets, secrets.refresh_token))
    if secrets.access_token is None:
        raise InvalidGrant("there is no token that a key could be resolved with")
    try:
        api_key = yield from resolve(vendor, addresses, secrets.access_token)
    except CallFailed as failure:
        raise _failure(failure, spendable=False) from None
    return RefreshedSecrets(secrets=msgspec.structs.replace(secrets, api_key=api_key))


def _rotate(vendor: Vendor, addresses: Addresses, secrets: Secrets, refresh_token: str) -> Flow[RefreshedSecrets]:
    try:
        tokens = yield from use_refresh_token(vendor, addresses, refresh_token)
    except CallFailed as failure:
        raise _failure(failure, spendable=True) from None
    try:
        api_key: str | None = yield from resolve(vendor, addresses, tokens.access_token)
    except CallFailed:
        api_key = secrets.api_key
    return RefreshedSecrets(
        secrets=Secrets(
            api_key=api_key,
            access_token=tokens.access_token,
            refresh_token=tokens.refresh_token or refresh_token,
            start_plan_jwt=tokens.start_plan_jwt or secrets.start_plan_jwt,
        ),
        expires_in=tokens.expires_in,
        user_id=tokens.user_id,
    )


def _failure(failure: CallFailed, *, spendable: bool) -> ProviderFailure:
    words = str(failure)
    if failure.kind is Kind.DENIED:
        return InvalidGrant(words)
    if spendable and failure.kind in _UNKNOWN:
        return OutcomeUnknown(words)
    return TransientFailure(words, failure.retry_after)
