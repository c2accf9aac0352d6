"""A real haproxy in front of several addresses, from the configuration in deploy/ with other addresses and shorter checks."""

import re
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx2

CONFIG = Path(__file__).parents[2] / "deploy" / "haproxy" / "haproxy.cfg"
_STARTED_WITHIN = 20.0


def configuration(port: int, backends: Sequence[tuple[int, int]], inter: str) -> str:
    """Return deploy/haproxy/haproxy.cfg with these backends: pairs of public and admin port on loopback."""
    text = re.sub(r"bind :\d+", f"bind 127.0.0.1:{port}", CONFIG.read_text())
    text = text.replace("check port 9090 inter 1s", f"check inter {inter}")
    # Without haproxy's own second tries, because other load balancers have none for a POST.
    dropped = ("server ", "retries ", "retry-on ", "option redispatch")
    lines = [line for line in text.splitlines() if not line.strip().startswith(dropped)]
    lines = [line + "\n  retries 0" if line == "defaults" else line for line in lines]
    servers = [f"  server g{at} 127.0.0.1:{public} port {admin}" for at, (public, admin) in enumerate(backends)]
    return "\n".join([*lines, *servers]) + "\n"


def _answers(address: str) -> bool:
    try:
        return httpx2.get(f"{address}/health", timeout=2, trust_env=False).status_code < 500
    except httpx2.HTTPError:
        return False


@contextmanager
def haproxy(directory: Path, port: int, backends: Sequence[tuple[int, int]], *, inter: str = "200ms") -> Iterator[str]:
    """Run it until the block ends; give its address once a backend answers through it."""
    program = shutil.which("haproxy") or "/usr/sbin/haproxy"
    (config := directory / "haproxy.cfg").write_text(configuration(port, backends, inter))
    with (directory / "haproxy.log").open("wb") as log:
        process = subprocess.Popen([program, "-db", "-f", str(config)], stdout=log, stderr=log)
    address = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + _STARTED_WITHIN
        while not _answers(address):
            if time.monotonic() > deadline or process.poll() is not None:
                raise RuntimeError((directory / "haproxy.log").read_text())
            time.sleep(0.05)
        yield address
    finally:
        process.terminate()
        process.wait()
