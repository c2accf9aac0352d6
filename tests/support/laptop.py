"""
`zcode-proxy` as somebody runs it at home: a directory, a configuration, commands as processes of their own.

    with simulator_process() as origin:
        laptop = Laptop(tmp_path, origin)
        with laptop.serving() as served: httpx2.post(f"{served.url}/v1/messages", …)
        print(laptop.command("usage", "--json"))
"""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

ROOT = Path(__file__).parents[2]
KEY = "laptop-upstream-key.secret"
STARTED_WITHIN = 60.0


class Served(msgspec.Struct, frozen=True):
    """A process that serves."""

    url: str
    admin_url: str
    pid: int
    log: Path


class Laptop:
    """A home. `settings` are sections of the configuration, merged into the basic ones."""

    def __init__(self, home: Path, origin: str, **settings: Any) -> None:
        self.home = home
        self.store = home / "store"
        basic: dict[str, Any] = {
            "server": {"port": 0, "adminPort": 0},
            "auth": {"apiKey": KEY},
            "store": {"dir": str(self.store)},
            "logging": {"format": "json"},
            "providers": {
                "zai": {"anthropicBase": f"{origin}/api/anthropic", "openaiBase": f"{origin}/api/coding/paas/v4"}
            },
        }
        for name, section in settings.items():
            basic[name] = {**basic.get(name, {}), **section} if isinstance(section, Mapping) else section
        (home / "config.yaml").write_text(json.dumps(basic))

    def environment(self, **extra: str) -> dict[str, str]:
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("ZCODE_", "HTTP", "http", "OTEL_"))
        }
        return kept | {"PYTHONPATH": str(ROOT), "HOME": str(self.home), "COLUMNS": "120"} | extra

    def command(self, *argv: str, code: int = 0) -> str:
        """Run a command to its end and return what it printed."""
        done = subprocess.run(
            [sys.executable, "-m", "services", *argv],
            cwd=self.home,
            env=self.environment(),
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
        )
        assert code == done.returncode, done.stderr
        return done.stdout

    @contextmanager
    def serving(self, *argv: str, **environ: str) -> Iterator[Served]:
        """Serve until the block ends, and expect an orderly end."""
        log = self.home / f"serve{time.monotonic_ns()}.log"  # a file, because nobody reads a pipe meanwhile
        with log.open("w") as sink:
            process = subprocess.Popen(
                [sys.executable, "-m", "services", "serve", *argv],
                cwd=self.home,
                env=self.environment(**environ),
                stderr=sink,
                stdout=sink,
            )
        try:
            yield _greeting(process, log)
            process.send_signal(signal.SIGTERM)
            assert 0 == process.wait(30), log.read_text()
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()


def _greeting(process: "subprocess.Popen[bytes]", log: Path) -> Served:
    deadline = time.monotonic() + STARTED_WITHIN
    while time.monotonic() < deadline and process.poll() is None:
        text = log.read_text()
        public, admin = re.search(r"serves (http://\S+)", text), re.search(r"metrics: (http://[^/]+)", text)
        if public and admin:
            return Served(public[1], admin[1], process.pid, log)
        time.sleep(0.02)
    raise AssertionError(log.read_text())
