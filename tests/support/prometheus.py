"""
A real Prometheus over a list of targets, looking every half second, with the project's rules made quick.

    with prometheus(tmp_path, ["127.0.0.1:9090"], rules) as server: server.query("up")
"""

import json
import re
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from tests.support.redis_server import free_port

_STARTED_WITHIN = 60.0


class Prometheus:
    """One that runs."""

    def __init__(self, port: int) -> None:
        self._url = f"http://127.0.0.1:{port}/api/v1"

    def get(self, path: str, **query: str) -> Any:
        """Return the data of an API call."""
        url = f"{self._url}/{path}?{urllib.parse.urlencode(query)}"
        with urllib.request.urlopen(url, timeout=30) as answer:  # noqa: S310 -- loopback
            return json.load(answer)["data"]

    def query(self, expression: str) -> list[Any]:
        """Return what an expression gives now."""
        found: list[Any] = self.get("query", query=expression)["result"]
        return found

    def firing(self) -> dict[str, dict[str, str]]:
        """Return the labels of alerts that fire, by name."""
        alerts = self.get("alerts")["alerts"]
        return {each["labels"]["alertname"]: each["labels"] for each in alerts if each["state"] == "firing"}


def quick(rules: str) -> str:
    """Return rules that are looked at every half second and wait for nothing."""
    return re.sub(r"interval: \w+", "interval: 500ms", re.sub(r"for: \w+", "for: 0s", rules))


@contextmanager
def prometheus(directory: Path, targets: Sequence[str], rules: Path) -> Iterator[Prometheus]:
    """Serve until the block ends."""
    (directory / "rules.yaml").write_text(quick(rules.read_text()))
    config = {
        "global": {"scrape_interval": "500ms", "scrape_timeout": "500ms", "evaluation_interval": "500ms"},
        "rule_files": ["rules.yaml"],
        "scrape_configs": [{"job_name": "zcode", "static_configs": [{"targets": list(targets)}]}],
    }
    (directory / "prometheus.yaml").write_text(yaml.safe_dump(config))
    port = free_port()
    words = [f"--config.file={directory}/prometheus.yaml", f"--storage.tsdb.path={directory}/data"]
    words += [f"--web.listen-address=127.0.0.1:{port}", "--enable-feature=exemplar-storage", "--log.level=warn"]
    with (directory / "prometheus.log").open("w") as log:
        process = subprocess.Popen(["prometheus", *words], cwd=directory, stdout=log, stderr=log)
    try:
        server = Prometheus(port)
        _wait(process, server, directory / "prometheus.log")
        yield server
    finally:
        process.kill()
        process.wait()


def _wait(process: "subprocess.Popen[bytes]", server: Prometheus, log: Path) -> None:
    deadline = time.monotonic() + _STARTED_WITHIN
    while time.monotonic() < deadline and process.poll() is None:
        try:
            server.query("1")
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise AssertionError(log.read_text())
