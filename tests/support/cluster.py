"""
A credentials service and a gateway as processes of their own, started by the commands that people type.

    cluster = Cluster(tmp_path, origin, socket=True)
    cluster.command("init")
    with cluster.credentials() as service, cluster.gateway() as gateway: ...

`origin` is the simulator's address. Every process writes to a file of its own and is ended by its own pid.
"""

import contextlib
import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import httpx2

from services.chassis.peer.token_file import TokenFile
from services.credentials.admin_client import RemoteAdministration
from services.credentials.contract import Kind
from services.credentials.records import Credential
from services.credentials.settings import KeyringSettings, StoreSettings
from services.credentials.vault_of import vault_of
from tests.support.credentials import credential

ROOT = Path(__file__).parents[2]
QUESTION = {"model": "glm-5.2", "max_tokens": 16, "messages": [{"role": "user", "content": "hi"}]}
OURS = ("ZCODE_", "HTTP", "http", "ALL_PROXY", "NO_PROXY", "OTEL_")


def quiet_port() -> int:
    """Return a port that nobody listens on, below those that outgoing connections are given meanwhile."""
    while True:
        port = random.randrange(20_000, 32_000)
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
            return port


class Running:
    """One process."""

    def __init__(self, process: "subprocess.Popen[bytes]", log: Path) -> None:
        self.process = process
        self.killed = False
        self._log = log

    @property
    def log(self) -> str:
        """What it has written."""
        return self._log.read_text()

    def kill(self) -> None:
        """End it as a power cut would."""
        self.killed = True
        self.process.kill()
        self.process.wait()


class Cluster:
    """One configuration, and the commands that run on it."""

    def __init__(
        self,
        directory: Path,
        origin: str,
        *,
        socket: bool,
        store: Mapping[str, Any] | None = None,
        environment: Mapping[str, str] | None = None,
        more: Mapping[str, Any] | None = None,
    ) -> None:
        self.directory = directory
        self.port, self.admin, self.service_port, self.service_admin = (quiet_port() for _ in range(4))
        self.token = directory / "run" / "credentials.token"
        self.code = (
            ROOT  # where processes and commands import the services from: another release's, in tests of upgrades
        )
        self._environment = dict(environment or {})
        self.store = StoreSettings(dir=str(directory / "state"), **dict(store or {}))
        self.keyring = KeyringSettings(file=str(directory / "keyring.json"))
        (directory / "run").mkdir(parents=True)
        path = str(directory / "run" / "c.sock")
        listen: dict[str, Any] = {"adminPort": self.service_admin}
        if socket:
            listen |= {"socket": path, "address": f"unix:{path}"}
        else:
            self.token.write_text("a-token-of-the-test-that-is-long-enough\n")
            address = f"http://127.0.0.1:{self.service_port}"
            listen |= {"port": self.service_port, "address": address, "tokenFile": str(self.token)}
        provider = {"anthropicBase": f"{origin}/api/anthropic", "openaiBase": f"{origin}/api/coding/paas/v4"}
        self.settings: dict[str, Any] = {
            "server": {"host": "127.0.0.1", "port": self.port, "adminPort": self.admin},
            "providers": {"zai": provider},
            "credentials": listen,
            "store": {"dir": self.store.dir} | ({"url": self.store.url} if self.store.url else {}),
            "keyring": {"file": self.keyring.file},
            "logging": {"format": "json"},
        } | dict(more or {})
        self.write("config.yaml", self.settings)

    def write(self, name: str, settings: Mapping[str, Any]) -> Path:
        """Write a configuration."""
        path = self.directory / name
        path.write_text(json.dumps(settings))
        return path

    def environment(self) -> dict[str, str]:
        """Return what processes see of the test's environment."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
        return kept | {"PYTHONPATH": str(self.code), "HOME": str(self.directory)} | self._environment

    def attempt(self, *argv: str, given: str = "") -> "subprocess.CompletedProcess[str]":
        """Run a command to its end."""
        return subprocess.run(
            [sys.executable, "-m", "services", *argv],
            cwd=self.directory,
            env=self.environment(),
            input=given,
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
        )

    def command(self, *argv: str, given: str = "") -> str:
        """Run a command that must succeed; return what it prints."""
        done = self.attempt(*argv, given=given)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    async def add(self, id_: str = "crd_aaaaaaaaaaaa", **fields: Any) -> Credential:
        """Keep a credential, as a login would."""
        async with vault_of(self.store, self.keyring) as (vault, store):
            defaults = {"kind": Kind.API_KEY, "rotated_at": await store.now()}
            return await vault.write_credential(credential(id_, **(defaults | fields)), expected=0)

    @contextmanager
    def running(self, *argv: str, **environ: str) -> Iterator[Running]:
        """Run a command until the block ends."""
        log = self.directory / f"{argv[0]}.{time.monotonic_ns()}.log"
        with log.open("wb") as sink:
            process = subprocess.Popen(
                [sys.executable, "-m", "services", *argv],
                cwd=self.directory,
                env=self.environment() | environ,
                stdout=sink,
                stderr=sink,
            )
        running = Running(process, log)
        try:
            yield running
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
                process.wait(60)
            elif not running.killed:
                raise AssertionError(f"{argv[0]} left with {process.returncode}: {running.log[-4000:]}")

    @contextmanager
    def credentials(self) -> Iterator[Running]:
        """Run the service; it is ready when the block begins."""
        with self.running("credentials") as service:
            self.wait(lambda: self.readiness(self.service_admin)[0] == 200, service)
            yield service

    @contextmanager
    def gateway(self, *config: str) -> Iterator[Running]:
        """Run a gateway; its admin port answers when the block begins."""
        with self.running("gateway", *config) as gateway:
            self.wait(lambda: self.readiness(self.admin)[0] != 0, gateway)
            yield gateway

    @property
    def admin_url(self) -> str:
        """Where the service is administered."""
        return f"http://127.0.0.1:{self.service_admin}"

    @asynccontextmanager
    async def office(self) -> AsyncIterator[RemoteAdministration]:
        """Give the admin API of the running service."""
        office = RemoteAdministration(self.admin_url, tokens=TokenFile(self.directory / "state" / "admin.token"))
        try:
            yield office
        finally:
            await office.aclose()

    def readiness(self, port: int | None = None) -> tuple[int, dict[str, Any]]:
        """Ask an admin port (the gateway's) whether its process is ready; 0 when it does not answer."""
        try:
            answer = httpx2.get(f"http://127.0.0.1:{port or self.admin}/readyz", trust_env=False, timeout=5.0)
        except httpx2.HTTPError:
            return 0, {}
        return answer.status_code, answer.json()

    def ask(self, key: str | None) -> httpx2.Response:
        """Send one request to the gateway."""
        headers = {} if key is None else {"x-api-key": key}
        url = f"http://127.0.0.1:{self.port}/v1/messages"
        return httpx2.post(url, json=QUESTION, headers=headers, trust_env=False, timeout=30.0)

    def wait(self, holds: Callable[[], bool], process: Running | None = None, seconds: float = 40.0) -> None:
        """Wait until something holds; say what a process wrote when it ends instead."""
        deadline = time.monotonic() + seconds
        while True:
            done = holds()
            if process is not None and process.process.poll() is not None:  # another's may have answered in its place
                raise AssertionError(f"left with {process.process.returncode}: {process.log}")
            if done:
                return
            assert time.monotonic() < deadline, process.log if process is not None else "it does not come"
            time.sleep(0.02)
