"""
Asks probes as a kubelet does, each on a connection of its own, from a process that does nothing else.

    asked = probed(["http://127.0.0.1:9090/readyz", …], rounds=10)
    python -m tests.support.prober ROUNDS URL...            prints one JSON list
"""

import http.client
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

_PATIENCE = 10.0  # seconds


class Probe(msgspec.Struct, frozen=True):
    """One answer; status 0: none."""

    url: str
    status: int
    body: str
    milliseconds: float


def probed(urls: Sequence[str], *, rounds: int) -> list[Probe]:
    """Ask all of them so many times, one after the other; blocks."""
    command = [sys.executable, "-m", "tests.support.prober", str(rounds), *urls]
    done = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, check=True)
    return msgspec.json.decode(done.stdout, type=list[Probe])


def _ask(url: str) -> dict[str, object]:
    parts = urlsplit(url)
    began = time.perf_counter()
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=_PATIENCE)
    status, body = 0, ""
    try:
        connection.request("GET", parts.path)
        answer = connection.getresponse()
        status, body = answer.status, answer.read().decode()
    except OSError as error:
        body = str(error)
    finally:
        connection.close()
    return {"url": url, "status": status, "body": body, "milliseconds": (time.perf_counter() - began) * 1000}


if __name__ == "__main__":
    json.dump([_ask(url) for _ in range(int(sys.argv[1])) for url in sys.argv[2:]], sys.stdout)
