"""
What can be seen in the configuration alone: faults, keys, and the usual mistakes with addresses. Pure.

The vendor has two OpenAI addresses, and a plan's key at the general one is answered with 1113 "no balance"; that and a
doubled `/v1` are what most reports of "it does not work" come down to.
"""

import re
from collections.abc import Iterator
from typing import Final
from urllib.parse import urlsplit

import msgspec

from services.chassis.settings import Loaded
from services.cli.checks.finding import Finding, failed, passed, warned
from services.credentials.settings import is_untouched
from services.gateway.providers import PROVIDERS, Provider
from services.gateway.routing import Plan
from services.gateway.settings import DEFAULT_SYSTEM_BLOCKS, GatewaySettings, StartPlanSettings
from services.gateway.settings_rules import bases, formats_in_use, is_loopback, upstream_key
from services.gateway.wire.formats import WireFormat

_PLACEHOLDER: Final = re.compile(r"your|example|change.?me|placeholder|x{6,}|\.{3}|…|<|>", re.IGNORECASE)
_SHORT_CLIENT_KEY: Final = 16

_SETTING: Final = {WireFormat.ANTHROPIC: "anthropicBase", WireFormat.OPENAI: "openaiBase"}


def check_configuration(loaded: Loaded[GatewaySettings], source: str) -> Iterator[Finding]:
    """Report faults and warnings of loading, then look at keys and addresses as far as they could be read."""
    for fault in loaded.faults:
        yield failed("configuration", str(fault), "mend it; `zcode-proxy config example` shows every setting")
    for warning in loaded.warnings:
        yield warned("configuration", str(warning))
    if not loaded.faults:
        yield passed("configuration", f"no faults in {source}")
    settings = loaded.value
    if settings is not None and settings.provider in settings.providers:
        yield from _check_upstream_key(settings)
        yield from _check_client_key(settings)
        yield from _check_bases(settings)
        if settings.plan is Plan.START:
            yield _check_system_blocks(settings.start_plan)


def _check_upstream_key(settings: GatewaySettings) -> Iterator[Finding]:
    key = upstream_key(settings)
    start = settings.plan is Plan.START
    setting = "startPlan.jwt (ZCODE_START_PLAN_JWT)" if start else "auth.apiKey (ZCODE_API_KEY)"
    if key is None:
        yield _without_key(settings, setting)
        return
    if _PLACEHOLDER.search(key.reveal()):
        yield failed("upstream key", "looks like a placeholder out of an example", f"put the real key into {setting}")
        return
    row = PROVIDERS.get(settings.provider)
    if start or row is None or row.key_shape.fullmatch(key.reveal()):
        yield passed("upstream key", "is there and has the usual shape")
    else:
        yield warned(
            "upstream key",
            f"does not look like a key of {row.title}: {row.key_words}",
            "copy it again in full; check that `provider` is the vendor it belongs to",
        )


def _without_key(settings: GatewaySettings, setting: str) -> Finding:
    """Say where the upstream's key comes from when the configuration holds none."""
    address = settings.credentials.address
    if address != "app:":
        return passed("upstream key", f"comes from the credentials service at {address}")
    if not is_untouched(settings.store):
        return passed("upstream key", "comes from the store: `zcode-proxy auth status` shows the logins")
    login = f"log in with `zcode-proxy auth login {settings.provider}`"
    if settings.auth.mode == "oauth":
        return failed("upstream key", "auth.mode is oauth and nobody is logged in", login)
    return failed("upstream key", "none is configured", f"{login}, set {setting}, or try `zcode-proxy serve --demo`")


def _check_system_blocks(start_plan: StartPlanSettings) -> Finding:
    """Warn of the default, which the start plan's gateway is known to refuse with 3012."""
    if start_plan.system_blocks_file is not None or start_plan.system_blocks != DEFAULT_SYSTEM_BLOCKS:
        return passed("system blocks", "are your own")
    return warned(
        "system blocks",
        "only the neutral default is sent; the provider may answer 405 with code 3012",
        "set startPlan.systemBlocksFile to the texts of the provider's own client: docs/start-plan.md",
    )


