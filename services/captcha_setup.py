"""
The captcha service as the family's settings describe it, for `serve`, `captcha` and `auth status`.
"""

import ssl
from pathlib import Path
from urllib.parse import urlsplit

from services.captcha.client import CaptchaClient
from services.captcha.service import ServiceSettings
from services.captcha.settings import peer_token_path, token_path
from services.chassis.peer.token_file import TokenFile
from services.credentials.settings import directory
from services.gateway.settings import GatewaySettings
from services.gateway.settings_rules import proxy_for


def service_settings(settings: GatewaySettings) -> ServiceSettings:
    """Return the service's part of the settings."""
    version = settings.identity.app_version
    url = settings.start_plan.configs_url
    return ServiceSettings(
        captcha=settings.captcha,
        store=settings.store,
        provider=settings.provider,
        configs_url=url,
        jwt=settings.start_plan.jwt,
        app_version=version if version.isascii() and version.isprintable() else "",
        ca_file=settings.upstream.ca_file,
        proxy=proxy_for(settings.upstream, urlsplit(url).hostname or ""),
    )


def client_for_people(settings: GatewaySettings) -> CaptchaClient:
    """Return a client for a command: of the named service, else of the one that runs on this machine."""
    captcha = settings.captcha
    address, tokens = captcha.address, peer_token_path(captcha)
    if address == "app:":
        address = f"http://127.0.0.1:{captcha.port}" if captcha.socket is None else f"unix:{captcha.socket}"
        tokens = token_path(captcha, directory(settings.store))
    verify = None if captcha.ca_file is None else ssl.create_default_context(cafile=captcha.ca_file)
    return CaptchaClient(address, tokens=TokenFile(tokens or Path()), verify=verify)
