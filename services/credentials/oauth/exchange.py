"""A code, or a refresh token, becomes tokens (upstream.md 2.1 and 2.5). Pure."""

from services.credentials.oauth.answers import ZCODE_SUCCESS, call, missing, seconds, text
from services.credentials.oauth.steps import Ask, Flow, Tokens
from services.credentials.oauth.vendors import Addresses, Vendor


def exchange_code(
    vendor: Vendor, addresses: Addresses, *, code: str, redirect_uri: str, state: str, verifier: str | None
) -> Flow[Tokens]:
    """Turn a code into tokens. The redirect address must be the one that was authorized, to the letter."""
    what = "exchanging the code"
    fields = {"provider": vendor.name, "code": code, "redirect_uri": redirect_uri, "state": state}
    if verifier is not None:
        fields["code_verifier"] = verifier
    found = yield from call(
        Ask(what=what, method="POST", url=addresses.token_url, fields=fields), success=ZCODE_SUCCESS
    )
    return read_tokens(what, vendor, found)


def use_refresh_token(vendor: Vendor, addresses: Addresses, refresh_token: str) -> Flow[Tokens]:
    """Turn a refresh token into tokens; one that is not replaced stays good."""
    what = "refreshing the login"
    fields = {"provider": vendor.name, "grant_type": "refresh_token", "refresh_token": refresh_token}
    found = yield from call(
        Ask(what=what, method="POST", url=addresses.token_url, fields=fields), success=ZCODE_SUCCESS
    )
    return read_tokens(what, vendor, found)


def read_tokens(what: str, vendor: Vendor, found: object) -> Tokens:
    """Read the tokens out of the payload of an exchange, a refresh or a finished poll. Raises CallFailed."""
    data = found if isinstance(found, dict) else {}
    own = data.get(vendor.name)
    access_token = text(own, "access_token", "accessToken")
    if access_token is None:
        raise missing(what, "access token")
    return Tokens(
        access_token=access_token,
        refresh_token=text(own, "refresh_token", "refreshToken"),
        start_plan_jwt=text(data, "token"),
        user_id=text(data.get("user"), "user_id", "userId", "id"),
        expires_in=seconds(data, "expires_in") or seconds(own, "expires_in"),
    )
