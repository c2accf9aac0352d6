"""
The service put together from its parts, for a process of its own and for all in one.

The bank is Redis where `store.url` names one, else memory: what is banked lives a minute, so a restart loses little.
"""

import contextlib
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import msgspec
from prometheus_client import CollectorRegistry

from services.captcha.accounts import Accounts, Leases
from services.captcha.app import Headed, create_page
from services.captcha.banks.memory import MemoryBank
from services.captcha.banks.port import Bank
from services.captcha.fetching import Fetcher
from services.captcha.issuer import Issuer
from services.captcha.keys import Keys
from services.captcha.metrics import CaptchaMetrics, Standings
from services.captcha.page.gate import Gate
from services.captcha.page.headers import widget_hosts
from services.captcha.page.view import View
from services.captcha.passes import Passes
from services.captcha.provider_config import ProviderConfigs, Scene
from services.captcha.routes.page import Page, PageSettings
from services.captcha.settings import CaptchaSettings, WidgetSettings, key_path, page_address
from services.chassis.clock import Clock, SystemClock
from services.chassis.peer.token_file import TokenFile, generate
from services.chassis.redis.address import Login, RedisAddress, parse
from services.chassis.secret import Secret
from services.chassis.storage import StoreRefused
from services.credentials.settings import StoreSettings, directory

_SHARED: Final = ("redis", "rediss")  # what a scheme of a shared store begins with


class ServiceSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Everything the service is told at start; `captcha_setup` makes it of the family's settings."""

    captcha: CaptchaSettings
    store: StoreSettings
    provider: str
    configs_url: str
    jwt: Secret | None = None
    app_version: str = ""
    ca_file: str | None = None
    proxy: str | None = None


class Service(msgspec.Struct, frozen=True, kw_only=True):
    """The parts of a running service."""

    issuer: Issuer
    bank: Bank
    view: View
    page: Headed
    registry: CollectorRegistry

    def end_waits(self) -> None:
        """Let waiting requests and open pages go: the process is about to end."""
        self.issuer.end_waits()
        self.view.end_states()


@asynccontextmanager
async def running_service(
    settings: ServiceSettings,
    leases: Leases | None,
    *,
    clock: Clock | None = None,
    registry: CollectorRegistry | None = None,
) -> AsyncIterator[Service]:
    """
    Run the service until the block ends; `leases` is absent where nobody can log in.

    Raises TokenFileInvalid for a bad key file, StoreRefused for a bad `store.url`, OSError for a bad CA file.
    """
    clock = clock or SystemClock()
    captcha = settings.captcha
    async with contextlib.AsyncExitStack() as stack:
        keys = open_keys(captcha, settings.store)
        bank = _bank(settings, keys, clock)
        stack.push_async_callback(bank.aclose)
        fetcher = Fetcher(user_agent=f"ZCode/{settings.app_version}", ca_file=settings.ca_file, proxy=settings.proxy)
        stack.push_async_callback(fetcher.aclose)
        configs = ProviderConfigs(
            settings.configs_url,
            fetcher.fetch,
            app_version=settings.app_version,
            fallback=_scene(captcha.widget),
            clock=clock,
        )
        stack.push_async_callback(configs.aclose)
        registry = registry or CollectorRegistry()
        metrics = CaptchaMetrics(registry)
        accounts = Accounts(provider=settings.provider, jwt=settings.jwt, leases=leases, now=clock.now)
        standings = Standings(configs, registry, clock)
        view = View(accounts, configs, bank, standings, clock)
        issuer = Issuer(
            accounts,
            configs,
            bank,
            page=page_address(captcha),
            observer=metrics,
            on_standing=standings.learn,
            clock=clock,
        )
        page = create_page(_page(captcha, keys, bank, view, metrics, clock), origin=captcha.origin)
        yield Service(issuer=issuer, bank=bank, view=view, page=page, registry=registry)
        view.end_states()


def open_keys(captcha: CaptchaSettings, store: StoreSettings) -> Keys:
    """Open the key file; where none is named, the one in store.dir is made. Raises TokenFileInvalid."""
    path = key_path(captcha, directory(store))
    if captcha.key_file is None:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        generate(path, mode=0o600)
    keys = Keys(TokenFile(path))
    keys.check()
    return keys


def one_time_link(captcha: CaptchaSettings, store: StoreSettings, provider: str, clock: Clock | None = None) -> str:
    """Return an address that signs one browser in. Raises TokenFileInvalid, ValueError."""
    passes = Passes(open_keys(captcha, store), _random)
    code = passes.link(provider, (clock or SystemClock()).now())
    # Behind the sign, a code reaches no server's log and no other page.
    return f"{page_address(captcha)}#{code}"


def _bank(settings: ServiceSettings, keys: Keys, clock: Clock) -> Bank:
    captcha, store = settings.captcha, settings.store
    if store.url is None or not store.url.startswith(_SHARED):
        return MemoryBank(capacity=captcha.bank, queue=captcha.queue, clock=clock)
    from services.captcha.banks.redis import RedisBank  # noqa: PLC0415 -- its library is heavy, and a laptop has none

    return RedisBank(_address(store), keys, capacity=captcha.bank, queue=captcha.queue)


def _address(store: StoreSettings) -> RedisAddress:
    login = Login(
        username=store.username,
        password=store.password,
        sentinel_username=store.sentinel_username,
        sentinel_password=store.sentinel_password,
    )
    try:
        address = parse(store.url or "", login)
    except ValueError as error:
        raise StoreRefused(f"store.url {error}") from None
    if store.ca_file is None or address.tls is None:
        return address
    return msgspec.structs.replace(
        address, tls=msgspec.structs.replace(address.tls, ca=address.tls.ca or store.ca_file)
    )


def _scene(widget: WidgetSettings) -> Scene | None:
    if widget.scene_id is None:
        return None
    return Scene(region=widget.region or "", prefix=widget.prefix or "", scene_id=widget.scene_id)


def _page(captcha: CaptchaSettings, keys: Keys, bank: Bank, view: View, metrics: CaptchaMetrics, clock: Clock) -> Page:
    return Page(
        settings=PageSettings(
            hosts=widget_hosts(captcha.hosts, captcha.sdk_url),
            allow_eval=captcha.allow_eval,
            sdk_url=captcha.sdk_url,
            sdk_load_ms=captcha.sdk_load_ms,
            region=captcha.widget.region or "",
        ),
        gate=Gate(Passes(keys, _random), bank, origin=captcha.origin, session_life=captcha.session, clock=clock),
        view=view,
        bank=bank,
        metrics=metrics,
    )


def _random() -> str:
    return secrets.token_urlsafe(16)
