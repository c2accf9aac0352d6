"""
What follows from several settings together: faults that no single field can know, and what the defaults leave open.

Pure.
"""

from collections.abc import Iterator
from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

import msgspec

from services.captcha import settings as captcha_settings
from services.chassis.secret import Secret
from services.chassis.settings import Complaint
from services.chassis.settings_values import did_you_mean
from services.credentials import settings as credentials_settings
from services.gateway import providers
from services.gateway.dialect import Dialect
from services.gateway.routing import Plan, Routes, UpstreamFormat
from services.gateway.settings import DEFAULT_SYSTEM_BLOCKS, GatewaySettings, ProviderSettings, UpstreamSettings
from services.gateway.wire.formats import UPSTREAM_FORMATS, WireFormat

LOOPBACK: Final = "127.0.0.1"
EVERYWHERE: Final = "0.0.0.0"  # noqa: S104 - the documented default once clients must present a key

_STORES: Final = (
    "sqlite",
    "redis",
    "rediss",
    "redis+sentinel",
    "rediss+sentinel",
    "redis+cluster",
    "rediss+cluster",
)


def complaints(settings: GatewaySettings) -> Iterator[Complaint]:
    """Yield what is wrong as pairs of a setting's path and words for a person."""
    if settings.provider not in settings.providers:
        hint = did_you_mean(settings.provider, list(settings.providers))
        known = ", ".join(sorted(settings.providers))
        yield "provider", f"is none of {known}{'; ' if hint else ''}{hint}"
    for name, provider in settings.providers.items():
        yield from _provider_complaints(f"providers.{name}", provider)
    if settings.coding_plan.upstream_format is UpstreamFormat.AUTO:
        yield "codingPlan.upstreamFormat", "must be anthropic, openai or native: auto is the start-plan's"
    server = settings.server
    if server.port == server.admin_port != 0:
        yield "server.adminPort", f"is the same as server.port ({server.port})"
    yield from _address_complaints(settings)
    yield from credentials_settings.complaints(settings.credentials)
    yield from captcha_settings.complaints(settings.captcha)
    yield from _url("startPlan.base", settings.start_plan.base)
    yield from _url("startPlan.configsUrl", settings.start_plan.configs_url)
    start_plan = settings.start_plan
    if start_plan.system_blocks_file and start_plan.system_blocks != DEFAULT_SYSTEM_BLOCKS:
        yield "startPlan.systemBlocksFile", "is given as well as startPlan.systemBlocks; keep one"
    if not all(block.strip() for block in start_plan.system_blocks):
        yield "startPlan.systemBlocks", "must not hold an empty text; write [] for no blocks at all"


def _provider_complaints(path: str, provider: ProviderSettings) -> Iterator[Complaint]:
    yield from _url(f"{path}.anthropicBase", provider.anthropic_base)
    yield from _url(f"{path}.openaiBase", provider.openai_base)
    for field in msgspec.structs.fields(provider.oauth):
        yield from _url(f"{path}.oauth.{field.encode_name}", getattr(provider.oauth, field.name))
    for at, rule in enumerate(provider.dialects):
        if rule.model is not None and "*" in rule.model[:-1]:
            yield f"{path}.dialects[{at}].model", "may have a * at its end only"


def _address_complaints(settings: GatewaySettings) -> Iterator[Complaint]:
    yield from _url("telemetry.otlpEndpoint", settings.telemetry.otlp_endpoint)
    proxy = settings.upstream.proxy
    if proxy is not None:
        parts = urlsplit(_with_scheme(proxy))
        if parts.scheme not in ("http", "https") or not parts.hostname:
            yield "upstream.proxy", "must be the address of an HTTP proxy, such as http://proxy.example:3128"
    url = settings.store.url
    if url is not None and urlsplit(url).scheme not in _STORES:
        yield "store.url", f"must begin with one of {', '.join(f'{name}://' for name in _STORES)}"


def _url(path: str, value: str | None) -> Iterator[Complaint]:
    if value is None:
        return
    try:
        parts = urlsplit(value)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    else:
        if parts.username or parts.password or parts.query or parts.fragment:
            yield path, "must hold no user, query or fragment"
    if not usable or not value.isascii() or any(character.isspace() for character in value):
        yield path, "must be an absolute address that begins with https:// or http://"


def bind_host(settings: GatewaySettings) -> str:
    """Return the address to listen on: as configured, else everywhere when clients need a key, else loopback only."""
    return settings.server.host or (EVERYWHERE if settings.auth.proxy_api_key else LOOPBACK)


def upstream_key(settings: GatewaySettings) -> Secret | None:
    """Return what the upstream is called with: the start-plan's token, or the provider's own key, or the common one."""
    if settings.plan is Plan.START:
        return settings.start_plan.jwt or None
    return settings.providers[settings.provider].credential or settings.auth.api_key or None


def bases(settings: GatewaySettings) -> dict[WireFormat, str]:
    """Return where the configured plan's two formats are served."""
    if settings.plan is Plan.START:
        return dict.fromkeys(UPSTREAM_FORMATS, settings.start_plan.base)
    provider = settings.providers[settings.provider]
    return {WireFormat.ANTHROPIC: provider.anthropic_base, WireFormat.OPENAI: provider.openai_base}


def upstream_format(settings: GatewaySettings) -> UpstreamFormat:
    """Return the configured plan's setting."""
    return (settings.start_plan if settings.plan is Plan.START else settings.coding_plan).upstream_format


def formats_in_use(settings: GatewaySettings) -> tuple[WireFormat, ...]:
    """Return the upstream formats that requests may take."""
    fixed = {UpstreamFormat.ANTHROPIC: WireFormat.ANTHROPIC, UpstreamFormat.OPENAI: WireFormat.OPENAI}
    only = fixed.get(upstream_format(settings))
    return UPSTREAM_FORMATS if only is None else (only,)


def routes(settings: GatewaySettings) -> Routes:
    """Return the routes of the configured provider and plan."""
    return providers.routes_of(settings.provider, settings.plan, bases(settings))


def dialect(settings: GatewaySettings, wire_format: WireFormat, model: str) -> Dialect:
    """Return what the configured route can do for a model."""
    rules = settings.providers[settings.provider].dialects
    return providers.dialect_for(settings.provider, settings.plan, wire_format, model, rules)


def proxy_for(upstream: UpstreamSettings, host: str) -> str | None:
    """
    Return the proxy through which a host is reached, or None for a direct connection.

    Loopback is always direct. `no_proxy` entries are host names that also cover their subdomains, or `*`.
    """
    if upstream.proxy is None or is_loopback(host):
        return None
    for entry in upstream.no_proxy:
        name = entry.strip().lstrip(".").lower()
        if name == "*" or host.lower() == name or host.lower().endswith(f".{name}"):
            return None
    return _with_scheme(upstream.proxy)


def is_loopback(host: str) -> bool:
    """Say whether a host is this machine, as far as its name tells."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def _with_scheme(proxy: str) -> str:
    """Curl and its like accept `proxy.example:3128`; so do we."""
    return proxy if "://" in proxy else f"http://{proxy}"
