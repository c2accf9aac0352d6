"""
The credentials service as a process of its own: keyring, store, vault, broker and two listeners, and an orderly end.

What can be wrong at the start is found before anything is written: a keyring that is missing or does not fit the store
ends the process with 78, a store that does not answer in time with 69. At the end the listeners go first, then a
refresh under way is waited for, then the store is closed.
"""

import asyncio
import contextlib
import logging
import os
import socket
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Final

import msgspec
from prometheus_client import CollectorRegistry

from services.chassis.certificates import Certificates
from services.chassis.health import Health, Needs
from services.chassis.instruments import instruments
from services.chassis.listening import CannotListen
from services.chassis.logs import set_up
from services.chassis.peer.guard import PeerGuard
from services.chassis.peer.issuer_keys import accounts_of
from services.chassis.peer.token_file import TokenFile, generate
from services.chassis.process import Tasks, harden, run
from services.chassis.server import Server
from services.chassis.server import serve as serve_listeners
from services.chassis.server_tls import CertificateUnusable, server_tls_of
from services.chassis.site import Listener
from services.credentials import replicas, vault_of
from services.credentials.admin import create_admin
from services.credentials.administration import StoreAdministration
from services.credentials.app import create_administration, create_app
from services.credentials.audit import FILE_NAME as AUDIT_NAME
from services.credentials.audit import Audit, log_name
from services.credentials.broker import Broker, BrokerSettings
from services.credentials.client_keys import ClientKeyBook
from services.credentials.commits import Several
from services.credentials.contract import AUDIENCE
from services.credentials.errors import Conflict, KeyringInvalid
from services.credentials.failpoints import Failpoints
from services.credentials.keyring_file import KeyringWatch
from services.credentials.master_run import MasterRun
from services.credentials.metrics import CredentialsMetrics, Standings
from services.credentials.refresh import Policy
from services.credentials.renewals import RenewalSettings
from services.credentials.settings import (
    CredentialsSettings,
    admin_token_path,
    directory,
    keyring_path,
    spool_path,
    token_path,
)
from services.credentials.stores.port import Store, StoreRefused, StoreUnavailable
from services.credentials.token_provider import TokenProvider
from services.credentials.vault import Trouble, Vault

_SETTINGS: Final = 64  # EX_USAGE of sysexits.h, which this program uses for faults in the settings
_CONFIGURATION: Final = 78  # EX_CONFIG of sysexits.h
_UNAVAILABLE: Final = 69  # EX_UNAVAILABLE
_PATIENCE: Final = 30.0  # seconds to wait for a store at the start
_PAUSE: Final = 0.5

_log = logging.getLogger(__name__)


class _Troubles:
    """Counts every record that does not open and writes it down, so that it is seen in both places (P-26)."""

    def __init__(self, metrics: CredentialsMetrics) -> None:
        self._metrics = metrics
        self.audit: Audit | None = None  # it is written by way of the vault that reports here

    def __call__(self, trouble: Trouble) -> None:
        self._metrics.unopened(trouble)
        if self.audit is not None:
            subject = f"{trouble.kind} {trouble.id}"
            self.audit.note("master.open_fail", subject, f"version {trouble.version}: {trouble.why.value}")


class Service(msgspec.Struct, frozen=True, kw_only=True):
    """The parts of a running service."""

    broker: Broker
    vault: Vault
    store: Store
    registry: CollectorRegistry
    health: Health
    audit: Audit
    tasks: Tasks  # that end with the service

    async def look(self) -> None:
        """Report what readiness rests on (promises.md C11)."""
        self.health.report("store", self.broker.store_answers)
        self.health.report("spool", await self.broker.spools())


@asynccontextmanager
async def running_service(
    settings: CredentialsSettings,
    providers: Mapping[str, TokenProvider],
    *,
    environ: Mapping[str, str] = os.environ,
    registry: CollectorRegistry | None = None,
) -> AsyncIterator[Service]:
    """
    Open store and vault and run a broker until the block ends; for a process of its own and for all in one.

    Raises KeyringInvalid, StoreRefused, StoreUnavailable.
    """
    home = directory(settings.store)
    vault_of.look_at_keyring(settings.store, settings.keyring)
    registry = registry or CollectorRegistry()
    metrics = CredentialsMetrics(registry)
    async with contextlib.AsyncExitStack() as stack:
        store = await _open(settings)
        stack.push_async_callback(store.aclose)
        troubles = _Troubles(metrics)
        watch = KeyringWatch(keyring_path(settings.store, settings.keyring))  # from before it is read
        vault = await vault_of.vault_over(store, settings.store, settings.keyring, report=troubles)
        audit = Audit(vault, home / AUDIT_NAME, name=log_name(settings.store.url))
        troubles.audit = audit
        keyring = vault.keyring
        with contextlib.suppress(Conflict):  # said by the task that follows the keyring
            await replicas.adopt(store, vault, keyring)
        broker = Broker(
            vault,
            store,
            spool_path(settings.store),
            providers,
            settings=_broker_settings(settings),
            client_keys=ClientKeyBook(vault, store).known,
            observer=Several(metrics, audit),
            failpoints=Failpoints.of(environ),
        )
        Standings(lambda: broker.records, registry)
        await broker.start()
        stack.push_async_callback(broker.aclose)
        tasks = await stack.enter_async_context(Tasks())
        reporter = replicas.Reporter(store, vault, f"{socket.gethostname()}.{os.getpid()}")
        following = replicas.follow(store, vault, watch, reporter, keyring=keyring, complain=_complain)
        _ = tasks.start(following, name="keyring")
        health = Health(Needs(groups=(("store", "spool"),), optional=("store",)))
        yield Service(
            broker=broker, vault=vault, store=store, registry=registry, health=health, audit=audit, tasks=tasks
        )
        with contextlib.suppress(StoreUnavailable):
            await reporter.leave()


