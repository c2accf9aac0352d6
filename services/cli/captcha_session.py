"""
What `captcha status` and `auth status` ask of the running captcha service. Apart from them because it imports much.
"""

import time

import msgspec

from services.captcha.contract import BankState
from services.captcha.errors import CaptchaError
from services.captcha_setup import client_for_people
from services.chassis.trust import CaFileUnusable
from services.gateway.settings import GatewaySettings


async def state(settings: GatewaySettings) -> BankState | str:
    """Return how the configured provider's account stands, or why nobody says so."""
    try:
        client = client_for_people(settings)
    except CaFileUnusable as error:
        return str(error)
    try:
        return await client.state(settings.provider)
    except CaptchaError as error:
        return str(error)
    finally:
        await client.aclose()


def shown(found: BankState) -> object:
    """Return what JSON shows."""
    return msgspec.to_builtins(found)


def words(found: BankState) -> str:
    """Say it in a line for a person."""
    stock = f"{len(found.lives)} in stock"
    if found.lives:
        stock += f" (oldest: {min(found.lives):.0f} s left)"
    line = f"{found.waiting} requests wait" if found.waiting else "nobody waits"
    if found.waiting:
        line += f" (the first for {found.waited:.0f} s)"
    asks = "the provider asks for them" if found.asks else "the provider asks for none"
    if found.config_source == "nothing":
        asks = "whether the provider asks for them is not known"
    login = "nobody is logged in" if found.account is None else _age(found.jwt_issued_at)
    return f"captcha tokens: {stock}; {line}; {asks}; start-plan token: {login}"


def _age(issued_at: float | None) -> str:
    return "age unknown" if issued_at is None else f"{(time.time() - issued_at) / 86_400:.0f} days old"
