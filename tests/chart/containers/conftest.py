"""A node, a Redis with the chart's ACL users, and the image of this tree; all of them real."""

import base64
import json
import re
import secrets
import subprocess
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from docker import DockerClient

from tests.chart.engine import built, engine
from tests.chart.kubelet import Kubelet
from tests.chart.rendering import render
from tests.support.certificates import Authority
from tests.support.kubernetes import ISSUER, Signer
from tests.support.redis_server import Server

USERS = Path(__file__).parents[3] / "deploy" / "redis" / "users.acl"
CLIENT_KEY = "the-one-client-key-of-this-release"
SETS = {
    "image": {"pullPolicy": "Never"},
    "simulator": {"enabled": True, "paceMs": 5},
    "upstream": {"existingSecret": "zcode-plan"},
    "clientKey": {"existingSecret": "zcode-client"},
    "internalAuth": {"issuer": ISSUER, "jwks": {"configMap": "zcode-issuer-keys"}, "expirationSeconds": 3600},
    "internalTls": {"captchaSecret": "zcode-captcha-tls"},
    "captcha": {
        "enabled": True,
        "keySecret": {"name": "zcode-captcha"},
        "store": {"existingSecret": "zcode-redis-captcha"},
    },
    "gateway": {
        "replicas": 1,
        "preStopSeconds": 1,
        "drainSeconds": 60,
        "store": {"existingSecret": "zcode-redis-gateway"},
    },
    "rotation": {"enabled": True},
    "backup": {"enabled": True, "persistentVolumeClaim": "zcode-backups"},
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.containers)
            item.add_marker(pytest.mark.timeout(900))  # the first one builds the image


class Engine(msgspec.Struct, frozen=True):
    """A running engine that has the image of this tree."""

    client: DockerClient
    address: str  # as DOCKER_HOST


@pytest.fixture(scope="session")
def running_engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """The one engine of this run."""
    directory = tmp_path_factory.mktemp("engine")
    with engine(directory) as client:
        address = f"unix://{directory}/d.sock"
        built(client, address)
        yield Engine(client, address)


def users(directory: Path) -> dict[str, str]:
    """Write users.acl with passwords of this run, and return them by user."""
    passwords = {name: secrets.token_urlsafe(24) for name in re.findall(r"PASSWORD-OF-([A-Z-]+)", USERS.read_text())}
    acl = USERS.read_text()
    for name, password in passwords.items():
        acl = re.sub(rf">PASSWORD-OF-{name}(?![A-Z-])", f">{password}", acl)
    (directory / "users.acl").write_text(acl)
    return passwords


@pytest.fixture(scope="session")
def node(running_engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kubelet]:
    """One node with the whole release known to it, nothing started."""
    directory = tmp_path_factory.mktemp("node")
    directory.chmod(0o755)
    directory.parent.chmod(0o755)
    passwords = users(directory)
    docker = running_engine.client
    host = docker.networks.get("bridge").attrs["IPAM"]["Config"][0].get("Gateway", "172.17.0.1")
    lines = (f"aclfile {directory / 'users.acl'}", f"bind 127.0.0.1 {host}", "protected-mode no")
    with Server(directory / "redis", *lines) as redis:
        chart = render("sidecar", SETS | {"store": {"url": f"redis://{host}:{redis.port}"}})
        signer = Signer()
        keys = {"zcode-issuer-keys": {"jwks.json": json.dumps({"keys": [signer.jwk]})}}
        own = _secrets(passwords) | {"zcode-captcha-tls": _certificate(directory)}
        kubelet = Kubelet(docker, chart, own, directory, config_maps=keys, signer=signer)
        try:
            yield kubelet
        finally:
            kubelet.close()


def _secrets(passwords: dict[str, str]) -> dict[str, dict[str, str]]:
    """Return what the user of the chart brings along."""
    key = base64.b64encode(secrets.token_bytes(32)).decode()
    ring = {"primary": 1, "keys": [{"kid": 1, "b64": key, "state": "primary"}]}
    return {
        "zcode-keyring": {"keyring.json": json.dumps(ring)},
        "zcode-redis": {"password": passwords["ZR-CRED"]},
        "zcode-redis-captcha": {"password": passwords["ZR-CAP"]},
        "zcode-redis-gateway": {"password": passwords["ZR-GW"]},
        "zcode-plan": {"api-key": "simulated.key"},
        "zcode-client": {"client-key": CLIENT_KEY},
        "zcode-captcha": {"captcha.key": secrets.token_urlsafe(32)},
    }


def _certificate(directory: Path) -> dict[str, str]:
    """Return what cert-manager would put into the captcha service's Secret."""
    (directory / "tls").mkdir()
    authority, cert, key = Authority(directory / "tls"), directory / "tls" / "crt", directory / "tls" / "key"
    authority.write(cert, key, "rel-zcode-proxy-captcha-peers")
    return {"tls.crt": cert.read_text(), "tls.key": key.read_text(), "ca.crt": authority.file.read_text()}


@pytest.fixture(scope="session")
def tree() -> str:
    """The commit that is tested, for the image's label."""
    return subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
