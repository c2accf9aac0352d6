"""From an access token to the plan's key (upstream.md 2.4): which account calls, and what counts of them. Pure."""

from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import quote

from services.chassis.secret import Secret
from services.credentials.oauth.answers import BIZ_SUCCESS, CallFailed, call, missing, text
from services.credentials.oauth.steps import Ask, Flow
from services.credentials.oauth.vendors import KEY_NAME, Addresses, Vendor

# The names of what every account begins with: "default organisation", "default project".
_DEFAULT_ORGANIZATION: Final = "\u9ed8\u8ba4\u673a\u6784"
_DEFAULT_PROJECT: Final = "\u9ed8\u8ba4\u9879\u76ee"


def resolve(vendor: Vendor, addresses: Addresses, access_token: str) -> Flow[str]:
    """Return the key to send upstream. Raises CallFailed."""
    token = access_token
    if vendor.business_login:
        token = yield from _business_token(addresses, access_token)
    authorization = Secret(f"{vendor.biz_scheme}{token}")
    base = addresses.biz_base.rstrip("/")
    keys_url = base + (yield from _keys_path(base, authorization))
    api_key = yield from _existing_key(keys_url, authorization)
    if api_key is None:
        api_key = yield from _new_key(keys_url, authorization)
    secret = yield from _secret_of(vendor, keys_url, api_key, authorization)
    return api_key if secret is None else f"{api_key}.{secret}"


def _business_token(addresses: Addresses, access_token: str) -> Flow[str]:
    what = "opening the account"
    if addresses.login_url is None:
        raise missing(what, "loginUrl in the settings")
    found = yield from call(
        Ask(what=what, method="POST", url=addresses.login_url, fields={"token": access_token}), success=BIZ_SUCCESS
    )
    token = text(found, "access_token", "accessToken")
    if token is None:
        raise missing(what, "business token")
    return token


def _keys_path(base: str, authorization: Secret) -> Flow[str]:
    """Return the path of the keys of the account's default project."""
    what = "looking up the account"
    found = yield from call(
        Ask(what=what, method="GET", url=f"{base}/api/biz/customer/getCustomerInfo", authorization=authorization),
        success=BIZ_SUCCESS,
    )
    organizations = _listed(found, "organizations") or _listed(found, "orgs")
    organization = _pick(organizations, _DEFAULT_ORGANIZATION, "organizationName", "name")
    organization_id = text(organization, "organizationId", "id")
    if organization_id is None or organization_id in (".", ".."):
        raise missing(what, "organization")
    project = _pick(_listed(organization, "projects"), _DEFAULT_PROJECT, "projectName", "name")
    project_id = text(project, "projectId", "id")
    if project_id is None or project_id in (".", ".."):
        raise missing(what, "project")
    return f"/api/biz/v1/organization/{quote(organization_id, safe='')}/projects/{quote(project_id, safe='')}/api_keys"


def _existing_key(keys_url: str, authorization: Secret) -> Flow[str | None]:
    """Return our key if the account has it already. A list that cannot be had is no reason to give up."""
    try:
        found = yield from call(
            Ask(what="listing the account's keys", method="GET", url=keys_url, authorization=authorization),
            success=BIZ_SUCCESS,
        )
    except CallFailed:
        return None
    named = (entry for entry in _entries(found) if text(entry, "name") == KEY_NAME)
    return next((key for entry in named if (key := text(entry, "apiKey"))), None)


def _new_key(keys_url: str, authorization: Secret) -> Flow[str]:
    what = "making a key"
    found = yield from call(
        Ask(what=what, method="POST", url=keys_url, authorization=authorization, fields={"name": KEY_NAME}),
        success=BIZ_SUCCESS,
    )
    api_key = text(found, "apiKey")
    if api_key is None:
        raise missing(what, "apiKey")
    return api_key


def _secret_of(vendor: Vendor, keys_url: str, api_key: str, authorization: Secret) -> Flow[str | None]:
    """Return the secret half of a key; None where there is none and the provider's keys do without."""
    what = "reading the key"
    try:
        found = yield from call(
            Ask(what=what, method="GET", url=f"{keys_url}/copy/{quote(api_key, safe='')}", authorization=authorization),
            success=BIZ_SUCCESS,
        )
    except CallFailed:
        if vendor.secret_required:
            raise
        return None
    secret = text(found, "secretKey", "secret_key")
    if secret is None and vendor.secret_required:
        raise missing(what, "secretKey")
    return secret


def _pick(items: Sequence[Any], default: str, *names: str) -> object:
    """Return the item whose name says that it is the default one, else the first, else None."""
    for item in items:
        if isinstance(item, dict) and any(default in str(item.get(name) or "") for name in names):
            return item
    return items[0] if items else None


def _listed(value: object, name: str) -> list[Any]:
    found = value.get(name) if isinstance(value, dict) else None
    return found if isinstance(found, list) else []


def _entries(value: object) -> list[Any]:
    """Return the entries of a list that may be wrapped once more."""
    if isinstance(value, list):
        return value
    return next((found for name in ("list", "apiKeys", "rows") if (found := _listed(value, name))), [])
