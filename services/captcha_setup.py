"""
The captcha service as the family's settings describe it, for whoever runs it: `serve` and `captcha`.
"""

from urllib.parse import urlsplit

from services.captcha.service import ServiceSettings
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
