"""
Takes over changed secrets while the gateway runs: of the configuration file and of the files that it names.

A process looks at its files every few seconds (a Kubernetes Secret changes under its mount without a word). What has
changed is read and judged as at the start:

    what was found                      what happens                                           metrics
    a fault                             nothing: the last good settings stay; it is logged      reload_success 0
    other keys, nothing else            they are in force for the next request                  reload_success 1
    anything else as well               the keys, as above; the rest waits for a restart        restart_needed 1

Keys are the client's (`auth.proxyApiKey`) and the upstream's (`auth.apiKey`, `providers.*.credential`,
`startPlan.jwt`). Requests under way keep what they have begun with.
"""

import asyncio
import logging
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Final, Protocol

import msgspec
from prometheus_client import CollectorRegistry

from services.chassis.settings import Loaded
from services.chassis.telemetry import Family, Gauge
from services.gateway import settings_rules as rules
from services.gateway.guard import Caller, ClientKeys, LoopbackOnly, SingleKey
from services.gateway.leases import ConfiguredLeases, Lease, Leases
from services.gateway.leasing import Leasing
from services.gateway.routing import UpstreamRoute
from services.gateway.settings import GatewaySettings
from services.gateway.translation.fault import Fault

EVERY: Final = 2.0  # seconds between two looks
SUCCESS: Final = Family(
    name="zcode_config_reload_success",
    kind="gauge",
    help="1 while the configuration's files are in order, 0 after a change that was refused.",
)
RESTART: Final = Family(
    name="zcode_config_restart_needed", kind="gauge", help="1 while a changed setting waits for a restart."
)
FAMILIES: Final = (SUCCESS, RESTART)

_log = logging.getLogger(__name__)

_Stamp = tuple[tuple[int, int, int] | None, ...]


class Source(Protocol):
    """Where the settings come from."""

    def load(self) -> Loaded[GatewaySettings]:
        """Read and judge everything anew."""

    def files(self) -> Collection[Path]:
        """Return what the last `load` has read, or tried to."""


class CurrentKeys:
    """`guard.ClientKeys`, whichever are in force."""

    def __init__(self, now: ClientKeys) -> None:
        self.now = now

    def caller_of(self, presented: bytes | None, peer: str | None) -> Caller:
        """Ask those of now."""
        return self.now.caller_of(presented, peer)


class CurrentLeases:
    """`leases.Leases`, whichever are in force."""

    def __init__(self, now: Leases) -> None:
        self.now = now

    def current(self, route: UpstreamRoute, model: str | None = None, resting: Collection[str] = ()) -> Lease:
        """Ask those of now."""
        return self.now.current(route, model, resting)

    async def after(self, fault: Fault, lease: Lease, route: UpstreamRoute, model: str) -> Lease | None:
        """Ask those of now."""
        return await self.now.after(fault, lease, route, model)


class Reloading:
    """The keys in force, and the settings they came from. `remake` gives a service's parts for other settings."""

    def __init__(
        self,
        settings: GatewaySettings,
        registry: CollectorRegistry,
        remake: Callable[[GatewaySettings], Leasing] | None = None,
    ) -> None:
        self._settings = settings
        self._remake = remake
        keys, leases = self._parts(settings)
        self.keys = CurrentKeys(keys)
        self.leases = CurrentLeases(leases)
        self._good = True
        self._restart = False
        Gauge(SUCCESS, registry, lambda: float(self._good))
        Gauge(RESTART, registry, lambda: float(self._restart))

    async def watch(self, source: Source, *, every: float = EVERY) -> None:
        """Look for ever."""
        seen = _stamp(source.files())
        while True:
            await asyncio.sleep(every)
            stamp = _stamp(source.files())
            if stamp != seen:
                self.take(await asyncio.to_thread(source.load))
                seen = _stamp(source.files())

    def take(self, loaded: Loaded[GatewaySettings]) -> None:
        """Put what was read in force, as far as that goes without a restart."""
        self._good = not loaded.faults
        for fault in loaded.faults:
            _log.error("the changed configuration is refused, the old one stays: %s", fault)
        if loaded.faults:
            return
        settings = loaded.unwrap()
        self._restart = _without_keys(settings) != _without_keys(self._settings)
        if self._restart:
            _log.warning("the configuration has changed in more than its keys: a restart puts the rest in force")
        self.keys.now, self.leases.now = self._parts(settings)
        _log.info("the keys of the changed configuration are in force")

    def _parts(self, settings: GatewaySettings) -> tuple[ClientKeys, Leases]:
        configured = ConfiguredLeases(rules.upstream_key(settings))
        if self._remake is not None:
            made = self._remake(settings)
            return made.keys, made.leases or configured
        key = settings.auth.proxy_api_key
        return SingleKey(key) if key else LoopbackOnly(), configured


def _without_keys(settings: GatewaySettings) -> GatewaySettings:
    """Return the settings with every key taken out that can be put in force at once."""
    replace = msgspec.structs.replace
    return replace(
        settings,
        auth=replace(settings.auth, api_key=None, proxy_api_key=None),
        start_plan=replace(settings.start_plan, jwt=None),
        providers={name: replace(each, credential=None) for name, each in settings.providers.items()},
    )


def _stamp(files: Collection[Path]) -> _Stamp:
    """Tell one state of the files from another, without reading them; links are followed, as a Secret's mount needs."""

    def of(path: Path) -> tuple[int, int, int] | None:
        try:
            status = path.stat()
        except OSError:
            return None
        return status.st_ino, status.st_mtime_ns, status.st_size

    return tuple(of(path) for path in files)
