"""
What the `auth` commands do. Apart from them because what it imports is heavy, and other commands shall start fast.
"""

import os
import time
from pathlib import Path
from typing import Final

import typer

from services.chassis.listening import CannotListen
from services.cli.audit_session import audit_of
from services.cli.exits import Exit
from services.cli.login_screen import LoginScreen
from services.cli.output import complain
from services.credentials import imports, logins
from services.credentials.audit import actor
from services.credentials.contract import Kind
from services.credentials.errors import CredentialsError, LoginFailed
from services.credentials.login import LoggedIn, Login, LoginOptions, NotOffered, Way
from services.credentials.oauth.caller import Caller
from services.credentials.oauth.vendors import VENDORS, Addresses
from services.credentials.records import Credential
from services.credentials.vault import Trouble
from services.credentials.vault_of import is_untouched, vault_of
from services.credentials_setup import CaFileUnusable, addresses_of, caller_of
from services.gateway.routing import Plan
from services.gateway.settings import GatewaySettings

_SOURCES: Final = ("zcode", "zcode-proxy")  # the desktop application first: it is what people use
_UNITS: Final = ((86_400, "d"), (3600, "h"), (60, "min"))


async def log_in(
    settings: GatewaySettings, provider: str, flow: str | None, label: str, *, browser: bool
) -> tuple[Credential, str | None]:
    """Log in and keep what comes of it; also says why there is no key, if there is none and none is needed."""
    options = LoginOptions(
        callback_port=settings.auth.oauth_callback_port,
        app_version=settings.identity.app_version,
        key_required=settings.plan is Plan.CODING,
    )
    ways = list(Way) if flow is None else [Way(flow)]
    # First of all, so that nobody goes through a login which then cannot be kept or written down.
    await _note(settings, "login.start", provider)
    caller = _caller(settings)
    try:
        got = await _first_of(settings, provider, ways, options, caller, browser=browser)
    except CredentialsError:
        await _note(settings, "login.fail", provider, result="failed")
        raise
    finally:
        await caller.aclose()
    return await keep(settings, got, label, event="login.ok"), got.unresolved


async def _first_of(
    settings: GatewaySettings,
    provider: str,
    ways: list[Way],
    options: LoginOptions,
    caller: Caller,
    *,
    browser: bool,
) -> LoggedIn:
    """Log in by the first way that is offered."""
    with LoginScreen(browser=browser) as screen:
        attempt = Login(VENDORS[provider], addresses(settings, provider), caller, screen, options)
        for way in ways[:-1]:
            try:
                return await attempt.run(way)
            except (NotOffered, CannotListen) as error:
                screen.note(f"{way.value}: {error}; trying another way")
        return await attempt.run(ways[-1])


async def _note(settings: GatewaySettings, event: str, provider: str, *, result: str = "ok") -> None:
    """Write down in the audit log how a login goes."""
    async with vault_of(settings.store, settings.keyring) as (vault, _):
        await audit_of(settings, vault).record(event, actor=actor(), subject=provider, result=result)


async def keep(settings: GatewaySettings, got: LoggedIn, label: str, *, event: str) -> Credential:
    """Store what a login or an import brought, and write it down."""
    from_login = got.secrets.access_token or got.secrets.refresh_token or got.user_id
    kind = Kind.OAUTH if from_login else Kind.API_KEY
    async with vault_of(settings.store, settings.keyring) as (vault, store):
        title = VENDORS[got.provider].title
        record = await logins.keep(vault, got, kind=kind, label=label, title=title, now=await store.now())
        await audit_of(settings, vault).record(event, actor=actor(), subject=_named(record))
        return record


async def listed(settings: GatewaySettings) -> tuple[tuple[Credential, ...], list[Trouble]]:
    """Return what is kept, and what of it does not open."""
    troubles: list[Trouble] = []
    if is_untouched(settings.store):
        return (), troubles
    async with vault_of(settings.store, settings.keyring, report=troubles.append) as (vault, _):
        return await vault.credentials(), troubles


async def log_out(settings: GatewaySettings, provider: str | None) -> tuple[Credential, ...]:
    """Remove what is kept of a provider (None: of all) and return it."""
    if is_untouched(settings.store):
        return ()
    async with vault_of(settings.store, settings.keyring) as (vault, _):
        removed = await logins.remove(vault, provider)
        for record in removed:
            await audit_of(settings, vault).record("cred.delete", actor=actor(), subject=_named(record))
        return removed


def _named(record: Credential) -> str:
    return f"{record.id} {record.provider}"


def imported(settings: GatewaySettings, provider: str, source: str | None) -> LoggedIn:
    """Read another program's credentials: of the one that is named, else of the first that has any."""
    home = Path.home()
    directory = Path(settings.store.dir).expanduser()
    reasons = []
    for candidate in _SOURCES if source is None else (source,):
        try:
            if candidate == "zcode":
                return imports.from_desktop(home, provider)
            return imports.from_seed(directory, provider, str(home), os.environ, time.time())
        except LoginFailed as failure:
            reasons.append(str(failure))
    raise LoginFailed("; ".join(reasons))


def addresses(settings: GatewaySettings, provider: str) -> Addresses:
    """Return where a login goes, or leave with 64 when the settings leave it open."""
    found, missing = addresses_of(settings, provider)
    if found is None:
        complain(f"providers.{provider}.oauth: {', '.join(missing)} must be set to log in")
        raise typer.Exit(Exit.CONFIGURATION)
    return found


def _caller(settings: GatewaySettings) -> Caller:
    try:
        return caller_of(settings)
    except CaFileUnusable as error:
        complain(str(error))
        raise typer.Exit(Exit.CONFIGURATION) from None


def kept_words(record: Credential) -> str:
    """Say what is kept now."""
    user = f", user {record.user_id}" if record.user_id else ""
    key = f", key {logins.masked(record.secrets.api_key)}" if record.secrets.api_key else ""
    return f"logged in to {record.provider} as {record.label}{user}{key} ({record.id})"


def row(record: Credential, now: float) -> tuple[str, ...]:
    """Return a line of `auth status`."""
    issued = logins.jwt_issued_at(record.secrets.start_plan_jwt)
    token = "-" if record.secrets.start_plan_jwt is None else "age unknown" if issued is None else _age(now - issued)
    state = record.state.value + (f" ({record.reason})" if record.reason else "")
    age = _age(now - record.rotated_at)
    return (
        record.provider,
        record.label,
        record.kind.value,
        state,
        age,
        logins.masked(record.secrets.api_key) or "-",
        token,
    )


def shown(record: Credential, now: float) -> dict[str, object]:
    """Return an entry of `auth status --json`."""
    return {
        "id": record.id,
        "provider": record.provider,
        "label": record.label,
        "kind": record.kind.value,
        "state": record.state.value,
        "reason": record.reason,
        "user_id": record.user_id,
        "key": logins.masked(record.secrets.api_key) or None,
        "age_seconds": round(max(0.0, now - record.rotated_at)),
        "created_at": record.created_at,
        "rotated_at": record.rotated_at,
        "expires_at": record.expires_at,
        "usable_at": record.usable_at,
        "refreshable": bool(record.secrets.refresh_token or record.secrets.access_token),
        "start_plan": record.secrets.start_plan_jwt is not None,
        "start_plan_state": record.start_plan.state.value,
        "start_plan_issued_at": logins.jwt_issued_at(record.secrets.start_plan_jwt),
    }


def _age(seconds: float) -> str:
    for size, unit in _UNITS:
        if seconds >= size:
            return f"{int(seconds // size)} {unit}"
    return f"{max(0, int(seconds))} s"
