"""
The public keys of who issues ServiceAccount tokens: fetched every five minutes, and once more for a key not seen yet.

A source that does not answer changes nothing: the last good keys are kept, so that services go on knowing each other
while the API server is away. Callers never wait for it, except with a key that is not known.
"""

import asyncio
import logging
import ssl
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import httpx2
import jwt
import msgspec
from prometheus_client import CollectorRegistry

from services.chassis.clock import Clock, SystemClock
from services.chassis.peer.service_accounts import KeysAway, ServiceAccounts, usable_keys
from services.chassis.peer.settings import ServiceAccountSettings
from services.chassis.process import Tasks
from services.chassis.telemetry import Family, Gauge
from services.chassis.text_file import read_text

READ: Final = Family(
    name="zcode_issuer_keys_read_timestamp_seconds",
    kind="gauge",
    help="When the keys that verify ServiceAccount tokens were last read, seconds since the epoch; "
    "until the first time, when that was begun.",
    unit="seconds",
)
FAMILIES: Final = (READ,)

EVERY: Final = 300.0  # seconds
AT_MOST: Final = 10.0  # seconds between two tries

_TIMEOUT: Final = 3.0  # seconds for one answer
_LARGEST: Final = 1024 * 1024  # bytes

_log = logging.getLogger(__name__)


class SourceAway(Exception):
    """The keys could not be had; the message says from where and why."""


class Issuer(msgspec.Struct, frozen=True):
    """Who issues tokens, and the keys with which they are verified."""

    name: str
    keys: Mapping[str, jwt.PyJWK]


Source = Callable[[], Awaitable[Issuer]]
"""Fetches. Raises SourceAway."""


class IssuerKeys:
    """The newest keys that could be had. `tasks` runs and ends what fetches them."""

    def __init__(self, source: Source, tasks: Tasks, *, clock: Clock | None = None) -> None:
        self._source = source
        self._tasks = tasks
        self._clock: Clock = clock or SystemClock()
        self._issuer: Issuer | None = None
        self.read_at = self._clock.now()
        self._tried = float("-inf")  # monotonic
        self._fault = ""
        self._fetching: asyncio.Task[None] | None = None

    async def follow(self) -> None:
        """Keep the keys new, for ever."""
        while True:
            await self._fetch()
            await asyncio.sleep(AT_MOST if self._fault else EVERY)

    async def find(self, kid: str) -> tuple[str, jwt.PyJWK] | None:
        """Return the issuer's name and its key of this id, None where it has no such key. Raises KeysAway."""
        if self._known(kid) is None and (self._fetching or self._clock.monotonic() - self._tried >= AT_MOST):
            await self._fetch()
        found = self._known(kid)
        if found is None and self._fault:
            raise KeysAway("the issuer's keys cannot be had now, and this one is not known")
        return found

    def _known(self, kid: str) -> tuple[str, jwt.PyJWK] | None:
        issuer = self._issuer
        return None if issuer is None or kid not in issuer.keys else (issuer.name, issuer.keys[kid])

    async def _fetch(self) -> None:
        """Fetch once, however many wait for it; one who goes away does not end it."""
        if self._fetching is None:
            self._tried = self._clock.monotonic()
            self._fetching = self._tasks.start(self._renew(), name="issuer keys")
        await asyncio.shield(self._fetching)

    async def _renew(self) -> None:
        try:
            self._issuer = await self._source()
        except SourceAway as error:
            if str(error) != self._fault:
                _log.warning("keys of ServiceAccount tokens: %s", error)
            self._fault = str(error)
        else:
            self.read_at = self._clock.now()
            if self._fault:
                _log.info("keys of ServiceAccount tokens: they can be had again")
            self._fault = ""
        finally:
            self._fetching = None


def source_of(settings: ServiceAccountSettings) -> Source:
    """Return where the settings say that the keys are."""
    if settings.jwks is None:
        return lambda: _from_api_server(settings)
    if settings.jwks.startswith("https://"):
        return lambda: _from_address(settings)
    return lambda: _from_file(settings)


def accounts_of(
    settings: ServiceAccountSettings, audience: str, tasks: Tasks, registry: CollectorRegistry | None = None
) -> ServiceAccounts | None:
    """Return what verifies the tokens of the accounts that may call, None where there are none. On a running loop."""
    if not settings.allow:
        return None
    keys = IssuerKeys(source_of(settings), tasks)
    if registry is not None:
        Gauge(READ, registry, lambda: keys.read_at)
    _ = tasks.start(keys.follow(), name="issuer keys")
    return ServiceAccounts(keys, audience=audience, allow=settings.allow)


async def _from_api_server(settings: ServiceAccountSettings) -> Issuer:
    origin = settings.api_server.rstrip("/")
    try:
        headers = {"authorization": f"Bearer {read_text(settings.token_file).strip()}"}
    except (OSError, UnicodeDecodeError) as error:
        raise SourceAway(f"the pod's own token {settings.token_file} cannot be read: {error}") from None
    issuer = settings.issuer
    if issuer is None:
        found = await _get(f"{origin}/.well-known/openid-configuration", settings.ca_file, headers)
        issuer = found.get("issuer")
        if not isinstance(issuer, str) or not issuer:
            raise SourceAway(f"{origin} does not say who issues its tokens")
    address = f"{origin}/openid/v1/jwks"
    return _issuer(issuer, await _get(address, settings.ca_file, headers), address)


async def _from_address(settings: ServiceAccountSettings) -> Issuer:
    # The pod's own authority is that of the API server, and no other server has a certificate of it.
    ca_file = None if settings.ca_file == ServiceAccountSettings().ca_file else settings.ca_file
    address = settings.jwks or ""
    return _issuer(settings.issuer or "", await _get(address, ca_file, {}), address)


async def _from_file(settings: ServiceAccountSettings) -> Issuer:
    name = settings.jwks or ""
    try:
        document = msgspec.json.decode(read_text(name), type=dict[str, Any])
    except (OSError, UnicodeDecodeError, msgspec.MsgspecError) as error:
        raise SourceAway(f"{name} cannot be read: {error}") from None
    return _issuer(settings.issuer or "", document, name)


def _issuer(name: str, document: Mapping[str, Any], place: str) -> Issuer:
    try:
        return Issuer(name, usable_keys(document))
    except ValueError as error:
        raise SourceAway(f"{place} holds {error}") from None


async def _get(address: str, ca_file: str | None, headers: Mapping[str, str]) -> dict[str, Any]:
    """Get a JSON object; with a new connection each time, because token and authority are renewed meanwhile."""
    try:
        context = True if ca_file is None else ssl.create_default_context(cafile=ca_file)
        async with (
            asyncio.timeout(_TIMEOUT),
            httpx2.AsyncClient(verify=context, trust_env=False) as http,
            http.stream("GET", address, headers=dict(headers)) as answer,
        ):
            body = await _body(answer, address)
        return msgspec.json.decode(body, type=dict[str, Any])
    except (httpx2.HTTPError, httpx2.InvalidURL, TimeoutError, OSError) as error:
        raise SourceAway(f"{address} does not answer ({type(error).__name__})") from None
    except msgspec.MsgspecError:
        raise SourceAway(f"{address} does not answer with a JSON object") from None


async def _body(answer: httpx2.Response, address: str) -> bytes:
    if answer.status_code != 200:
        raise SourceAway(f"{address} answers with status {answer.status_code}")
    body = b""
    async for piece in answer.aiter_bytes():
        body += piece
        if len(body) > _LARGEST:
            raise SourceAway(f"{address} answers with more than {_LARGEST} bytes")
    return body
