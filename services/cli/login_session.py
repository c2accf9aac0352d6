"""
What the `auth` commands do. Apart from them because what it imports is heavy, and other commands shall start fast.
"""

import os
import time
from pathlib import Path
from typing import Final

import msgspec
import typer

from services.chassis.listening import CannotListen
from services.chassis.trust import CaFileUnusable
from services.cli.audit_log import audit_of
from services.cli.exits import Exit
from services.cli.login_screen import LoginScreen
from services.cli.office import Office
from services.cli.output import complain
from services.credentials import imports, logins
from services.credentials.admin_contract import LoginInfo, Logins
from services.credentials.audit import actor
from services.credentials.contract import Kind
from services.credentials.errors import CredentialsError, LoginFailed
from services.credentials.login import LoggedIn, Login, LoginOptions, NotOffered, Way
from services.credentials.oauth.caller import Caller
from services.credentials.oauth.vendors import VENDORS, Addresses
from services.credentials.records import Credential
from services.credentials.vault_of import vault_of
from services.credentials_setup import addresses_of, caller_of
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
        try:
            return await attempt.run(ways[-1])
        except NotOffered as error:
            raise LoginFailed(f"{error}; without --flow, other ways are tried") from None


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


async def listed(office: Office) -> Logins:
    """Return what is kept, and what of it does not open."""
    if office.empty:
        return Logins()
    async with office.open() as desk:
        return await desk.logins()


async def log_out(office: Office, provider: str | None) -> tuple[LoginInfo, ...]:
    """Remove what is kept of a provider (None: of all) and return it."""
    if office.empty:
        return ()
    async with office.open() as desk:
        return await desk.log_out(provider)


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


def row(login: LoginInfo, now: float) -> tuple[str, ...]:
    """Return a line of `auth status`."""
    issued = login.start_plan_issued_at
    token = "-" if not login.start_plan else "age unknown" if issued is None else _age(now - issued)
    state = login.state + (f" ({login.reason})" if login.reason else "")
    return (
        login.id,
        login.provider,
        login.label,
        login.kind,
        state,
        _age(now - login.rotated_at),
        login.key or "-",
        token,
    )


def shown(login: LoginInfo, now: float) -> dict[str, object]:
    """Return an entry of `auth status --json`."""
    fields = msgspec.structs.asdict(login)
    return fields | {"key": login.key or None, "age_seconds": round(max(0.0, now - login.rotated_at))}


def _age(seconds: float) -> str:
    for size, unit in _UNITS:
        if seconds >= size:
            return f"{int(seconds // size)} {unit}"
    return f"{max(0, int(seconds))} s"