def _check_client_key(settings: GatewaySettings) -> Iterator[Finding]:
    key = settings.auth.proxy_api_key
    host = settings.server.host
    if key and len(key.reveal()) < _SHORT_CLIENT_KEY:
        yield warned(
            "client key",
            f"is shorter than {_SHORT_CLIENT_KEY} characters",
            'make one with: python3 -c "import secrets; print(secrets.token_urlsafe(32))"',
        )
    elif key:
        yield passed("client key", "clients must present one")
    elif settings.credentials.address != "app:" or not is_untouched(settings.store):
        yield passed("client key", "those of `zcode-proxy keys list`; as long as there are none, only this machine")
    elif host is not None and not is_loopback(host):
        yield failed(
            "client key",
            f"server.host is {host} and no client key is set: other machines are refused",
            "set auth.proxyApiKey (ZCODE_PROXY_API_KEY)",
        )
    else:
        yield passed("client key", "none is set: only this machine is served")


def _check_bases(settings: GatewaySettings) -> Iterator[Finding]:
    configured = bases(settings)
    for wire_format in formats_in_use(settings):
        name = "startPlan.base"
        if settings.plan is not Plan.START:
            name = f"providers.{settings.provider}.{_SETTING[wire_format]}"
        mistake = base_mistake(settings.provider, settings.plan, wire_format, configured[wire_format])
        found = mistake or passed("address", configured[wire_format])
        yield msgspec.structs.replace(found, message=f"{name}: {found.message}")


def base_mistake(provider: str, plan: Plan, wire_format: WireFormat, base: str) -> Finding | None:
    """Return the gravest thing that looks wrong with a base, with what to write instead; None when it looks right."""
    row = PROVIDERS.get(provider)
    usual = None if row is None or plan is Plan.START else _usual(provider, wire_format)
    advice = "write only what stands before it" if usual is None else f"the usual value is {usual}"
    words = next(_path_mistakes(plan, wire_format, base), None)
    if words is None and row is not None and plan is Plan.CODING:
        words = next(_vendor_mistakes(row, wire_format, base), None)
    if words is not None:
        return failed("address", f"{base} {words}", advice)
    parts = urlsplit(base)
    other = _other_vendor(provider, parts.hostname or "") if plan is Plan.CODING else None
    if other is not None:
        return warned("address", f"{base} belongs to {other}, and `provider` is {provider}", advice)
    if parts.scheme == "http" and not is_loopback(parts.hostname or ""):
        return warned("address", f"{base} is not encrypted: the key travels in the clear", "write https://")
    return None


def _path_mistakes(plan: Plan, wire_format: WireFormat, base: str) -> Iterator[str]:
    path = urlsplit(base).path.rstrip("/")
    if path.endswith(("/messages", "/completions")):
        yield "holds the endpoint itself, which is appended once more"
    if path.endswith("/v1") and wire_format is WireFormat.ANTHROPIC and plan is Plan.CODING:
        yield "ends with /v1, which is appended: requests would go to /v1/v1/messages"


def _vendor_mistakes(row: Provider, wire_format: WireFormat, base: str) -> Iterator[str]:
    path = urlsplit(base).path.rstrip("/")
    if wire_format is WireFormat.OPENAI and base.rstrip("/") == row.general_openai_base:
        yield "is the general address; a plan's key gets error 1113 there"
    if wire_format is WireFormat.OPENAI and path.endswith("/anthropic"):
        yield "is the Anthropic address"
    if wire_format is WireFormat.ANTHROPIC and "/paas/" in path:
        yield "is an OpenAI address"


def _usual(provider: str, wire_format: WireFormat) -> str:
    row = PROVIDERS[provider]
    return row.anthropic_base if wire_format is WireFormat.ANTHROPIC else row.openai_base


def _other_vendor(provider: str, host: str) -> str | None:
    for name, row in PROVIDERS.items():
        if name != provider and host in {urlsplit(row.anthropic_base).hostname, urlsplit(row.openai_base).hostname}:
            return name
    return None
