"""
The whole gateway in one process, for a laptop: no Redis, no cluster.

With `demo` a simulator takes the upstream's place. The credentials service runs in the same process as soon as there is
something for it: logins or client keys in the store, or a configuration that asks for them. So does the captcha
service on the start plan; its page has a port of its own, because nothing else should share its origin.
"""

import contextlib
import sys
from collections.abc import AsyncIterator, Callable

import msgspec
from prometheus_client import CollectorRegistry

from services.captcha.client import CaptchaService
from services.captcha.process import public_listeners
from services.captcha.service import running_service as running_captcha
from services.captcha_setup import service_settings
from services.chassis.listening import CannotListen
from services.chassis.logs import set_up
from services.chassis.peer.token_file import TokenFileInvalid
from services.chassis.process import harden, run
from services.chassis.secret import Secret
from services.chassis.server import Server
from services.chassis.site import Listener
from services.chassis.trust import CaFileUnusable
from services.credentials.client import CredentialsClient, connect
from services.credentials.errors import KeyringInvalid
from services.credentials.process import running_service
from services.credentials.settings import is_untouched
from services.credentials.stores.port import StoreRefused, StoreUnavailable
from services.credentials_setup import credentials_settings, login_providers
from services.gateway import settings_rules as rules
from services.gateway import start_plan_passes
from services.gateway.leasing import Leasing, client_of, has_service
from services.gateway.process import serve_gateway
from services.gateway.routing import Plan
from services.gateway.settings import GatewaySettings, ProviderSettings
from services.simulator.app import Simulator
from services.simulator.server import running
from services.simulator.settings import SimulatorSettings

_DEMO_KEY = Secret("demo.simulated")
_SETTINGS = 64  # EX_USAGE of sysexits.h, which this program uses for faults in the settings
_UNAVAILABLE = 69  # EX_UNAVAILABLE of sysexits.h
_CONFIGURATION = 78  # EX_CONFIG: the keyring does not fit the store


def serve(settings: GatewaySettings, *, demo: bool) -> int:
    """Serve until told to stop; returns the exit code."""
    set_up(settings.logging.level, settings.logging.format)
    harden()
    try:
        return run(_serve(settings, demo=demo))
    except CaFileUnusable as error:
        sys.stderr.write(f"zcode-proxy: {error}\n")
        return _SETTINGS
    except (CannotListen, StoreUnavailable) as error:
        sys.stderr.write(f"zcode-proxy: {error}\n")
        return _UNAVAILABLE
    except (KeyringInvalid, StoreRefused, TokenFileInvalid) as error:
        sys.stderr.write(f"zcode-proxy: {error}\n")
        return _CONFIGURATION


async def _serve(settings: GatewaySettings, *, demo: bool) -> int:
    async with contextlib.AsyncExitStack() as stack:
        if demo:
            origin = await stack.enter_async_context(running(Simulator(SimulatorSettings(port=0))))
            settings = pointed_at(settings, origin)
        registry = CollectorRegistry()  # one for all, because one admin port shows it
        client = None if demo else await stack.enter_async_context(_credentials(settings, registry))
        captcha = await stack.enter_async_context(_captcha(settings, client, registry))
        return await serve_gateway(
            settings,
            None if client is None else Leasing(settings, client),
            captcha.issuer,
            admin_host=rules.LOOPBACK,
            registry=registry,
            more=captcha.listeners,
            on_started=lambda server: _greet(settings, server, keys=client is not None and _knows_keys(client)),
            on_drain=captcha.on_drain,
        )


def needs_credentials(settings: GatewaySettings) -> bool:
    """Say whether there is anything for a credentials service: a store in use, or a configuration that wants logins."""
    return settings.auth.mode == "oauth" or not is_untouched(settings.store)


@contextlib.asynccontextmanager
async def _credentials(
    settings: GatewaySettings, registry: CollectorRegistry
) -> AsyncIterator[CredentialsClient | None]:
    """Give the gateway's client of the service that is named, or of one in this process, if there is use for one."""
    if not has_service(settings) and not needs_credentials(settings):
        yield None
        return
    async with contextlib.AsyncExitStack() as stack:
        if has_service(settings):
            client = client_of(settings)
            stack.push_async_callback(client.aclose)
            await client.start()
            yield client
            return
        providers = await stack.enter_async_context(login_providers(settings))
        service = await stack.enter_async_context(
            running_service(credentials_settings(settings), providers, registry=registry)
        )
        client = connect("app:", app=service.broker)
        stack.push_async_callback(client.aclose)
        await client.start()
        yield client


