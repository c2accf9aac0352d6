"""The credentials service as a process: how it starts, what its probes say, and how it ends."""

import asyncio
import json
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import msgspec
import pytest

from services.chassis.peer.token_file import TokenFile
from services.chassis.trust import Trust
from services.credentials import keyring_file
from services.credentials.admin_client import RemoteAdministration
from services.credentials.client import connect
from services.credentials.contract import AUDIENCE
from services.credentials.keyring import Keyring
from services.credentials.settings import KeyringSettings, StoreSettings
from services.credentials.vault_of import claim
from tests.support.certificates import Authority
from tests.support.credentials import eventually
from tests.support.kubernetes import running_api_server
from tests.support.redis_server import Server

ROOT = Path(__file__).parents[3]
PROGRAM = """
import json, sys
from contextlib import nullcontext
import msgspec
from services.credentials.process import serve
from services.credentials.settings import CredentialsSettings

settings = msgspec.convert(json.loads(sys.argv[1]), CredentialsSettings)
started = lambda server: print(json.dumps(server.ports), flush=True)
sys.exit(serve(settings, nullcontext({}), on_started=started))
"""


@asynccontextmanager
async def process(settings: dict[str, Any]) -> AsyncIterator[asyncio.subprocess.Process]:
    command = (sys.executable, "-W", "error", "-c", PROGRAM, json.dumps(settings))
    child = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        yield child
    finally:
        if child.returncode is None:
            child.kill()
        await child.wait()


async def admin_port(child: asyncio.subprocess.Process) -> int:
    assert child.stdout is not None
    async with asyncio.timeout(20):
        ports: list[int] = json.loads(await child.stdout.readline())
    return ports[1]


def settings(tmp_path: Path, **store: str) -> dict[str, Any]:
    listen = {"socket": str(tmp_path / "run" / "cred.sock"), "adminPort": 0}
    (tmp_path / "run").mkdir(exist_ok=True)
    return {"credentials": listen, "store": {"dir": str(tmp_path / "state"), **store}, "logging": {"format": "json"}}


async def test_a_sidecar_starts_from_nothing_serves_and_ends_at_once(tmp_path: Path) -> None:
    async with process(settings(tmp_path)) as child, httpx2.AsyncClient(trust_env=False) as http:
        port = await admin_port(child)
        socket = tmp_path / "run" / "cred.sock"
        client = connect(f"unix:{socket}", token_file=tmp_path / "run" / "credentials.token")
        assert await client.start(seconds=5)
        ready = await http.get(f"http://127.0.0.1:{port}/readyz")
        alive = await http.get(f"http://127.0.0.1:{port}/livez")
        metrics = await http.get(f"http://127.0.0.1:{port}/metrics")
        mode = socket.stat().st_mode & 0o777
        child.send_signal(signal.SIGTERM)  # while the client's long poll is held
        async with asyncio.timeout(5):
            code = await child.wait()
        await client.aclose()
        assert child.stderr is not None
        said = (await child.stderr.read()).decode()

    assert (ready.status_code, ready.json(), alive.status_code) == (200, {"status": "ready", "degraded": []}, 200)
    assert "zcode_credential_events_total" in metrics.text
    assert mode == 0o660
    assert (tmp_path / "state" / "admin.token").stat().st_mode & 0o777 == 0o600
    assert code == 0
    assert f"serving on {socket}, 127.0.0.1:{port}" in said


@pytest.mark.promise("P-60")
async def test_without_its_store_it_is_ready_and_says_what_is_missing(tmp_path: Path) -> None:
    with Server(tmp_path / "redis") as redis:
        await claim(StoreSettings(dir=str(tmp_path / "state"), url=redis.url), KeyringSettings())
        async with process(settings(tmp_path, url=redis.url)) as child, httpx2.AsyncClient(trust_env=False) as http:
            port = await admin_port(child)

            async def degraded() -> bool:
                answer = await http.get(f"http://127.0.0.1:{port}/readyz")
                return (answer.status_code, answer.json()["degraded"]) == (200, ["store"])

            assert not await degraded()
            redis.kill()
            await eventually(degraded, seconds=15)


