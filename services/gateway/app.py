"""
Puts the gateway together: the only place that sees settings and parts at once. Nothing here runs per request.
"""

import functools
import platform
from collections.abc import Callable
from typing import Any, Final

import msgspec
from litestar import Litestar, Request, Response
from litestar.di import Provide
from litestar.exceptions import HTTPException
from prometheus_client import CollectorRegistry

from services.captcha.client import CaptchaService
from services.captcha.settings import page_address
from services.chassis.clock import Clock, SystemClock
from services.chassis.health import Health
from services.chassis.instruments import Instruments, version_of_this
from services.chassis.process import Tasks
from services.chassis.telemetry import Vitals, vitals
from services.chassis.text_file import read_text
from services.gateway import settings_rules as rules
from services.gateway.admission import Slots
from services.gateway.catalogue import Catalogue
from services.gateway.cors import Cors
from services.gateway.debugged import DebuggedRoute
from services.gateway.delivery import DeliverySettings
from services.gateway.dialect import Dialect
from services.gateway.entry import Entry, HotRoute
from services.gateway.errors import GatewayError
from services.gateway.event_stream import Keeper
from services.gateway.exchange import Exchange, ExchangeSettings
from services.gateway.format_memory import FormatMemory
from services.gateway.gate import Gate
from services.gateway.gate_metrics import export_gate
from services.gateway.guard import ClientKeys, LoopbackOnly, SingleKey
from services.gateway.identity import Platform, static_headers
from services.gateway.leases import ConfiguredLeases, Leases
from services.gateway.ledger import Ledger
from services.gateway.metrics import GatewayMetrics, Load, export_load
from services.gateway.observation import Observer
from services.gateway.request_log import write_lines
from services.gateway.rescue import dialect_of_path, fault_of_exception
from services.gateway.routes.completion import PATHS, CompletionEndpoint
from services.gateway.routes.count_tokens import PATH as COUNT_TOKENS
from services.gateway.routes.count_tokens import CountTokensEndpoint
from services.gateway.routes.health import health as health_route
from services.gateway.routes.models import list_models, show_model
from services.gateway.routing import Plan
from services.gateway.settings import GatewaySettings, LimitSettings
from services.gateway.start_plan import StartPlanExchange, StartPlanNeeds
from services.gateway.start_plan_passes import LeasedPasses, Passes, ServicePasses
from services.gateway.system_blocks import system_blocks
from services.gateway.traced import TracedObserver, TracedRoute
from services.gateway.translation.errors import error_body
from services.gateway.translation.fault import Fault
from services.gateway.translation.own_faults import bad_request, method_not_allowed, not_found_route
from services.gateway.translation.requests.limits import RequestLimits
from services.gateway.upstream.factory import make_transport
from services.gateway.upstream.transport import AnswerLimits, Timeouts, UpstreamTransport
from services.gateway.wire.formats import WireFormat

_DIALECTS_KEPT: Final = 1024

_AnyRequest = Request[Any, Any, Any]


class Gateway(msgspec.Struct, frozen=True, kw_only=True):
    """The assembled parts that a process needs to serve, watch and end the gateway."""

    entry: Entry
    health: Health
    registry: CollectorRegistry
    keeper: Keeper
    ledger: Ledger
    vitals: Vitals
    transport: UpstreamTransport
    tasks: Tasks
    slots: Slots


def create_gateway(
    settings: GatewaySettings,
    *,
    transport: UpstreamTransport | None = None,
    leases: Leases | None = None,
    keys: ClientKeys | None = None,
    captcha: CaptchaService | None = None,
    health: Health | None = None,
    registry: CollectorRegistry | None = None,
    instruments: Instruments | None = None,
    clock: Clock | None = None,
) -> Gateway:
    """Assemble the gateway; needs a running event loop. Parts that are not given are made from the settings."""
    clock = clock or SystemClock()
    limits = settings.limits
    catalogue = Catalogue(settings.models)
    tasks = Tasks()
    keeper = Keeper(min(1.0, limits.hold_headers, limits.ping))
    registry = registry or CollectorRegistry()
    seen = instruments or Instruments(vitals(registry, "gateway", version_of_this()), None)
    metrics = GatewayMetrics(registry, is_known_model=lambda name: catalogue.find(name) is not None)
    slots = Slots(limits.streams, limits.queue, limits.queue_seconds, waited=metrics.waited)
    ledger = Ledger(write_lines, *([metrics.take] if settings.telemetry.metrics else []))
    transport = transport or _transport(settings)
    leases = leases or ConfiguredLeases(rules.upstream_key(settings))
    exchange = _exchange(settings, catalogue, transport, leases, slots, keeper, tasks, captcha)
    hot = _traced_routes(settings, exchange, ledger, clock, seen)
    health = health or Health()
    entry = Entry(
        hot,
        _framework(catalogue, health, _closer(transport, tasks, ledger)),
        keys or _client_keys(settings),
        Cors(settings.server.cors_origins),
        tasks,
        allowed_hosts=settings.server.allowed_hosts,
    )
    _export_load(registry, limits.streams, exchange.gate, catalogue, keeper, transport)
    return Gateway(
        entry=entry,
        health=health,
        registry=registry,
        keeper=keeper,
        ledger=ledger,
        vitals=seen.vitals,
        transport=transport,
        tasks=tasks,
        slots=slots,
    )


