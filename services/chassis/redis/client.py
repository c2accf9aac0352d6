"""
Makes the redis-py clients behind a `Link`, with the settings of promises.md C2.

Two things are ours. Sentinels are asked all at once. TLS contexts are made once: redis-py makes one for every
connection, which holds the event loop for 30 ms each, and it trusts the system's authorities besides the named one.
"""

import asyncio
import contextlib
import ssl
from typing import Any, Final

from redis.asyncio import ConnectionPool, Redis, RedisCluster, SSLConnection
from redis.asyncio.cluster import ClusterNode
from redis.asyncio.sentinel import MasterNotFoundError, Sentinel, SentinelManagedSSLConnection
from redis.exceptions import RedisError
from redis.maint_notifications import MaintNotificationsConfig

from services.chassis.redis.address import Login, RedisAddress, Shape, Tls
from services.chassis.redis.link import CONNECTIONS, ONCE, ClusterLink, Link, SentinelLink, SingleLink
from services.chassis.secret import Secret

_CONNECT: Final = 0.5  # seconds
_ANSWER: Final = 0.25
_SENTINEL_ANSWER: Final = 0.3
_LATECOMERS: Final = 0.05  # seconds that the last sentinels are waited for, once most have answered
_IN_FAILOVER: Final = "failover_in_progress"
_REMEMBERED: Final = 30.0  # seconds; sentinels that have not heard of a failover by then have undone it


def make_link(address: RedisAddress, *, name: str) -> Link:
    """
    Make the client of an address; connects when it is first used. `name` is what the server calls it.

    Raises OSError for unusable TLS files.
    """
    context = None if address.tls is None else _context(address.tls)
    settings = _settings(address, name) | _login(address.login.username, address.login.password)
    if address.shape is Shape.STANDALONE:
        ((host, port),) = address.hosts
        return SingleLink(_single(host, port, settings | {"db": address.db}, context), address.deadline)
    if address.shape is Shape.CLUSTER:
        return ClusterLink(_cluster(address.hosts, settings, context), address.deadline)
    sentinel = AskingAllSentinel(address.hosts, _sentinel_settings(address, name), context)
    managed = {} if context is None else {"connection_class": _with_context(SentinelManagedSSLConnection, context)}
    client = sentinel.master_for(address.master, db=address.db, **settings, **managed)
    return SentinelLink(client, address.deadline, sentinel)


def _settings(address: RedisAddress, name: str) -> dict[str, Any]:
    return {
        "socket_connect_timeout": max(_CONNECT, address.deadline),
        "socket_timeout": max(_ANSWER, address.deadline / 2),
        "health_check_interval": 15,
        "max_connections": CONNECTIONS + 1,  # and one that hears of changes
        "protocol": 3,
        "retry": ONCE,
        "client_name": name,
        "driver_info": None,  # CLIENT SETINFO is a right that Redis before 7.2 does not know
        "maint_notifications_config": MaintNotificationsConfig(enabled=False),
    }


def _login(username: str | None, password: Secret | None) -> dict[str, Any]:
    return {"username": username, "password": None if password is None else password.reveal()}


def _sentinel_settings(address: RedisAddress, name: str) -> dict[str, Any]:
    login: Login = address.login
    settings = _settings(address, name) | _login(login.sentinel_username, login.sentinel_password)
    return settings | {"socket_timeout": max(_SENTINEL_ANSWER, address.deadline / 2)}


def _single(host: str, port: int, settings: dict[str, Any], context: ssl.SSLContext | None) -> Any:
    secure = {} if context is None else {"connection_class": _with_context(SSLConnection, context)}
    return Redis.from_pool(ConnectionPool(host=host, port=port, **settings, **secure))


