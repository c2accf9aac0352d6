"""
The captcha service as a process of its own: the page and the contract on one port, or the contract on a socket.

At the end nobody waits any longer: waiting requests are told that a captcha is required, open pages are let go.
"""

import contextlib
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Final

from services.captcha.admin import create_admin
from services.captcha.app import Paths, create_peers
from services.captcha.service import Service, ServiceSettings, running_service
from services.captcha.settings import token_path
from services.chassis.health import Health
from services.chassis.instruments import instruments
from services.chassis.listening import CannotListen
from services.chassis.logs import set_up
from services.chassis.peer.token_file import TokenFile, TokenFileInvalid, generate
from services.chassis.process import harden, run
from services.chassis.server import Server
from services.chassis.server import serve as serve_listeners
from services.chassis.site import Listener
from services.chassis.storage import StoreRefused, StoreUnavailable
from services.credentials.client import connect
from services.credentials.settings import ListenSettings, directory, peer_token_path

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
    async with running_alone(settings, credentials) as service:
        seen = instruments("captcha", service.registry)
        with contextlib.closing(seen):
            return await serve_listeners(
                *listeners(settings, service, health := Health(), traced=seen.traced),
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
            ca_file = None if credentials.ca_file is None else Path(credentials.ca_file)
            client = connect(
                credentials.address, token_file=peer_token_path(credentials), ca_file=ca_file, keep=credentials.keep
            )
            stack.push_async_callback(client.aclose)
            await client.start()  # without an answer the page is served all the same
        yield await stack.enter_async_context(running_service(settings, client))


def listeners(
    settings: ServiceSettings, service: Service, health: Health, *, traced: Callable[[Any], Any] = lambda app: app
) -> tuple[Listener, ...]:
    """Return the listeners: the page's, the gateways' where it is another one, and the admin's."""
    captcha = settings.captcha
    admin = Listener(
        app=create_admin(health, service.registry),
        host=captcha.admin_host or captcha.host,
        port=captcha.admin_port,
        admin=True,
    )
    return *public_listeners(settings, service, traced=traced), admin


def public_listeners(
    settings: ServiceSettings, service: Service, *, traced: Callable[[Any], Any] = lambda app: app
) -> tuple[Listener, ...]:
    """Return the page's listener, and the one for gateways and commands where that is another one."""
    captcha = settings.captcha
    tokens = token_path(captcha, directory(settings.store))
    if captcha.token_file is None:
        generate(tokens)
    peers = traced(create_peers(service.issuer, service.bank, service.view, tokens=TokenFile(tokens)))
    if captcha.socket is None:
        return (Listener(app=Paths(peers, service.page), host=captcha.host, port=captcha.port),)
    page = Listener(app=service.page, host=captcha.host, port=captcha.port)
    return page, Listener(app=peers, uds=captcha.socket)