@pytest.mark.promise("P-25")
@pytest.mark.parametrize("keyring", [None, "{}"])
async def test_without_a_good_keyring_it_ends_and_writes_nothing(tmp_path: Path, keyring: str | None) -> None:
    path = tmp_path / "keyring.json"
    if keyring is not None:
        path.write_text(keyring)
    async with process(settings(tmp_path) | {"keyring": {"file": str(path)}}) as child:
        async with asyncio.timeout(10):
            _, errors = await child.communicate()

    assert child.returncode == 78
    assert len(errors.decode().splitlines()) == 1
    assert not (tmp_path / "state").exists()


@pytest.mark.promise("P-25")
async def test_a_laptop_that_lost_its_keyring_starts_nothing_and_makes_none(tmp_path: Path) -> None:
    state = tmp_path / "state"
    await claim(StoreSettings(dir=str(state)), KeyringSettings())
    (state / "keyring.json").unlink()
    async with process(settings(tmp_path)) as child:
        async with asyncio.timeout(20):
            _, errors = await child.communicate()

    assert child.returncode == 78
    assert "the store holds records; restore the keyring" in errors.decode()
    assert not (state / "keyring.json").exists()


@pytest.mark.promise("P-25")
async def test_a_shared_store_that_nobody_claimed_starts_nothing(tmp_path: Path) -> None:
    keyring = tmp_path / "keyring.json"
    keyring_file.create(keyring, Keyring.generate(bytes(range(32))))
    with Server(tmp_path / "redis") as redis:
        wanted = settings(tmp_path, url=redis.url) | {"keyring": {"file": str(keyring)}}
        async with process(wanted) as child, asyncio.timeout(20):
            _, errors = await child.communicate()
        kept = redis.client().keys("*")

    assert child.returncode == 78
    assert "zcode-proxy init" in errors.decode()
    assert kept == []


def with_tls(tmp_path: Path, **listen: Any) -> dict[str, Any]:
    """Return settings of a Deployment: ports in place of the socket, with TLS and a cluster's keys."""
    place = tmp_path / "tls"
    tls = {"certFile": str(place / "tls.crt"), "keyFile": str(place / "tls.key")}
    found = settings(tmp_path)
    found["credentials"] = {"port": 0, "adminPort": 0, "tls": tls, **listen}
    return found


async def test_a_deployment_speaks_tls_on_both_ports_and_knows_pods(tmp_path: Path) -> None:
    (tmp_path / "tls").mkdir()
    authority = Authority(tmp_path / "tls")
    authority.write(tmp_path / "tls" / "tls.crt", tmp_path / "tls" / "tls.key")
    async with running_api_server(tmp_path, "llm/gateway") as cluster:
        cluster.mount(tmp_path / "projected", "llm/gateway", AUDIENCE)
        accounts = msgspec.to_builtins(cluster.settings)
        async with process(with_tls(tmp_path, adminTls=True, serviceAccounts=accounts)) as child:
            assert child.stdout is not None
            async with asyncio.timeout(20):
                port, admin = json.loads(await child.stdout.readline())
            trust = Trust("credentials", ca_file=str(authority.file))
            client = connect(f"https://127.0.0.1:{port}", token_file=tmp_path / "projected", trust=trust)
            assert await client.start(seconds=5)
            async with httpx2.AsyncClient(verify=trust.context, trust_env=False) as http:
                ready = await http.get(f"https://127.0.0.1:{admin}/readyz")
                metrics = await http.get(f"https://127.0.0.1:{admin}/metrics")
            tokens = TokenFile(tmp_path / "state" / "admin.token")
            office = RemoteAdministration(f"https://127.0.0.1:{admin}", tokens=tokens, trust=trust)
            assert (await office.logins()).logins == ()
            await office.aclose()
            child.send_signal(signal.SIGTERM)  # while the client's long poll is held
            async with asyncio.timeout(5):
                code = await child.wait()
            await client.aclose()

    assert ready.status_code == 200
    assert 'zcode_certificate_expiry_timestamp_seconds{file="credentials.tls.certFile"}' in metrics.text
    assert code == 0


async def test_a_certificate_that_cannot_be_used_ends_it_with_every_reason(tmp_path: Path) -> None:
    wanted = with_tls(tmp_path)
    wanted["credentials"]["tls"]["clientCaFile"] = str(tmp_path / "nowhere")
    async with process(wanted) as child, asyncio.timeout(20):
        _, errors = await child.communicate()

    assert child.returncode == 64
    said = errors.decode()
    assert all(f"credentials.tls.{name} cannot be" in said for name in ("certFile", "keyFile", "clientCaFile"))
