"""
The login providers as a table: how each spells the same three flows. Pure.

A difference between providers is a column here, never an `if` elsewhere. Source: upstream.md section 2. What is marked
[?] there is a column too: neither PKCE nor a refresh by token was seen at these providers, so the first is off and the
second used only where a refresh token was handed out.
"""

from collections.abc import Mapping
from typing import Final

import msgspec

POLL_PATH: Final = "/{flow_id}"  # appended to `Addresses.poll_url`
PASTE_PAGE: Final = "https://zcode.z.ai/app/oauth/login?redirect=zcode%3A%2F%2Foauth%2Fcallback&app_version={version}"
APP_CALLBACK: Final = "zcode://oauth/callback"  # where that page leads on to; some browsers show this address instead
KEY_NAME: Final = "zcode-api-key"  # of the key that a login finds or makes in the account


class Addresses(msgspec.Struct, frozen=True, kw_only=True):
    """Where a login goes, from the settings, so that a stand-in can serve all of it."""

    authorize_url: str
    token_url: str
    init_url: str
    poll_url: str
    biz_base: str
    login_url: str | None = None  # for vendors with a business login


class Vendor(msgspec.Struct, frozen=True, kw_only=True):
    """One provider's row."""

    name: str  # in request bodies, in the callback path, and as the field of `data` that holds the tokens
    title: str
    authorize_fields: Mapping[str, str]  # always in the authorize URL
    redirect_field: str  # the field of the authorize URL that names where to return to
    business_login: bool  # whether the access token must be exchanged before account calls
    biz_scheme: str  # stands before the token in the Authorization header of account calls
    secret_required: bool  # whether a key without its secret half is of no use
    pkce: bool = False

    @property
    def callback_path(self) -> str:
        """The one path of the loopback listener."""
        return f"/oauth/callback/{self.name}"


VENDORS: Final[Mapping[str, Vendor]] = {
    vendor.name: vendor
    for vendor in (
        Vendor(
            name="zai",
            title="Z.AI",
            authorize_fields={"response_type": "code", "client_id": "client_P8X5CMWmlaRO9gyO-KSqtg"},
            redirect_field="redirect_uri",
            business_login=True,
            biz_scheme="Bearer ",
            secret_required=True,
        ),
        Vendor(
            name="bigmodel",
            title="Bigmodel",
            authorize_fields={"appId": "zcode"},
            redirect_field="redirect",
            business_login=False,
            biz_scheme="",
            secret_required=False,
        ),
    )
}
