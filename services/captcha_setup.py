"""
The captcha service as the family's settings describe it, for `serve`, `captcha` and `auth status`.
"""

from pathlib import Path
from urllib.parse import urlsplit

from services.captcha.client import CaptchaClient, trust_of
from services.captcha.service import ServiceSettings
from services.captcha.settings import CaptchaSettings, peer_token_path, token_path
from services.chassis.peer.token_file import TokenFile
from services.chassis.trust import Trust
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
    """Return a client for a command: of the named service, else of the one that runs here. Raises CaFileUnusable."""
    captcha = settings.captcha
    address, tokens, trust = captcha.address, peer_token_path(captcha), trust_of(captcha)
    if address == "app:":
        tokens = token_path(captcha, directory(settings.store))
        address, trust = _here(captcha), _itself(captcha)
    return CaptchaClient(address, tokens=TokenFile(tokens or Path()), trust=trust)


def _here(captcha: CaptchaSettings) -> str:
    if captcha.socket is not None:
        return f"unix:{captcha.socket}"
    scheme = "http" if captcha.tls.cert_file is None else "https"
    return f"{scheme}://127.0.0.1:{captcha.port if captcha.peer_port is None else captcha.peer_port}"


def _itself(captcha: CaptchaSettings) -> Trust | None:
    """Return what trusts this machine's own service, whose certificate has another name than 127.0.0.1."""
    tls = captcha.tls
    if tls.cert_file is None:
        return None
    return Trust("captcha", itself=tls.cert_file, cert_file=captcha.client_cert_file, key_file=captcha.client_key_file)