def serve(
    settings: CredentialsSettings,
    providers: AbstractAsyncContextManager[Mapping[str, TokenProvider]],
    *,
    on_started: Callable[[Server], None] | None = None,
) -> int:
    """Serve until told to stop; returns the exit code."""
    set_up(settings.logging.level, settings.logging.format)
    harden()
    try:
        return run(_serve(settings, providers, on_started))
    except CertificateUnusable as error:
        sys.stderr.write(f"zcode-proxy: {error}\n")
        return _SETTINGS
    except (KeyringInvalid, StoreRefused) as error:
        sys.stderr.write(f"zcode-proxy: {error}\n")
        return _CONFIGURATION
    except (StoreUnavailable, CannotListen) as error:
        sys.stderr.write(f"zcode-proxy: {error}\n")
        return _UNAVAILABLE


async def _serve(
    settings: CredentialsSettings,
    providers: AbstractAsyncContextManager[Mapping[str, TokenProvider]],
    on_started: Callable[[Server], None] | None,
) -> int:
    async with contextlib.AsyncExitStack() as stack:
        registry = CollectorRegistry()
        seen = instruments("credentials", registry)
        stack.callback(seen.close)
        Certificates(_certificates(settings), registry)
        known = await stack.enter_async_context(providers)
        service = await stack.enter_async_context(running_service(settings, known, registry=registry))
        return await serve_listeners(
            *listeners(settings, service, traced=seen.traced),
            on_lag=seen.vitals.note_lag,
            drain_seconds=settings.credentials.drain,
            health=service.health,
            on_started=on_started,
            on_drain=service.broker.end_polls,
        )


def _certificates(settings: CredentialsSettings) -> dict[str, str | None]:
    tls = settings.credentials.tls
    return {
        "credentials.tls.certFile": tls.cert_file,
        "credentials.tls.clientCaFile": tls.client_ca_file,
        "store.caFile": settings.store.ca_file,
    }


def listeners(
    settings: CredentialsSettings,
    service: Service,
    more: Sequence[Listener] = (),
    *,
    traced: Callable[[Any], Any] = lambda app: app,
) -> tuple[Listener, ...]:
    """Return the listener for gateways and the admin listener."""
    listen = settings.credentials
    tokens = token_path(listen, settings.store)
    if listen.token_file is None:
        generate(tokens)
    tls = server_tls_of("credentials.tls", listen.tls)
    accounts = accounts_of(listen.service_accounts, AUDIENCE, service.tasks, service.registry)
    app = create_app(service.broker, tokens=TokenFile(tokens), store=service.store, accounts=accounts)
    gateways = Listener(
        app=traced(app), host=listen.host, port=listen.port, uds=listen.socket, tls=tls, setting="credentials.port"
    )
    admin = Listener(
        app=create_admin(
            service.health, service.registry, service.look, administration=_administration(settings, service)
        ),
        host=listen.admin_host or listen.host,
        port=listen.admin_port,
        setting="credentials.adminPort (ZCODE_CREDENTIALS_ADMIN_PORT)",
        admin=True,
        # Whoever probes and scrapes has no certificate to show; who administers has a token.
        tls=server_tls_of("credentials.tls", msgspec.structs.replace(listen.tls, client_ca_file=None))
        if listen.admin_tls
        else None,
    )
    return gateways, admin, *more


def _administration(settings: CredentialsSettings, service: Service) -> PeerGuard:
    """Return the admin API, whose tokens are not those of gateways."""
    listen = settings.credentials
    tokens = admin_token_path(listen, settings.store)
    if listen.admin_token_file is None:
        generate(tokens, mode=0o600)

    async def renewer() -> Broker:
        return service.broker

    office = StoreAdministration(
        service.vault,
        service.store,
        service.audit,
        actor="admin API",
        keyring=keyring_path(settings.store, settings.keyring),
        renewer=renewer,
    )
    master = MasterRun(office, service.tasks)
    return create_administration(office, master, tokens=TokenFile(tokens), store=service.store)


async def _open(settings: CredentialsSettings) -> Store:
    deadline = asyncio.get_running_loop().time() + _PATIENCE
    while True:
        try:
            return await vault_of.store_of(settings.store)
        except StoreRefused:
            raise
        except StoreUnavailable as error:
            if asyncio.get_running_loop().time() >= deadline:
                raise
            _log.warning("the store does not answer yet: %s", error)
            await asyncio.sleep(_PAUSE)


def _broker_settings(settings: CredentialsSettings) -> BrokerSettings:
    listen = settings.credentials
    policy = Policy(lease=listen.lease, provider=listen.provider_timeout)
    return BrokerSettings(
        renewal=RenewalSettings(policy=policy, modes=listen.refresh), shutdown=4 * listen.provider_timeout
    )


def _complain(fault: Exception) -> None:
    _log.warning("keyring: %s", fault)
