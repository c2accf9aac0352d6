"""Runs the gateway as a process of its own: a public listener, an admin listener, and what happens at the end."""

import contextlib
import functools
import os
from collections.abc import Callable, Sequence
from typing import Final

from litestar.types import ControllerRouterHandler
from prometheus_client import CollectorRegistry

from services.captcha.client import CaptchaService
from services.chassis.http_guard.limits import GuardLimits
from services.chassis.instruments import instruments
from services.chassis.logs import set_up
from services.chassis.problem import Headers
from services.chassis.process import Tasks, harden, run
from services.chassis.server import Server
from services.chassis.server import serve as serve_listeners
from services.chassis.site import Listener
from services.gateway import settings_rules as rules
from services.gateway import start_plan_passes
from services.gateway.admin import create_admin
from services.gateway.app import Gateway, create_gateway
from services.gateway.identity import uuid4_of
from services.gateway.leasing import Leasing, client_of, has_service
from services.gateway.reloading import Reloading, Source
from services.gateway.rescue import dialect_of_path
from services.gateway.routes.completion import PATHS
from services.gateway.routes.count_tokens import PATH as COUNT_TOKENS
from services.gateway.settings import GatewaySettings, LimitSettings
from services.gateway.translation.errors import error_body
from services.gateway.translation.own_faults import bad_request, draining
from services.gateway.watching import watching

_CODES: Final = {413: "request_too_large", 415: "unsupported_content_encoding", 431: "headers_too_large"}


def write_guard_error(raw_path: bytes, status: int, message: str) -> tuple[Headers, bytes]:
    """Write what the server's guard refuses in the dialect of the path, with an id like every other answer's."""
    dialect = dialect_of_path(raw_path.decode("latin-1"))
    fault = bad_request(message, code=_CODES.get(status), status=status)
    _, headers, body = error_body(dialect, fault, uuid4_of(int.from_bytes(os.urandom(16))))
    return headers, body


def guard_limits(limits: LimitSettings) -> GuardLimits:
    """Return what one client connection may cost."""
    return GuardLimits(
        connections=limits.connections,
        request_line=limits.request_line,
        headers=limits.headers,
        header_count=limits.header_count,
        header_seconds=limits.header_seconds,
        body=limits.body,
        other_body=limits.other_body,
        body_paths=frozenset(path.encode() for path in (*PATHS, COUNT_TOKENS)),
        body_seconds=limits.body_seconds,
        keep_alive=limits.keep_alive,
        write_stall=limits.write_stall,
    )


def listeners(
    settings: GatewaySettings,
    gateway: Gateway,
    *,
    leasing: Leasing | None = None,
    admin_host: str | None = None,
    pages: Sequence[ControllerRouterHandler] = (),
) -> tuple[Listener, Listener]:
    """Return the public and the admin listener of a gateway."""
    server = settings.server
    public = Listener(
        app=gateway.entry,
        direct=gateway.entry.direct(),
        host=rules.bind_host(settings),
        port=server.port,
        setting="server.port (ZCODE_PROXY_PORT, --port)",
        limits=guard_limits(settings.limits),
        error_writer=write_guard_error,
        forwarded_allow_ips=server.forwarded_allow_ips,
    )
    admin = Listener(
        app=create_admin(
            gateway.health,
            gateway.registry,
            freshen=gateway.ledger.flush,
            look=leasing.look if leasing is not None else lambda: None,
            more=pages,
        ),
        host=server.admin_host or admin_host or rules.bind_host(settings),
        port=server.admin_port,
        setting="server.adminPort (ZCODE_PROXY_ADMIN_PORT)",
        admin=True,
    )
    return public, admin


def end_streams(gateway: Gateway) -> None:
    """At the drain deadline: end what still streams with a proper last event."""
    gateway.keeper.end_all(draining(retry_after=1.0))


def serve(settings: GatewaySettings, source: Source | None = None) -> int:
    """Serve until told to stop, taking over changed keys of `source`; returns the exit code."""
    set_up(settings.logging.level, settings.logging.format)
    harden()
    return run(_serve(settings, source))


async def _serve(settings: GatewaySettings, source: Source | None) -> int:
    async with contextlib.AsyncExitStack() as stack:
        leasing, remake = None, None
        if has_service(settings):
            client = client_of(settings)
            stack.push_async_callback(client.aclose)
            await client.start()  # without an answer the gateway starts all the same, and is not ready
            leasing = Leasing(settings, client)
            remake = functools.partial(Leasing, client=client)
        captcha = None
        if start_plan_passes.has_service(settings):
            captcha = start_plan_passes.client_of(settings)
            stack.push_async_callback(captcha.aclose)
        registry = CollectorRegistry()
        reloading = Reloading(settings, registry, remake)
        if source is not None:
            tasks = await stack.enter_async_context(Tasks())
            _ = tasks.start(reloading.watch(source), name="configuration")
        return await serve_gateway(settings, leasing, captcha, registry=registry, reloading=reloading)


async def serve_gateway(
    settings: GatewaySettings,
    leasing: Leasing | None = None,
    captcha: CaptchaService | None = None,
    *,
    admin_host: str | None = None,
    registry: CollectorRegistry | None = None,
    reloading: Reloading | None = None,
    more: Sequence[Listener] = (),
    on_started: Callable[[Server], None] | None = None,
    on_drain: Callable[[], None] | None = None,
) -> int:
    """Serve until told to stop, with what the other services give, where there are any; returns the exit code."""
    registry = registry or CollectorRegistry()
    seen = instruments("gateway", registry, settings.telemetry.otlp_endpoint)
    with_them = functools.partial(create_gateway, settings, captcha=captcha, registry=registry, instruments=seen)
    parts: Reloading | Leasing | None = reloading or leasing
    gateway = with_them(
        leases=None if parts is None else parts.leases,
        keys=None if parts is None else parts.keys,
        health=None if leasing is None else leasing.health,
    )
    async with watching(settings, gateway, leasing, seen.close) as pages:
        return await serve_listeners(
            *listeners(settings, gateway, leasing=leasing, admin_host=admin_host, pages=pages),
            *more,
            drain_seconds=settings.limits.drain,
            health=gateway.health,
            on_started=on_started,
            on_drain=on_drain,
            on_deadline=lambda: end_streams(gateway),
            on_lag=gateway.vitals.note_lag,
        )
