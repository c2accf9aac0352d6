"""
Credentials of other programs on this machine: the ZCode desktop application, and the seed project's own file.

Both are read, never written. Every problem is one LoginFailed whose message names the file and what to do.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from services.credentials import seed_file
from services.credentials.errors import LoginFailed
from services.credentials.login import LoggedIn
from services.credentials.oauth.answers import seconds, text
from services.credentials.records import Secrets

DESKTOP: Final = Path(".zcode") / "v2" / "config.json"  # below the home directory
SEED: Final = "credentials.json"  # in store.dir
_LARGEST: Final = 4 * 1024 * 1024  # bytes
_MILLISECONDS: Final = 1e11  # a larger number of seconds would be after the year 5000


def from_desktop(home: Path, provider: str) -> LoggedIn:
    """Read the ZCode desktop application's configuration. Raises LoginFailed."""
    path = home / DESKTOP
    document = _object(_read(path), path)
    providers = document.get("provider")
    api_key = _option(providers, f"builtin:{provider}-coding-plan")
    if api_key is None:
        raise LoginFailed(f"{path} holds no key for {provider}'s coding plan; log in there first, or log in here")
    return LoggedIn(
        provider=provider,
        secrets=Secrets(api_key=api_key, start_plan_jwt=_option(providers, f"builtin:{provider}-start-plan")),
    )


def from_seed(directory: Path, provider: str, home: str, environ: Mapping[str, str], now: float) -> LoggedIn:
    """Read the seed project's credential file. `now`: seconds since the epoch. Raises LoginFailed."""
    path = directory / SEED
    sealed = text(_object(_read(path), path), "encrypted")
    if sealed is None:
        raise LoginFailed(f"{path} is not a credential file of the earlier zcode-proxy")
    plain = seed_file.opened(sealed, seed_file.seeds(home, environ))
    if plain is None:
        raise LoginFailed(
            f"{path} does not open: set {seed_file.VARIABLE} to what it was when the file was written, or log in again"
        )
    found = _credential(_object(plain, path), provider)
    api_key = text(found, "apiKey")
    if api_key is None:
        raise LoginFailed(f"{path} holds no key for {provider}")
    secret = text(found, "secret")
    return LoggedIn(
        provider=provider,
        secrets=Secrets(
            api_key=api_key if secret is None else f"{api_key}.{secret}",
            access_token=text(found, "accessToken", "access_token"),
            refresh_token=text(found, "refreshToken", "refresh_token"),
            start_plan_jwt=text(found, "jwt", "token"),
        ),
        user_id=text(found, "userId", "user_id"),
        expires_in=_left(seconds(found, "expiresAt"), now),
    )


def _credential(document: dict[str, Any], provider: str) -> dict[str, Any]:
    """Return the provider's credential: the only one there is, or the active or first one of its accounts."""
    accounts = document.get("accounts")
    if not isinstance(accounts, list):
        return document if document.get("provider", provider) == provider else {}
    held = [
        (account.get("id") != document.get("activeId"), position, account["credential"])
        for position, account in enumerate(accounts)
        if isinstance(account, dict)
        and isinstance(account.get("credential"), dict)
        and account["credential"].get("provider") == provider
    ]
    return min(held, key=lambda item: item[:2])[2] if held else {}


def _option(providers: object, name: str) -> str | None:
    entry = providers.get(name) if isinstance(providers, dict) else None
    return text(entry.get("options") if isinstance(entry, dict) else None, "apiKey")


def _left(expires_at: float | None, now: float) -> float | None:
    if expires_at is None:
        return None
    instant = expires_at / 1000 if expires_at > _MILLISECONDS else expires_at
    return max(0.0, instant - now)


def _read(path: Path) -> bytes:
    try:
        if not path.is_file():
            raise LoginFailed(f"there is no {path}")
        with path.open("rb") as file:
            content = file.read(_LARGEST + 1)
    except OSError as error:
        raise LoginFailed(f"{path} cannot be read: {error.strerror}") from None
    if len(content) > _LARGEST:
        raise LoginFailed(f"{path} is too large")
    return content


def _object(content: bytes, path: Path) -> dict[str, Any]:
    try:
        return msgspec.json.decode(content, type=dict[str, Any])
    except (msgspec.DecodeError, RecursionError):
        raise LoginFailed(f"{path} cannot be understood") from None
