"""
What the provider says of its captcha: whether it wants tokens, and how its widget is set up (upstream.md 5).

    asked                          then
    less than FRESH s ago          the answer of then, also when it was a failure
    longer ago                     asked again, once for all who want to know
    and it does not answer         what it said last, else what the settings say, else unknown

Nothing here raises: an unknown configuration means that requests go without a token until they are challenged.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final
from urllib.parse import urlencode

import msgspec

from services.chassis.clock import Clock, SystemClock
from services.chassis.process import Tasks

FRESH: Final = 60.0  # seconds
RETRY: Final = 10.0  # seconds until a failure is tried again
_WRONG_VERSION: Final = "3001"  # the provider does not know our version

Fetch = Callable[[str], Awaitable[bytes | None]]
"""(address) -> the body of a 200, None for anything else. Never raises."""

_log = logging.getLogger(__name__)


class Scene(msgspec.Struct, frozen=True, kw_only=True):
    """How the widget is set up; never made up here."""

    region: str
    prefix: str
    scene_id: str


class ProviderConfig(msgspec.Struct, frozen=True, kw_only=True):
    """What is known."""

    asks: bool  # the provider wants tokens with requests
    scene: Scene | None
    source: str  # provider | last | settings | nothing; for the page and the metrics


class _Captcha(msgspec.Struct, rename="camel"):
    enabled: bool = False
    prefix: str = ""
    region: str = ""
    scene_id: str = ""
    skip_model_request: bool = msgspec.field(default=False, name="skip_model_request")


class _Configs(msgspec.Struct):
    captcha: _Captcha | None = None


class _Data(msgspec.Struct):
    configs: _Configs | None = None


class _Envelope(msgspec.Struct):
    code: int | str = 0
    data: _Data | None = None


class ProviderConfigs:
    """The newest configuration. One per process."""

    def __init__(
        self, url: str, fetch: Fetch, *, app_version: str, fallback: Scene | None = None, clock: Clock | None = None
    ) -> None:
        self._url = url
        self._fetch = fetch
        self._app_version = app_version
        self._clock: Clock = clock or SystemClock()
        source = "nothing" if fallback is None else "settings"
        self._known = ProviderConfig(asks=False, scene=fallback, source=source)
        self._until = float("-inf")  # monotonic
        self._asking: asyncio.Task[None] | None = None
        self._tasks = Tasks()

    @property
    def known(self) -> ProviderConfig:
        """What is known without asking."""
        return self._known

    async def current(self) -> ProviderConfig:
        """Return the configuration, asking for it where it is old."""
        if self._clock.monotonic() >= self._until:
            if self._asking is None or self._asking.done():
                self._asking = self._tasks.start(self._ask(), name="captcha configuration")
            # Whoever goes away must not take the answer of the others along.
            await asyncio.shield(self._asking)
        return self._known

    async def aclose(self) -> None:
        """Give up asking."""
        await self._tasks.aclose()

    async def _ask(self) -> None:
        found = await self._read()
        now = self._clock.monotonic()
        if found is None:
            _log.warning("the provider's captcha configuration cannot be had; going on with: %s", self._known.source)
            if self._known.source == "provider":
                self._known = msgspec.structs.replace(self._known, source="last")
            self._until = now + RETRY
            return
        scene = Scene(region=found.region, prefix=found.prefix, scene_id=found.scene_id) if found.scene_id else None
        asks = found.enabled and not found.skip_model_request
        self._known = ProviderConfig(asks=asks, scene=scene or self._known.scene, source="provider")
        self._until = now + FRESH

    async def _read(self) -> _Captcha | None:
        separator = "&" if "?" in self._url else "?"
        envelope = _envelope(await self._fetch(self._url + separator + urlencode({"app_version": self._app_version})))
        if envelope is not None and str(envelope.code) == _WRONG_VERSION:
            envelope = _envelope(await self._fetch(self._url))
        if envelope is None or str(envelope.code) not in ("0", "200") or envelope.data is None:
            return None
        return None if envelope.data.configs is None else envelope.data.configs.captcha


def _envelope(body: bytes | None) -> _Envelope | None:
    try:
        return None if body is None else msgspec.json.decode(body, type=_Envelope)
    except msgspec.MsgspecError:
        return None