class _Captcha(msgspec.Struct, frozen=True):
    """What the gateway's process needs of the captcha service: nothing on the coding plan."""

    issuer: CaptchaService | None = None
    listeners: tuple[Listener, ...] = ()
    on_drain: Callable[[], None] | None = None


@contextlib.asynccontextmanager
async def _captcha(
    settings: GatewaySettings, client: CredentialsClient | None, registry: CollectorRegistry
) -> AsyncIterator[_Captcha]:
    """Run the captcha service in this process, or be a client of the one that is named; with a page of its own port."""
    if settings.plan is not Plan.START:
        yield _Captcha()
    elif start_plan_passes.has_service(settings):
        elsewhere = start_plan_passes.client_of(settings)
        async with contextlib.aclosing(elsewhere):
            yield _Captcha(elsewhere)
    else:
        own = service_settings(settings)
        async with running_captcha(own, client, registry=registry) as service:
            yield _Captcha(service.issuer, public_listeners(own, service), service.end_waits)


def pointed_at(settings: GatewaySettings, origin: str) -> GatewaySettings:
    """Return the settings with the simulator at `origin` as the only upstream."""
    simulated = ProviderSettings(
        anthropic_base=f"{origin}/api/anthropic",
        openai_base=f"{origin}/api/coding/paas/v4",
        credential=_DEMO_KEY,
        dialects=settings.providers[settings.provider].dialects,
    )
    return msgspec.structs.replace(
        settings,
        plan=Plan.CODING,
        providers=settings.providers | {settings.provider: simulated},
        simulated=True,
    )


def _knows_keys(client: CredentialsClient) -> bool:
    return bool(client.snapshot.client_keys)


def codex_command(base: str, *, closed: bool) -> tuple[str, ...]:
    """Return the lines of a shell command that starts Codex on a gateway without touching its configuration."""
    key, named = ("ZCODE_CLIENT_KEY='<client key>' ", ',env_key="ZCODE_CLIENT_KEY"') if closed else ("", "")
    provider = f'{{name="zcode-proxy",base_url="{base}/v1",wire_api="responses"{named}}}'
    return (
        f"{key}codex -c model=glm-5.2 -c model_provider=zcode \\",
        f"  -c 'model_providers.zcode={provider}'",
    )


def _greet(settings: GatewaySettings, server: Server, *, keys: bool) -> None:
    """Say on a terminal where clients connect and what to try first; `keys`: clients need one of the store's."""
    host = rules.bind_host(settings)
    base = f"http://{'127.0.0.1' if host in (rules.EVERYWHERE, '::') else host}:{server.ports[0]}"
    closed = keys or bool(settings.auth.proxy_api_key)
    lines = [
        f"zcode-proxy serves {base}  (OpenAI: {base}/v1, Anthropic: {base})",
        f"  probes and metrics: http://127.0.0.1:{server.ports[1]}/readyz /metrics /status",
    ]
    if settings.simulated:
        lines.append("  DEMO: the upstream is a simulator; no account is used and every answer says so.")
    if settings.plan is Plan.START and not start_plan_passes.has_service(settings):
        lines.append("  Captchas are completed on a page of its own: zcode-proxy captcha link prints the way in.")
    if not closed:
        lines.append("  No client key is set, so only this machine is served.")
    elif keys:
        lines.append("  Clients need a key: zcode-proxy keys list shows which there are, keys create makes one.")
    bearer = " -H 'authorization: Bearer <client key>'" if closed else ""
    lines += [
        "",
        "Try:",
        f"  curl -N {base}/v1/chat/completions{bearer} -H 'content-type: application/json' \\",
        '    -d \'{"model":"glm-5.2","stream":true,"messages":[{"role":"user","content":"Hello"}]}\'',
        "Codex:",
        *(f"  {line}" for line in codex_command(base, closed=closed)),
        "Claude Code:",
        f"  ANTHROPIC_BASE_URL={base} ANTHROPIC_AUTH_TOKEN={'<client key>' if closed else 'any'} claude",
        "Others, or to keep: zcode-proxy env codex | claude-code | opencode | cline | openai",
        "",
    ]
    sys.stderr.write("\n".join(lines) + "\n")
