"""
A container engine of the tests' own: Debian's dockerd with its data, socket and pid apart from any other on the machine.

    with engine(directory) as docker: ...        a docker-py client

Needs root. It runs in a mount namespace of its own, so that nothing it mounts outlives it, and is ended by its pid.
"""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import docker
from docker.errors import ImageNotFound

ROOT = Path(__file__).parents[2]
IMAGE = "zcode-proxy:0.1.0"  # as the chart names it by default
DATA = ROOT / ".tools" / "docker"  # survives a run, so that the base image is made once
_STARTED_WITHIN = 60.0


def possible() -> str | None:
    """Say why no engine can be run here; None when one can."""
    if os.geteuid() != 0:
        return "needs root"
    missing = [name for name in ("dockerd", "unshare", "debootstrap", "docker-compose") if shutil.which(name) is None]
    return f"needs {', '.join(missing)} (Debian: docker.io, docker-compose, debootstrap, iptables)" if missing else None


@contextlib.contextmanager
def engine(directory: Path) -> Iterator[docker.DockerClient]:
    """Start it, build the image when it is not there yet, and give a client."""
    address = f"unix://{directory}/d.sock"
    DATA.mkdir(parents=True, exist_ok=True)
    Path("/proc/sys/net/ipv4/ip_forward").write_text("1")
    command = ["unshare", "-m", "dockerd", "--data-root", str(DATA), "--exec-root", str(directory / "x")]
    with (directory / "dockerd.log").open("wb") as log:
        process = subprocess.Popen(
            [*command, "--pidfile", str(directory / "pid"), "-H", address], stdout=log, stderr=log
        )
    try:
        client = _connected(address, process, directory)
        yield client
        client.close()
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


def _connected(address: str, process: "subprocess.Popen[bytes]", directory: Path) -> docker.DockerClient:
    deadline = time.monotonic() + _STARTED_WITHIN
    while not _listens(address.removeprefix("unix://")):
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError((directory / "dockerd.log").read_text()[-3000:])
        time.sleep(0.1)
    client = docker.DockerClient(base_url=address, timeout=120)
    client.ping()
    return client


def _listens(path: str) -> bool:
    with socket.socket(socket.AF_UNIX) as connection, contextlib.suppress(OSError):
        connection.connect(path)
        return True
    return False


def built(client: docker.DockerClient, address: str, name: str = IMAGE, *, fresh: bool = False) -> str:
    """Build the image of this tree and return its name; what has not changed comes from the cache, unless `fresh`."""
    environ = os.environ | {"DOCKER_HOST": address} | ({"FRESH": "1"} if fresh else {})
    done = subprocess.run(
        [str(ROOT / "deploy" / "local-image.sh"), name], env=environ, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(done.stdout + done.stderr)
    with contextlib.suppress(ImageNotFound):
        return str(client.images.get(name).tags[0])
    raise RuntimeError(f"{name} was not built: {done.stdout}")


def main() -> int:
    """Exit 0 where an engine can be run, else 1 with the reason on standard output."""
    if why := possible():
        print(why)
    return 1 if why else 0


if __name__ == "__main__":
    sys.exit(main())
