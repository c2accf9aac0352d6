"""
A credentials service, a gateway and a store, each a process of its own, from the first start to a revoked key.

Shown to fail once by: a client that drops its snapshot when a poll fails (requests while the service is dead); a
snapshot without the revoked key's `disabled` (revocation); readiness without `snapshot` (the first test).
"""

import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from services.chassis.secret import Secret
from services.credentials.admin_contract import KeyRequest
from tests.support.cluster import Cluster
from tests.support.redis_server import Server
from tests.support.simulated import simulator_thread

PASSWORD = "canary-of-the-redis-user"
USERS = ("user default off", f"user zr on >{PASSWORD} ~* &* +@all")


@pytest.fixture
def origin() -> Iterator[str]:
    with simulator_thread() as found:
        yield found


@contextmanager
def cluster_over(kind: str, directory: Path, origin: str) -> Iterator[Cluster]:
    """Give a sidecar over SQLite, or a service over TCP with a Redis whose login is told apart from its URL."""
    if kind == "sidecar":
        yield Cluster(directory, origin, socket=True)
        return
    password = directory / "redis-password"
    password.write_text(f"{PASSWORD}\n")
    environment = {"ZCODE_STORE_USERNAME": "zr", "ZCODE_STORE_PASSWORD_FILE": str(password)}
    with Server(directory / "redis", *USERS) as redis:
        login = {"url": f"{redis.url}?deadline=4000", "username": "zr", "password": Secret(PASSWORD)}
        yield Cluster(directory, origin, socket=False, store=login, environment=environment)


@pytest.mark.promise("P-62")
@pytest.mark.parametrize("kind", ["sidecar", "deployment"])
async def test_a_gateway_leases_from_a_service_and_outlives_it(kind: str, tmp_path: Path, origin: str) -> None:
    with cluster_over(kind, tmp_path, origin) as cluster:
        cluster.command("init")
        await cluster.add(api_key="id.plan-key-canary")
        with cluster.gateway() as gateway:
            assert cluster.readiness() == (
                503,
                {"status": "unready", "degraded": ["snapshot", "leases", "credentials"]},
            )
            with cluster.credentials() as service:
                cluster.wait(lambda: cluster.readiness() == (200, {"status": "ready", "degraded": []}), gateway)
                key = cluster.command("keys", "create", "--name", "laptop")
                cluster.wait(lambda: cluster.ask(None).status_code == 401, gateway)  # until then no key is wanted
                assert cluster.ask(key).status_code == 200
                took = [await seconds_to_revoke(cluster, name) for name in ("a", "b", "c")]
                service.kill()

                answers = [cluster.ask(key).status_code for _ in range(20)]
                stranger = cluster.ask("zrp_nobody").status_code
            cluster.wait(
                lambda: cluster.readiness() == (200, {"status": "ready", "degraded": ["credentials"]}), gateway
            )
            after_all = cluster.ask(key).status_code
            written = gateway.log + service.log

    assert answers == [200] * 20
    assert (stranger, after_all) == (401, 200)
    assert statistics.median(took) < 1.0, took
    assert "canary" not in written


async def seconds_to_revoke(cluster: Cluster, name: str) -> float:
    """Make a key, use it, end it; return how long it was good after that."""
    async with cluster.office() as office:
        made = await office.create_key(KeyRequest(name=name))
        cluster.wait(lambda: cluster.ask(made.key).status_code == 200)
        await office.revoke_key(made.info.id)
        begun = time.monotonic()
        cluster.wait(lambda: cluster.ask(made.key).status_code == 401)
        return time.monotonic() - begun


async def test_a_gateway_with_a_wrong_token_is_refused_and_says_so(tmp_path: Path, origin: str) -> None:
    cluster = Cluster(tmp_path, origin, socket=True)
    cluster.command("init")
    await cluster.add(api_key="id.plan-key")
    wrong = tmp_path / "wrong.token"
    wrong.write_text("another-token-that-is-long-enough-too\n")
    theirs = cluster.settings | {"credentials": cluster.settings["credentials"] | {"tokenFile": str(wrong)}}
    cluster.write("wrong.yaml", theirs)
    with cluster.credentials(), cluster.gateway("wrong.yaml") as gateway:
        cluster.wait(lambda: "no token, or a wrong one" in gateway.log, gateway)
        ready = cluster.readiness()
        answer = cluster.ask("any")
        wrong.write_text(cluster.token.read_text())  # mended while it runs
        cluster.wait(lambda: cluster.readiness()[0] == 200, gateway)

    assert ready[0] == 503
    assert (answer.status_code, answer.json()["type"]) == (503, "error")


async def test_serve_leases_from_a_service_that_is_named_too(tmp_path: Path, origin: str) -> None:
    cluster = Cluster(tmp_path, origin, socket=True)
    cluster.command("init")
    await cluster.add(api_key="id.plan-key")
    elsewhere = cluster.settings | {"store": {"dir": str(tmp_path / "elsewhere")}, "keyring": {}}
    cluster.write("laptop.yaml", elsewhere)
    with cluster.credentials(), cluster.running("serve", "laptop.yaml") as laptop:
        cluster.wait(lambda: cluster.readiness()[0] == 200, laptop)
        status = cluster.ask(None).status_code
        made = (tmp_path / "elsewhere" / "store.db").exists()

    assert (status, made) == (200, False)


def test_an_address_without_a_token_file_is_a_fault_of_the_settings(tmp_path: Path) -> None:
    cluster = Cluster(tmp_path, "http://127.0.0.1:1", socket=True)
    cluster.write("config.yaml", cluster.settings | {"credentials": {"address": "http://127.0.0.1:8081"}})
    done = cluster.attempt("gateway")

    assert done.returncode == 64
    assert "credentials.tokenFile: is needed with an http(s) address" in done.stderr
