"""
The credentials service as the family's settings describe it: its own settings, and the login providers it may call.

For whoever runs it or acts in its place: `serve`, `credentials` and the commands.
"""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Final

import msgspec

from services.chassis.trust import CaFileUnusable
from services.credentials.oauth.caller import Caller
from services.credentials.oauth.provider import OAuthProvider
from services.credentials.oauth.vendors import VENDORS, Addresses
from services.credentials.settings import CredentialsSettings, LoggingSettings
from services.credentials.token_provider import TokenProvider
from services.gateway.settings import GatewaySettings
from services.gateway.settings_rules import proxy_for

_REQUIRED: Final = tuple(field for field in Addresses.__struct_fields__ if field != "login_url")


def credentials_settings(settings: GatewaySettings) -> CredentialsSettings:
    """Return the service's part of the settings."""
    return CredentialsSettings(
        credentials=settings.credentials,
        store=settings.store,
        keyring=settings.keyring,
        logging=LoggingSettings(level=settings.logging.level, format=settings.logging.format),
    )


def caller_of(settings: GatewaySettings) -> Caller:
    """Return what calls login providers. Raises CaFileUnusable."""
    version = settings.identity.app_version
    try:
        return Caller(
            user_agent=f"ZCode/{version}" if version.isascii() and version.isprintable() else "ZCode",
            ca_file=settings.upstream.ca_file,
            proxy_for=lambda host: proxy_for(settings.upstream, host),
        )
    except OSError as error:
        raise CaFileUnusable(f"upstream.caFile cannot be used: {error.strerror or error}") from None


def addresses_of(settings: GatewaySettings, provider: str) -> tuple[Addresses | None, tuple[str, ...]]:
    """Return where a provider's login goes; or None, and the names of the settings that are missing."""
    given = msgspec.structs.asdict(settings.providers[provider].oauth)
    needed = (*_REQUIRED, "login_url") if VENDORS[provider].business_login else _REQUIRED
    names = {field.name: field.encode_name for field in msgspec.structs.fields(settings.providers[provider].oauth)}
    missing = tuple(names[field] for field in needed if given[field] is None)
    return (None, missing) if missing else (msgspec.convert(given, Addresses), ())


def providers_of(settings: GatewaySettings, caller: Caller) -> dict[str, TokenProvider]:
    """Return the login providers whose addresses are known, by name."""
    found: dict[str, TokenProvider] = {}
    for name in settings.providers:
        addresses = addresses_of(settings, name)[0] if name in VENDORS else None
        if addresses is not None:
            found[name] = OAuthProvider(VENDORS[name], addresses, caller)
    return found


def login_providers(settings: GatewaySettings) -> AbstractAsyncContextManager[dict[str, TokenProvider]]:
    """Return the login providers, to be entered where they are used. Raises CaFileUnusable at once."""
    caller = caller_of(settings)
    return _until_the_end(providers_of(settings, caller), caller)


@asynccontextmanager
async def _until_the_end(
    providers: dict[str, TokenProvider], caller: Caller
) -> AsyncIterator[dict[str, TokenProvider]]:
    try:
        yield providers
    finally:
        await caller.aclose()
