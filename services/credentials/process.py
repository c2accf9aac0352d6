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
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import msgspec
from prometheus_client import CollectorRegistry

from services.chassis.health import Health, Needs
from services.chassis.listening import CannotListen
from services.chassis.logs import set_up
from services.chassis.peer.token_file import TokenFile, generate
from services.chassis.process import Tasks, harden, run
from services.chassis.server import Server
from services.chassis.server import serve as serve_listeners
from services.chassis.site import Listener
from services.credentials import keyring_file, replicas
from services.credentials.admin import create_admin
from services.credentials.app import create_app
from services.credentials.audit import FILE_NAME as AUDIT_NAME
from services.credentials.audit import Audit, log_name
from services.credentials.broker import Broker, BrokerSettings
from services.credentials.client_keys import ClientKeyBook
from services.credentials.commits import Several
from services.credentials.errors import KeyringInvalid
from services.credentials.failpoints import Failpoints
from services.credentials.keyring import Keyring
from services.credentials.keyring_file import KeyringWatch
from services.credentials.leases import KnownKeys
from services.credentials.metrics import CredentialsMetrics, Standings
from services.credentials.refresh import Policy
from services.credentials.renewals import RenewalSettings
from services.credentials.settings import CredentialsSettings
from services.credentials.stores.factory import open_store
from services.credentials.stores.port import Store, StoreRefused, StoreUnavailable
from services.credentials.token_provider import TokenProvider
from services.credentials.vault import Vault

KEYRING_NAME: Final = "keyring.json"
SPOOL_NAME: Final = "spool"
TOKEN_NAME: Final = "credentials.token"  # noqa: S105 -- a file's name

_CONFIGURATION: Final = 78  # EX_CONFIG of sysexits.h
_UNAVAILABLE: Final = 69  # EX_UNAVAILABLE
_PATIENCE: Final = 30.0  # seconds to wait for a store at the start
_PAUSE: Final = 0.5

_log = logging.getLogger(__name__)

MakeKeys = Callable[[Vault, Store], Callable[[], Awaitable[KnownKeys]]]


class Service(msgspec.Struct, frozen=True, kw_only=True):
    """The parts of a running service."""

    broker: Broker
    vault: Vault
    store: Store
    registry: CollectorRegistry
    health: Health

    async def look(self) -> None:
        """Report what readiness rests on (promises.md C11)."""
        self.health.report("store", self.broker.store_answers)
        self.health.report("spool", await self.broker.ready())


@asynccontextmanager
async def running_service(
    settings: CredentialsSettings,
    providers: Mapping[str, TokenProvider],
    *,
    client_keys: MakeKeys = lambda vault, store: ClientKeyBook(vault, store).known,
    environ: Mapping[str, str] = os.environ,
) -> AsyncIterator[Service]:
    """
    Open store and vault and run a broker until the block ends; for a process of its own and for all in one.

    Raises KeyringInvalid, StoreRefused, StoreUnavailable.
    """
    directory = _directory(settings)
    keyring_path, keyring = _keyring(settings, directory)
    registry = CollectorRegistry()
    metrics = CredentialsMetrics(registry)
    async with contextlib.AsyncExitStack() as stack:
        store = await _open(settings, directory)
        stack.push_async_callback(store.aclose)
        vault = Vault(store, keyring, report=metrics.unopened)
        # On the laptop the keyring was made for this very store; elsewhere `init` says so once (promises.md C1.3).
        await vault.unlock(initialise=settings.keyring.file is None)
        audit = Audit(vault, directory / AUDIT_NAME, name=log_name(settings.store.url))
        broker = Broker(
            vault,
            store,
            directory / SPOOL_NAME,
            providers,
            settings=_broker_settings(settings),
            client_keys=client_keys(vault, store),
            observer=Several(metrics, audit),
            failpoints=Failpoints.of(environ),
        )
        Standings(lambda: broker.records, registry)
        await broker.start()
        stack.push_async_callback(broker.aclose)
        tasks = await stack.enter_async_context(Tasks())
        reporter = replicas.Reporter(store, vault, f"{socket.gethostname()}.{os.getpid()}")
        watch = KeyringWatch(keyring_path)
        _ = tasks.start(replicas.follow(vault, watch, reporter, complain=_complain), name="keyring")
        health = Health(Needs(groups=(("store", "spool"),), optional=("store",)))
        yield Service(broker=broker, vault=vault, store=store, registry=registry, health=health)
        with contextlib.suppress(StoreUnavailable):
            await reporter.leave()


def serve(
    settings: CredentialsSettings,
    providers: Mapping[str, TokenProvider],
    *,
    client_keys: MakeKeys = lambda vault, store: ClientKeyBook(vault, store).known,
    on_started: Callable[[Server], None] | None = None,
) -> int:
    """Serve until told to stop; returns the exit code."""
    set_up(settings.logging.level, settings.logging.format)
    harden()
    try:
        return run(_serve(settings, providers, client_keys, on_started))
    except (KeyringInvalid, StoreRefused) as error:
        sys.stderr.write(f"zcode-proxy: {error}\n")
        return _CONFIGURATION
    except (StoreUnavailable, CannotListen) as error:
        sys.stderr.write(f"zcode-proxy: {error}\n")
        return _UNAVAILABLE


async def _serve(
    settings: CredentialsSettings,
    providers: Mapping[str, TokenProvider],
    client_keys: MakeKeys,
    on_started: Callable[[Server], None] | None,
) -> int:
    async with running_service(settings, providers, client_keys=client_keys) as service:
        return await serve_listeners(
            *listeners(settings, service),
            drain_seconds=settings.credentials.drain,
            health=service.health,
            on_started=on_started,
            on_drain=service.broker.end_polls,
        )


def listeners(settings: CredentialsSettings, service: Service, more: Sequence[Listener] = ()) -> tuple[Listener, ...]:
    """Return the listener for gateways and the admin listener."""
    listen = settings.credentials
    app = create_app(service.broker, tokens=TokenFile(token_path(settings)), store=service.store)
    gateways = Listener(app=app, host=listen.host, port=listen.port, uds=listen.socket)
    admin = Listener(
        app=create_admin(service.health, service.registry, service.look),
        host=listen.admin_host or listen.host,
        port=listen.admin_port,
        admin=True,
    )
    return gateways, admin, *more


def token_path(settings: CredentialsSettings) -> Path:
    """Return the token file; for a socket of our own, one beside it is made when none is named."""
    listen = settings.credentials
    if listen.token_file is not None:
        return Path(listen.token_file)
    directory = Path(listen.socket).parent if listen.socket is not None else _directory(settings)
    generate(directory / TOKEN_NAME)
    return directory / TOKEN_NAME


def _directory(settings: CredentialsSettings) -> Path:
    return Path(settings.store.dir).expanduser()


def _keyring(settings: CredentialsSettings, directory: Path) -> tuple[Path, Keyring]:
    if settings.keyring.file is not None:
        path = Path(settings.keyring.file)
        return path, keyring_file.load(path)
    path = directory / KEYRING_NAME
    return path, keyring_file.load_or_generate(path)


async def _open(settings: CredentialsSettings, directory: Path) -> Store:
    deadline = asyncio.get_running_loop().time() + _PATIENCE
    while True:
        try:
            return await open_store(settings.store.url, directory)
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
