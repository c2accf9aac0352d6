"""
Everything that a gateway speaks to, each behind a proxy that can make it hang, reset or go away while it is in use.

    async with neighbours(tmp_path) as near:
        member = Member(tmp_path / "gateway", near.upstream, drain, near.settings())
        await near.fault(redis=Fault.HANG, upstream=Fault.BLACK_HOLE)
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec

from tests.support.cluster import Cluster
from tests.support.collector import collector
from tests.support.fault_proxy import Fault, FaultProxy
from tests.support.redis_server import Server
from tests.support.simulator_process import simulator_process


class Neighbours(msgspec.Struct):
    """The proxies by name, and the service's installation."""

    cluster: Cluster
    proxies: dict[str, FaultProxy]
    client_key: str

    @property
    def upstream(self) -> str:
        return self._url("upstream")

    def _url(self, name: str) -> str:
        return f"http://127.0.0.1:{self.proxies[name].port}"

    def settings(self, **limits: float) -> dict[str, Any]:
        """Return a gateway's sections that name all of them."""
        return {
            "auth": {},
            "credentials": {"address": self._url("credentials"), "tokenFile": str(self.cluster.token)},
            "store": {"url": self._url("redis").replace("http", "redis"), "dir": str(self.cluster.directory / "gw")},
            "telemetry": {"otlpEndpoint": self._url("collector")},
            "limits": limits,
        }

    async def fault(self, **faults: Fault) -> None:
        """Let some misbehave from now on, connections that are open included; all others are well."""
        for name, proxy in self.proxies.items():
            await proxy.set(faults.get(name, Fault.NONE))


@asynccontextmanager
async def neighbours(directory: Path, *, logged_in: bool = True) -> AsyncIterator[Neighbours]:
    """
    Start them all: a simulator, a Redis, a credentials service over TCP, and a collector.

    The service has a plan's key unless it is not `logged_in`; to its Redis it goes through the same proxy.
    """
    async with AsyncExitStack() as stack:
        redis = await asyncio.to_thread(stack.enter_context, Server(directory / "redis"))
        origin = await asyncio.to_thread(stack.enter_context, simulator_process())
        traces = stack.enter_context(collector())
        ports = {"upstream": _port(origin), "redis": redis.port, "collector": _port(traces.url)}
        proxies = {name: await stack.enter_async_context(FaultProxy(port)) for name, port in ports.items()}
        store = f"redis://127.0.0.1:{proxies['redis'].port}"
        cluster = Cluster(directory / "cluster", origin, socket=False, store={"url": store})
        await asyncio.to_thread(cluster.command, "init")
        if logged_in:
            await cluster.add(api_key="upstream.key")
        key = await asyncio.to_thread(cluster.command, "keys", "create", "--name", "client")
        service = await asyncio.to_thread(stack.enter_context, cluster.credentials())
        service.killed = True  # how it ends is not what is looked at here
        proxies["credentials"] = await stack.enter_async_context(FaultProxy(cluster.service_port))
        yield Neighbours(cluster, proxies, key)


def _port(url: str) -> int:
    return urlsplit(url).port or 0
