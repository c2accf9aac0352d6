"""
The captcha service as a process of its own: the page and the contract on one port, or the contract on a socket.

At the end nobody waits any longer: waiting requests are told that a captcha is required, open pages are let go.
"""

import contextlib
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Final

from services.captcha.admin import create_admin
from services.captcha.app import Paths, create_peers
from services.captcha.client import AUDIENCE
from services.captcha.service import Service, ServiceSettings, running_service
from services.captcha.settings import token_path
from services.chassis.certificates import Certificates
from services.chassis.health import Health
from services.chassis.instruments import instruments
from services.chassis.listening import CannotListen
from services.chassis.logs import set_up
from services.chassis.peer.issuer_keys import accounts_of
from services.chassis.peer.service_accounts import ServiceAccounts
from services.chassis.peer.token_file import TokenFile, TokenFileInvalid, generate
from services.chassis.process import Tasks, harden, run
from services.chassis.server import Server
from services.chassis.server import serve as serve_listeners
from services.chassis.server_tls import CertificateUnusable, server_tls_of
from services.chassis.site import Listener
from services.chassis.storage import StoreRefused, StoreUnavailable
from services.chassis.trust import CaFileUnusable
from services.credentials.client import connected
from services.credentials.settings import ListenSettings, directory

_USAGE: Final = 64  # EX_USAGE of sysexits.h, which this program uses for faults in the settings
_CONFIGURATION: Final = 78  # EX_CONFIG
_UNAVAILABLE: Final = 69  # EX_UNAVAILABLE


def serve(
    settings: ServiceSettings,
    credentials: ListenSettings,
    *,
    level: str = "info",
    log_format: str = "auto",
    on_started: Callable[[Server], None] | None = None,
) -> int:
    """Serve until told to stop; returns the exit code."""
    set_up(level, log_format)
    harden()
    try:
        return run(_serve(settings, credentials, on_started))
    except (CaFileUnusable, CertificateUnusable) as error:
        return _failed(error, _USAGE)
    except (StoreRefused, TokenFileInvalid) as error:
        return _failed(error, _CONFIGURATION)
    except (StoreUnavailable, CannotListen) as error:
        return _failed(error, _UNAVAILABLE)
    except OSError as error:
        return _failed(f"a file of authorities (caFile) cannot be used: {error.strerror or error}", _USAGE)


def _failed(why: object, code: int) -> int:
    sys.stderr.write(f"zcode-proxy: {why}\n")
    return code


async def _serve(
    settings: ServiceSettings, credentials: ListenSettings, on_started: Callable[[Server], None] | None
) -> int:
    async with running_alone(settings, credentials) as service, Tasks() as tasks:
        seen = instruments("captcha", service.registry)
        Certificates(_certificates(settings, credentials), service.registry)
        accounts = accounts_of(settings.captcha.service_accounts, AUDIENCE, tasks, service.registry)
        with contextlib.closing(seen):
            return await serve_listeners(
                *listeners(settings, service, health := Health(), accounts=accounts, traced=seen.traced),
                health=health,
                on_lag=seen.vitals.note_lag,
                drain_seconds=settings.captcha.drain,
                on_started=on_started,
                on_drain=service.end_waits,
            )


@asynccontextmanager
async def running_alone(settings: ServiceSettings, credentials: ListenSettings) -> AsyncIterator[Service]:
    """Run the service with a credentials service that is elsewhere, if one is named."""
    async with AsyncExitStack() as stack:
        client = None
        if credentials.address != "app:":
            client = connected(credentials)
            stack.push_async_callback(client.aclose)
            await client.start()  # without an answer the page is served all the same
        yield await stack.enter_async_context(running_service(settings, client))


def _certificates(settings: ServiceSettings, credentials: ListenSettings) -> dict[str, str | None]:
    return {
        "captcha.tls.certFile": settings.captcha.tls.cert_file,
        "credentials.caFile": credentials.ca_file,
        "credentials.clientCertFile": credentials.client_cert_file,
        "store.caFile": settings.store.ca_file,
    }


def listeners(
    settings: ServiceSettings,
    service: Service,
    health: Health,
    *,
    accounts: ServiceAccounts | None = None,
    traced: Callable[[Any], Any] = lambda app: app,
) -> tuple[Listener, ...]:
    """Return the listeners: the page's, the gateways' where it is another one, and the admin's."""
    captcha = settings.captcha
    admin = Listener(
        app=create_admin(health, service.registry),
        host=captcha.admin_host or captcha.host,
        port=captcha.admin_port,
        setting="captcha.adminPort (ZCODE_CAPTCHA_ADMIN_PORT)",
        admin=True,
    )
    return *public_listeners(settings, service, accounts=accounts, traced=traced), admin


def public_listeners(
    settings: ServiceSettings,
    service: Service,
    *,
    accounts: ServiceAccounts | None = None,
    traced: Callable[[Any], Any] = lambda app: app,
) -> tuple[Listener, ...]:
    """Return the page's listener, and the one for gateways and commands where that is another one."""
    captcha = settings.captcha
    tokens = token_path(captcha, directory(settings.store))
    if captcha.token_file is None:
        generate(tokens)
    peers = traced(
        create_peers(service.issuer, service.bank, service.view, tokens=TokenFile(tokens), accounts=accounts)
    )
    if captcha.socket is None and captcha.peer_port is None:
        return (Listener(app=Paths(peers, service.page), host=captcha.host, port=captcha.port, setting="captcha.port"),)
    page = Listener(app=service.page, host=captcha.host, port=captcha.port, setting="captcha.port")
    if captcha.socket is not None:
        return page, Listener(app=peers, uds=captcha.socket)
    tls = server_tls_of("captcha.tls", captcha.tls)
    return page, Listener(
        app=peers, host=captcha.host, port=captcha.peer_port or 0, tls=tls, setting="captcha.peerPort"
    )
