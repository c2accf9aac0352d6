"""
The whole gateway in one process, for a laptop: no Redis, no cluster.

With `demo` a simulator takes the upstream's place. The credentials service runs in the same process as soon as there is
something for it: logins or client keys in the store, or a configuration that asks for them.
"""

import contextlib
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec

from services.chassis.listening import CannotListen
from services.chassis.logs import set_up
from services.chassis.process import harden, run
from services.chassis.secret import Secret
from services.chassis.server import Server
from services.chassis.server import serve as serve_listeners
from services.credentials.client import CredentialsClient, connect
from services.credentials.client_keys import ClientKeyBook
from services.credentials.errors import KeyringInvalid
from services.credentials.oauth.caller import Caller
from services.credentials.oauth.provider import OAuthProvider
from services.credentials.oauth.vendors import VENDORS, Addresses
from services.credentials.process import running_service
from services.credentials.settings import CredentialsSettings, KeyringSettings, StoreSettings
from services.credentials.stores.port import StoreRefused, StoreUnavailable
from services.credentials.token_provider import TokenProvider
from services.credentials.vault_of import is_untouched
from services.gateway import settings_rules as rules
from services.gateway.app import create_gateway
from services.gateway.client_keys import SnapshotKeys
from services.gateway.process import end_streams, listeners
from services.gateway.routing import Plan
from services.gateway.settings import GatewaySettings, ProviderSettings
from services.gateway.snapshot_leases import SnapshotLeases
from services.simulator.app import Simulator
from services.simulator.server import running
from services.simulator.settings import SimulatorSettings

_DEMO_KEY = Secret("demo.simulated")
_UNAVAILABLE = 69  # EX_UNAVAILABLE of sysexits.h
_CONFIGURATION = 78  # EX_CONFIG: the keyring does not fit the store


def serve(settings: GatewaySettings, *, demo: bool) -> int:
    """Serve until told to stop; returns the exit code."""
    set_up(settings.logging.level, settings.logging.format)
    harden()
    try:
        return run(_serve(settings, demo=demo))
    except (CannotListen, StoreUnavailable) as error:
        sys.stderr.write(f"zcode-proxy: {error}\n")
        return _UNAVAILABLE
    except (KeyringInvalid, StoreRefused) as error:
        sys.stderr.write(f"zcode-proxy: {error}\n")
        return _CONFIGURATION


async def _serve(settings: GatewaySettings, *, demo: bool) -> int:
    async with contextlib.AsyncExitStack() as stack:
        if demo:
            origin = await stack.enter_async_context(running(Simulator(SimulatorSettings(port=0))))
            settings = pointed_at(settings, origin)
        client = None if demo else await stack.enter_async_context(_credentials(settings))
        gateway = create_gateway(
            settings,
            leases=None if client is None or rules.upstream_key(settings) else SnapshotLeases(client),
            keys=None if client is None else _keys(settings, client),
        )
        return await serve_listeners(
            *listeners(settings, gateway, admin_host=rules.LOOPBACK),
            drain_seconds=settings.limits.drain,
            health=gateway.health,
            on_started=lambda server: _greet(settings, server),
            on_deadline=lambda: end_streams(gateway),
        )


def needs_credentials(settings: GatewaySettings) -> bool:
    """Say whether there is anything for a credentials service: a store in use, or a configuration that wants logins."""
    return settings.auth.mode == "oauth" or not is_untouched(settings.store.url, Path(settings.store.dir))


@contextlib.asynccontextmanager
async def _credentials(settings: GatewaySettings) -> AsyncIterator[CredentialsClient | None]:
    """Run the credentials service in this process, and give the gateway's client of it."""
    if not needs_credentials(settings):
        yield None
        return
    own = CredentialsSettings(
        store=StoreSettings(dir=settings.store.dir, url=settings.store.url),
        keyring=KeyringSettings(file=settings.keyring.file),
    )
    caller = Caller(
        user_agent=f"ZCode/{settings.identity.app_version}",
        ca_file=settings.upstream.ca_file,
        proxy_for=lambda host: rules.proxy_for(settings.upstream, host),
    )
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(caller.aclose)
        service = await stack.enter_async_context(
            running_service(
                own, _providers(settings, caller), client_keys=lambda vault, store: ClientKeyBook(vault, store).known
            )
        )
        client = connect("app:", app=service.broker)
        stack.push_async_callback(client.aclose)
        await client.start()
        yield client


def _providers(settings: GatewaySettings, caller: Caller) -> dict[str, TokenProvider]:
    """Return the login providers whose addresses are known, by name."""
    found: dict[str, TokenProvider] = {}
    for name, provider in settings.providers.items():
        vendor = VENDORS.get(name)
        given = msgspec.structs.asdict(provider.oauth)
        if vendor is not None and all(given[field] is not None for field in Addresses.__struct_fields__[:5]):
            found[name] = OAuthProvider(vendor, msgspec.convert(given, Addresses), caller)
    return found


def _keys(settings: GatewaySettings, client: CredentialsClient) -> SnapshotKeys:
    return SnapshotKeys(lambda: client.snapshot, proxy_key=settings.auth.proxy_api_key)


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


def _greet(settings: GatewaySettings, server: Server) -> None:
    """Say on a terminal where clients connect and what to try first."""
    host = rules.bind_host(settings)
    base = f"http://{'127.0.0.1' if host in (rules.EVERYWHERE, '::') else host}:{server.ports[0]}"
    key = "the client key" if settings.auth.proxy_api_key else "any"
    lines = [
        f"zcode-proxy serves {base}  (OpenAI: {base}/v1, Anthropic: {base})",
        f"  probes and metrics: http://127.0.0.1:{server.ports[1]}/readyz /metrics",
    ]
    if settings.simulated:
        lines.append("  DEMO: the upstream is a simulator; no account is used and every answer says so.")
    if not settings.auth.proxy_api_key:
        lines.append("  No client key is set, so only this machine is served.")
    lines += [
        "",
        "Try:",
        f"  curl -N {base}/v1/chat/completions -H 'content-type: application/json' \\",
        '    -d \'{"model":"glm-5.2","stream":true,"messages":[{"role":"user","content":"Hello"}]}\'',
        "Claude Code:",
        f"  ANTHROPIC_BASE_URL={base} ANTHROPIC_AUTH_TOKEN={key.replace('the client key', '<client key>')} claude",
        "Others: zcode-proxy env opencode | codex | cline | openai",
        "",
    ]
    sys.stderr.write("\n".join(lines) + "\n")