def _exchange(
    settings: GatewaySettings,
    catalogue: Catalogue,
    transport: UpstreamTransport,
    leases: Leases,
    slots: Slots,
    keeper: Keeper,
    tasks: Tasks,
    captcha: CaptchaService | None,
) -> Exchange:
    """Return the use case of the configured plan; raises SystemBlocksUnusable."""
    own = _exchange_settings(settings, catalogue)
    if settings.plan is not Plan.START:
        return Exchange(own, transport, leases, slots, keeper)
    formats = FormatMemory()
    passes: Passes = LeasedPasses(leases)
    if captcha is not None:
        page, own_jwt = page_address(settings.captcha), rules.upstream_key(settings) is not None
        passes = ServicePasses(captcha, leases, tasks, formats, page=page, own_jwt=own_jwt)
    needs = StartPlanNeeds(
        system_blocks=system_blocks(settings.start_plan, read_text),
        retries=settings.captcha.retries,
        patience=settings.captcha.timeout_ms / 1000,
    )
    return StartPlanExchange(own, transport, leases, slots, keeper, needs=needs, passes=passes, formats=formats)


def _traced_routes(
    settings: GatewaySettings, exchange: Exchange, observer: Observer, clock: Clock, seen: Instruments
) -> dict[str, HotRoute]:
    """Return the data path, within spans where traces are wanted; without them a request knows nothing of any."""
    traces = seen.traces
    hot = _hot_routes(settings, exchange, observer if traces is None else TracedObserver(observer), clock)
    if settings.logging.level in ("trace", "debug"):
        hot = {path: DebuggedRoute(route) for path, route in hot.items()}
    if traces is None:
        return hot
    believes = settings.telemetry.accept_traceparent
    return {path: TracedRoute(route, traces, traces.sampler, believes=believes) for path, route in hot.items()}


def _hot_routes(settings: GatewaySettings, exchange: Exchange, observer: Observer, clock: Clock) -> dict[str, HotRoute]:
    """Return the data path by exact path."""
    limit = settings.limits.body
    hot: dict[str, HotRoute] = {
        path: CompletionEndpoint(
            client_format,
            exchange,
            observer,
            body_limit=limit,
            default_model=settings.default_model,
            clock=clock.monotonic,
        )
        for path, client_format in PATHS.items()
    }
    hot[COUNT_TOKENS] = CountTokensEndpoint(body_limit=limit)
    return hot


def _transport(settings: GatewaySettings) -> UpstreamTransport:
    upstream = settings.upstream
    hosts = {route.origin.host for route in rules.routes(settings).values()}
    proxies = {rules.proxy_for(upstream, host) for host in hosts}
    return make_transport(
        upstream.transport,
        proxy=next((proxy for proxy in proxies if proxy is not None), None),
        ca_file=upstream.ca_file,
        connections=settings.limits.upstream_connections,
    )


def _client_keys(settings: GatewaySettings) -> ClientKeys:
    key = settings.auth.proxy_api_key
    return SingleKey(key) if key else LoopbackOnly()


