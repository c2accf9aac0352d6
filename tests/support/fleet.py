"""
Gateways as processes of their own, started, drained and replaced one by one as a Deployment does it.

    with Fleet(tmp_path, origin, count=3) as fleet:
        fleet.replace(0, drain_wait=1.0)      preStop, SIGTERM, the end, a new process at the same address
"""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Self

import httpx2

from tests.support.redis_server import free_port

CLIENT_KEY = "a-client-key-of-the-fleet"
_STARTED_WITHIN = 60.0
_FOREIGN = ("ZCODE_", "OTEL_", "HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy", "ALL_PROXY")


class Member:
    """One gateway at fixed ports."""

    def __init__(self, directory: Path, origin: str, drain: float, more: dict[str, Any]) -> None:
        directory.mkdir(parents=True)
        self.port, self.admin = free_port(), free_port()
        self.log = directory / "log"
        self.config = directory / "config.yaml"
        settings: dict[str, Any] = {
            "server": {"host": "127.0.0.1", "port": self.port, "adminPort": self.admin},
            "auth": {"apiKey": "upstream.key", "proxyApiKey": CLIENT_KEY},
            "providers": {
                "zai": {"anthropicBase": f"{origin}/api/anthropic", "openaiBase": f"{origin}/api/coding/paas/v4"}
            },
            "limits": {"drain": drain},
        }
        self.config.write_text(json.dumps(settings | more))
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        environ = {key: value for key, value in os.environ.items() if not key.startswith(_FOREIGN)}
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "services", "gateway", str(self.config)], stdout=log, stderr=log, env=environ
            )

    def wait_ready(self) -> None:
        deadline = time.monotonic() + _STARTED_WITHIN
        while self.status("/readyz") != 200:
            assert self.process is not None
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(self.log.read_text()[-2000:])
            time.sleep(0.05)

    def status(self, path: str, method: str = "GET") -> int:
        """Return what the admin port answers; 0 when it does not."""
        try:
            return httpx2.request(
                method, f"http://127.0.0.1:{self.admin}{path}", timeout=5, trust_env=False
            ).status_code
        except httpx2.HTTPError:
            return 0

    def load(self) -> dict[str, Any]:
        """Return how busy it says it is."""
        answer = httpx2.get(f"http://127.0.0.1:{self.admin}/status.json", timeout=10, trust_env=False)
        load: dict[str, Any] = answer.json()["load"]
        return load

    def signal(self, number: signal.Signals) -> None:
        assert self.process is not None
        os.kill(self.process.pid, number)

    def wait(self, seconds: float) -> int:
        """Return the exit code. Raises subprocess.TimeoutExpired."""
        assert self.process is not None
        return self.process.wait(seconds)

    def end(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()


class Fleet:
    """Several gateways with one configuration."""

    def __init__(self, directory: Path, origin: str, *, count: int, drain: float = 60.0, **more: Any) -> None:
        self.members = [Member(directory / f"g{at}", origin, drain, more) for at in range(count)]

    @property
    def ports(self) -> list[tuple[int, int]]:
        return [(member.port, member.admin) for member in self.members]

    def replace(self, at: int, *, drain_wait: float, grace: float) -> int:
        """Drain a gateway as its pod's preStop does, end it, start another in its place; returns its exit code."""
        member = self.members[at]
        drain = [sys.executable, "-m", "services", "drain", "--port", str(member.admin), "--wait", str(drain_wait)]
        subprocess.run(drain, check=True)
        member.signal(signal.SIGTERM)
        code = member.wait(grace)
        member.start()
        member.wait_ready()
        return code

    def __enter__(self) -> Self:
        try:
            for member in self.members:
                member.start()
            for member in self.members:
                member.wait_ready()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for member in self.members:
            member.end()
