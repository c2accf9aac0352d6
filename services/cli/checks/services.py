"""
Do our own services answer, by the way and with the token that the configuration names?

Each is asked what a gateway asks it anyway; nothing that it holds is shown.
"""

from collections.abc import Iterator
from pathlib import Path

from services.captcha.errors import CaptchaError
from services.captcha.errors import NotAuthenticated as NotKnownToCaptcha
from services.captcha_setup import client_for_people
from services.chassis.peer.token_file import TokenFile
from services.chassis.process import run
from services.chassis.trust import CaFileUnusable
from services.cli.checks.finding import Finding, failed, passed
from services.credentials.client import HttpService, trust_of
from services.credentials.errors import CredentialsError, NotAuthenticated
from services.credentials.settings import peer_token_path
from services.gateway.routing import Plan
from services.gateway.settings import GatewaySettings


def check_services(settings: GatewaySettings) -> Iterator[Finding]:
    """Ask every service of ours that is not in the gateway's own process."""
    if settings.credentials.address != "app:":
        yield run(_credentials(settings))
    if settings.plan is Plan.START and settings.captcha.address != "app:":
        yield run(_captcha(settings))


async def _credentials(settings: GatewaySettings) -> Finding:
    name, listen = "credentials service", settings.credentials
    try:
        tokens = TokenFile(peer_token_path(listen) or Path())
        service = HttpService(listen.address, tokens=tokens, trust=trust_of(listen))
    except CaFileUnusable as error:
        return failed(name, str(error), "mend the file")
    try:
        snapshot = await service.poll(-1, 0)
    except CredentialsError as error:
        known = not isinstance(error, NotAuthenticated)
        return failed(name, f"{listen.address}: {error}", _advice("credentials", known=known))
    finally:
        await service.aclose()
    return passed(
        name, f"{listen.address} answers; {len(snapshot.leases)} credentials, {len(snapshot.client_keys)} client keys"
    )


async def _captcha(settings: GatewaySettings) -> Finding:
    name, address = "captcha service", settings.captcha.address
    try:
        client = client_for_people(settings)
    except CaFileUnusable as error:
        return failed(name, str(error), "mend the file")
    try:
        state = await client.state(settings.provider)
    except CaptchaError as error:
        known = not isinstance(error, NotKnownToCaptcha)
        return failed(name, f"{address}: {error}", _advice("captcha", known=known))
    finally:
        await client.aclose()
    return passed(name, f"{address} answers; {state.waiting} requests wait")


def _advice(section: str, *, known: bool) -> str:
    if known:
        return f"is it running, may this machine reach it, and is {section}.caFile the authority of its certificate?"
    return f"both need one token ({section}.tokenFile), or the service this account ({section}.serviceAccounts.allow)"
