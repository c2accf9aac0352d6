"""
What runs beside the data path to see what goes on: usage by the hour, and what is left of the plan.

Started with the process, ended with it; none of it can hold up a request or keep the process from starting.
"""

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from litestar.types import ControllerRouterHandler
from prometheus_client import CollectorRegistry

from services.chassis.certificates import Certificates
from services.chassis.instruments import version_of_this
from services.chassis.redis.address import Login
from services.chassis.secret import Secret
from services.credentials.contract import Lease, Snapshot, State
from services.credentials.contract import Plan as LeasePlan
from services.gateway import settings_rules as rules
from services.gateway.app import Gateway, this_platform
from services.gateway.books.factory import open_books
from services.gateway.books.memory import MemoryBooks
from services.gateway.books.port import DAY, Books
from services.gateway.catalogue import Catalogue
from services.gateway.identity import static_headers
from services.gateway.leasing import Leasing, has_service
from services.gateway.quota import Board
from services.gateway.quota_poller import Account, QuotaClient, QuotaPoller
from services.gateway.routing import Plan, address
from services.gateway.settings import GatewaySettings
from services.gateway.status import Credential, Load, Sources, Status
from services.gateway.status_page import status_routes
from services.gateway.upstream.transport import UpstreamTransport
from services.gateway.usage_book import UsageBook
from services.gateway.usage_page import usage_routes

Snapshots = Callable[[], Snapshot]

_LEAST_DAYS: Final = 1


def books_of(settings: GatewaySettings) -> Books | None:
    """
    Return where this gateway writes, None where it must not or has no place: a demonstration, or a gateway apart from
    the credentials service whose configuration names no store.
    """
    if settings.simulated or (has_service(settings) and settings.store.url is None):
        return None
    days = max(_LEAST_DAYS, settings.telemetry.usage_days)
    store = settings.store
    login = Login(
        username=store.username,
        password=store.password,
        sentinel_username=store.sentinel_username,
        sentinel_password=store.sentinel_password,
    )
    return open_books(store.url, Path(store.dir), hours=days * DAY, login=login, ca_file=store.ca_file)


@asynccontextmanager
async def watching(
    settings: GatewaySettings,
    gateway: Gateway,
    leasing: Leasing | None = None,
    at_last: Callable[[], None] = lambda: None,
) -> AsyncIterator[tuple[ControllerRouterHandler, ...]]:
    """
    Watch until the block ends, then do what is `at_last`; gives the pages of the admin port that show it.

    Raises StoreRefused for a `store.url` that is none.
    """
    snapshots = None if leasing is None else lambda: leasing.snapshot
    async with contextlib.AsyncExitStack() as stack:
        stack.callback(at_last)
        Certificates(_certificates(settings), gateway.registry)
        kept = books_of(settings)
        books = kept or MemoryBooks()
        stack.push_async_callback(books.aclose)
        pages = usage_routes(None, _nothing)
        if kept is not None and settings.telemetry.usage_days > 0:
            usage = _usage(settings, gateway, books)
            stack.push_async_callback(usage.aclose)
            usage.start()
            pages = usage_routes(books, _written(gateway, usage))
        quota = None
        if settings.telemetry.quota_seconds > 0:
            quota = poller(settings, books, gateway.transport, gateway.registry, snapshots)
            stack.push_async_callback(quota.aclose)
            quota.start()
        yield (*status_routes(_status(settings, gateway, quota, leasing)), *pages)
        gateway.ledger.flush()


def _certificates(settings: GatewaySettings) -> dict[str, str | None]:
    return {
        "upstream.caFile": settings.upstream.ca_file,
        "credentials.caFile": settings.credentials.ca_file,
        "credentials.clientCertFile": settings.credentials.client_cert_file,
        "captcha.caFile": settings.captcha.ca_file,
        "captcha.clientCertFile": settings.captcha.client_cert_file,
        "store.caFile": settings.store.ca_file,
    }


def _usage(settings: GatewaySettings, gateway: Gateway, books: Books) -> UsageBook:
    catalogue = Catalogue(settings.models)
    usage = UsageBook(
        books,
        gateway.registry,
        is_known_model=lambda name: catalogue.find(name) is not None,
        hours=settings.telemetry.usage_days * DAY,
    )
    gateway.ledger.add(usage.take)
    return usage


async def _nothing() -> None:
    """Nothing is counted."""


def _written(gateway: Gateway, usage: UsageBook) -> Callable[[], Awaitable[bool]]:
    async def write() -> bool:
        gateway.ledger.flush()
        return await usage.write()

    return write


def _status(settings: GatewaySettings, gateway: Gateway, quota: QuotaPoller | None, leasing: Leasing | None) -> Status:
    def load() -> Load:
        if leasing is not None:
            leasing.look()
        return Load(
            phase=gateway.health.readiness().status,
            streams=len(gateway.keeper),
            in_flight=gateway.slots.running,
            waiting=gateway.slots.waiting,
            slots=settings.limits.streams,
        )

    sources = Sources(
        version=version_of_this(),
        simulated=settings.simulated,
        load=load,
        board=lambda: Board() if quota is None else quota.board,
        credentials=lambda: credentials(settings, () if leasing is None else leasing.snapshot.leases),
    )
    status = Status(sources)
    if settings.telemetry.metrics:
        gateway.ledger.add(status.take)
    return status


def credentials(settings: GatewaySettings, leases: Iterable[Lease]) -> tuple[Credential, ...]:
    """Return what the upstream is called with, by id and without what makes it worth stealing."""
    if rules.upstream_key(settings) is not None:
        plan = settings.plan.value
        return (Credential(id="config", provider=settings.provider, plan=plan, state=State.READY.value),)
    return tuple(
        Credential(
            id=lease.credential_id,
            provider=lease.provider,
            plan=lease.plan.value,
            state=lease.state.value,
            until=lease.usable_at,
        )
        for lease in leases
    )


def poller(
    settings: GatewaySettings,
    books: Books,
    transport: UpstreamTransport,
    registry: CollectorRegistry,
    snapshots: Snapshots | None,
) -> QuotaPoller:
    """Make the poller of a configuration."""
    identity, platform = settings.identity, this_platform()
    headers = static_headers(identity.app_version, identity.source_title, identity.referer_origin, platform)
    client = QuotaClient(transport, headers, app_version=identity.app_version, platform=platform.platform)
    return QuotaPoller(
        books, lambda: accounts(settings, snapshots), client, registry, every=settings.telemetry.quota_seconds
    )


def accounts(settings: GatewaySettings, snapshots: Snapshots | None) -> Sequence[Account]:
    """Return whose plans there are to ask for: the configuration's key, else every login that is not turned off."""
    key = rules.upstream_key(settings)
    if key is not None:
        return [_account(settings, settings.provider, settings.plan, "config", key)]
    if snapshots is None:
        return []
    return [
        _account(settings, lease.provider, Plan(lease.plan.value), lease.credential_id, Secret(lease.secret))
        for lease in snapshots().leases
        if lease.provider in settings.providers
        and lease.state in (State.READY, State.COOLING)
        and (lease.plan is LeasePlan.CODING or settings.plan is Plan.START)
    ]


def _account(settings: GatewaySettings, provider: str, plan: Plan, credential: str, secret: Secret) -> Account:
    base = settings.start_plan.base if plan is Plan.START else settings.providers[provider].openai_base
    origin, path = address(base, "")
    prefix = path if plan is Plan.START else b""
    return Account(provider=provider, plan=plan, credential=credential, secret=secret, origin=origin, prefix=prefix)