def _cluster(hosts: tuple[tuple[str, int], ...], settings: dict[str, Any], context: ssl.SSLContext | None) -> Any:
    client: Any = RedisCluster(
        startup_nodes=[ClusterNode(host, port) for host, port in hosts], ssl=context is not None, **settings
    )
    if context is not None:
        connection_class = _with_context(SSLConnection, context)
        client.connection_kwargs["connection_class"] = connection_class
        for node in client.startup_nodes:
            node.connection_class = connection_class
    return client


def _context(tls: Tls) -> ssl.SSLContext:
    """Trust the named authority alone; without one, the system's."""
    context = ssl.create_default_context(cafile=tls.ca)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if tls.cert is not None:
        context.load_cert_chain(tls.cert, tls.key)
    return context


def _with_context(base: Any, context: ssl.SSLContext) -> Any:
    """Return a connection class that uses this context and makes none of its own."""

    def begin(self: Any, **settings: Any) -> None:
        base.__init__(self, **settings)
        self.ssl_context.context = context

    return type(f"Ready{base.__name__}", (base,), {"__init__": begin})


class AskingAllSentinel(Sentinel):
    """
    Asks all sentinels at once and believes the newest answer, and none that is older than what it has heard before.

    redis-py asks one after the other, so a hung first one costs a whole call's deadline, every time; and it believes
    the first. For some seconds only the sentinel that led a failover knows of it: when the old master comes back that
    soon, the others take it for the master still, and what it is told then is lost. So does the one that led, with the
    new epoch, until the replicas have been told; whoever is amid a failover names nobody.
    """

    def __init__(
        self, hosts: tuple[tuple[str, int], ...], settings: dict[str, Any], context: ssl.SSLContext | None
    ) -> None:
        make: Any = super().__init__  # redis-py does not type it
        make([], sentinel_kwargs=settings)
        self.sentinels = [_single(host, port, settings, context) for host, port in hosts]
        self._newest: dict[str, tuple[int, float]] = {}  # by service: an epoch, and the loop's time when it was heard

    async def discover_master(self, service_name: str) -> tuple[str, int]:
        answers = await self._answers(service_name)
        newest = self._heard(service_name, answers)
        settled = [state for state in answers if _IN_FAILOVER not in state["flags"]]
        sound = [state for state in settled if self.check_master_state(state, service_name)]
        if not sound:
            raise MasterNotFoundError("no sentinel names a master")
        believed = max(sound, key=_epoch)
        if _epoch(believed) < newest:
            raise MasterNotFoundError("the sentinels that name a master have not heard of the last failover")
        return believed["ip"], believed["port"]

    def _heard(self, service_name: str, answers: list[dict[str, Any]]) -> int:
        """Remember what these say; return the newest epoch heard of lately, also from who is gone by now."""
        now = asyncio.get_running_loop().time()
        known, heard = self._newest.get(service_name, (0, now))
        if now - heard > _REMEMBERED:
            known = 0
        newest = max(map(_epoch, answers), default=0)
        if newest >= known:
            self._newest[service_name] = (newest, now)
        return max(known, newest)

    async def _answers(self, service_name: str) -> list[dict[str, Any]]:
        """Return what the sentinels know: most of them, and the others if they do not take long."""
        answers: list[dict[str, Any]] = []

        async def ask(sentinel: Redis) -> None:
            with contextlib.suppress(RedisError, OSError, TimeoutError):
                masters: Any = await sentinel.sentinel_masters()
                if service_name in masters:
                    answers.append(masters[service_name])

        async with asyncio.TaskGroup() as group:
            asked = {group.create_task(ask(sentinel)) for sentinel in self.sentinels}
            left = asked
            while left and 2 * len(answers) <= len(asked):
                _, left = await asyncio.wait(left, return_when=asyncio.FIRST_COMPLETED)
            if left:
                _, left = await asyncio.wait(left, timeout=_LATECOMERS)
            for task in left:
                task.cancel()
        return answers


def _epoch(state: dict[str, Any]) -> int:
    """Return which of the failovers a sentinel speaks of."""
    return int(state["config-epoch"])