def _exchange_settings(settings: GatewaySettings, catalogue: Catalogue) -> ExchangeSettings:
    limits = settings.limits
    identity = settings.identity

    @functools.lru_cache(maxsize=_DIALECTS_KEPT)
    def dialect_of(upstream: WireFormat, model: str) -> Dialect:
        return rules.dialect(settings, upstream, model)

    @functools.lru_cache(maxsize=_DIALECTS_KEPT)
    def max_tokens_of(model: str) -> int:
        known = catalogue.find(model)
        return known.max_output if known is not None else 32_768

    return ExchangeSettings(
        routes=rules.routes(settings),
        upstream_format=rules.upstream_format(settings),
        dialect_of=dialect_of,
        max_tokens_of=max_tokens_of,
        request_limits=RequestLimits(json_depth=limits.json_depth, messages=limits.messages, tools=limits.tools),
        identity=static_headers(identity.app_version, identity.source_title, identity.referer_origin, this_platform()),
        stream_timeouts=_timeouts(limits, limits.total_stream),
        batch_timeouts=_timeouts(limits, limits.total_batch),
        stream_limits=AnswerLimits(body=limits.answer_stream),
        batch_limits=AnswerLimits(body=limits.answer_batch),
        retries=limits.retries,
        breaker=limits.breaker,
        delivery=DeliverySettings(
            event_limit=limits.event,
            body_limit=limits.answer_batch,
            hold=limits.hold_headers,
            ping=limits.ping,
            simulated=settings.simulated,
        ),
    )


def _timeouts(limits: LimitSettings, total: float) -> Timeouts:
    return Timeouts(
        pool=limits.pool_seconds,
        connect=limits.connect,
        first_byte=limits.first_byte,
        idle=limits.idle,
        total=total,
    )


def this_platform() -> Platform:
    """Describe this machine in Node's names."""
    system = platform.system().lower()
    machine = {"x86_64": "x64", "amd64": "x64", "aarch64": "arm64"}.get(
        platform.machine().lower(), platform.machine().lower()
    )
    name = {"windows": "win32"}.get(system, system)
    category = {"darwin": "macos"}.get(system, system)
    return Platform(f"{name}-{machine}", category, platform.release())


def _export_load(
    registry: CollectorRegistry,
    limit: int,
    gate: Gate,
    catalogue: Catalogue,
    keeper: Keeper,
    transport: UpstreamTransport,
) -> None:
    def connections(state: str) -> int:
        return int(getattr(transport.statistics(), state))

    load = Load(
        in_flight=lambda: gate.slots.running,
        waiting=lambda: gate.slots.waiting,
        slots=limit,
        streams=lambda: len(keeper),
        connections=connections,
    )
    export_load(registry, load)
    export_gate(registry, gate, lambda name: catalogue.find(name) is not None)


def _closer(transport: UpstreamTransport, tasks: Tasks, ledger: Ledger) -> Callable[[], Any]:
    async def close() -> None:
        await tasks.aclose()
        await transport.aclose()
        ledger.flush()

    return close


def _framework(catalogue: Catalogue, health: Health, close: Callable[[], Any]) -> Litestar:
    """Return the framework with everything that is not the data path."""
    return Litestar(
        [list_models, show_model, health_route],
        dependencies={
            "catalogue": Provide(lambda: catalogue, sync_to_thread=False),
            "process_health": Provide(lambda: health, sync_to_thread=False),
        },
        exception_handlers={Exception: _rescue},
        on_shutdown=[close],
        openapi_config=None,
        logging_config=None,
    )


def _rescue(request: _AnyRequest, error: Exception) -> Response[bytes]:
    """Write what the framework or a handler raised in the dialect of the path."""
    inbound = request.scope["state"]["inbound"]
    dialect = dialect_of_path(inbound.path, inbound.headers)
    fault = (
        _fault(request, error) if isinstance(error, HTTPException) else fault_of_exception(error, inbound.request_id)
    )
    status, headers, body = error_body(dialect, fault, inbound.request_id)
    extra = {"allow": "GET, HEAD, OPTIONS"} if status == 405 else {}  # all that the framework serves is read only
    return Response(
        body,
        status_code=status,
        media_type="application/json",
        headers={name.decode(): value.decode() for name, value in headers if name != b"content-type"} | extra,
    )


def _fault(request: _AnyRequest, error: HTTPException) -> Fault:
    path, method = request.scope["path"], request.scope["method"]
    if isinstance(error, GatewayError):
        return error.fault
    if error.status_code == 404:
        return not_found_route(path)
    if error.status_code == 405:
        return method_not_allowed(method, path, ("GET", "HEAD"))
    return bad_request(error.detail, status=error.status_code)
