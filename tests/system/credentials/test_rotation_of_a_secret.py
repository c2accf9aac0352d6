"""
The master key is replaced where it is kept in a Kubernetes Secret: mounted read-only, changed by an operator alone.

Two services with a gateway each, a real Redis with the users of deploy/redis, and a third place for what a Job and an
operator run. The kubelet's part, swapping the link of a mounted Secret, is played by `MountedSecret`, and at another
time in each place. Shown to fail once by: a follower that does not look again (services without the key are waited for
in vain), a follower that seals with a new primary at once (the second test), `retired` that does not count.
"""

import asyncio
import contextlib
import itertools
import json
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import httpx2
import pytest

from services.chassis.secret import Secret
from services.credentials.admin_contract import KeyRequest
from services.credentials.contract import Kind
from services.credentials.keyring import Keyring
from services.credentials.vault_of import vault_of
from tests.support.cluster import QUESTION, Cluster
from tests.support.credentials import credential
from tests.support.mounted_secret import MountedSecret
from tests.support.redis_server import Server
from tests.support.simulated import simulator_thread

USERS = Path(__file__).parents[3] / "deploy" / "redis" / "users.acl"
PASSWORD = "the-password-of-zr-cred"
RECORDS = 150


class Place:
    """A pod: its own configuration and its own mount of the one Secret."""

    def __init__(self, directory: Path, redis: Server, origin: str, keyring: bytes) -> None:
        password = directory / "password"
        directory.mkdir()
        password.write_text(PASSWORD)
        self.secret = MountedSecret(directory, "keyring.json", keyring)
        self.cluster = Cluster(
            directory,
            origin,
            socket=True,
            store={"url": f"{redis.url}?deadline=4000", "username": "zr-cred", "password": Secret(PASSWORD)},
            environment={"ZCODE_STORE_USERNAME": "zr-cred", "ZCODE_STORE_PASSWORD_FILE": str(password)},
        )

    def begin(self, *argv: str) -> "subprocess.Popen[str]":
        """Start a command and leave it running."""
        return subprocess.Popen(
            [sys.executable, "-m", "services", *argv],
            cwd=self.cluster.directory,
            env=self.cluster.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def refused(self, *argv: str) -> str:
        """Run a command that must be refused, with nothing on standard output; return what it says."""
        done = self.cluster.attempt(*argv)
        assert (done.returncode, done.stdout) == (1, "")
        return done.stderr

    def status(self) -> dict[str, Any]:
        """Return `keyring status`."""
        found: dict[str, Any] = json.loads(self.cluster.command("keyring", "status", "--json"))
        return found


class Operator:
    """Two replicas and a Job, and who changes the Secret."""

    def __init__(self, directory: Path, redis: Server, origin: str) -> None:
        keyring = Keyring.generate(bytes(range(32))).dump()
        self.a, self.b, self.job = (Place(directory / name, redis, origin, keyring) for name in ("a", "b", "job"))

    @contextlib.contextmanager
    def running(self) -> Iterator[list[Any]]:
        """Run everything; give the processes."""
        with contextlib.ExitStack() as stack:
            found: list[Any] = []
            for place in (self.a, self.b):
                found.append(stack.enter_context(place.cluster.credentials()))
                gateway = stack.enter_context(place.cluster.gateway())
                place.cluster.wait(lambda place=place: place.cluster.readiness()[0] == 200, gateway)
                found.append(gateway)
            yield found


@pytest.fixture
def operator(tmp_path: Path) -> Iterator[Operator]:
    acl = tmp_path / "users.acl"
    acl.write_text(re.sub(r">PASSWORD-OF-ZR-CRED\b", f">{PASSWORD}", USERS.read_text()))
    with simulator_thread() as origin, Server(tmp_path / "redis", f"aclfile {acl}") as redis:
        yield Operator(tmp_path, redis, origin)


async def fill(operator: Operator) -> None:
    operator.job.cluster.command("init")
    async with vault_of(operator.job.cluster.store, operator.job.cluster.keyring) as (vault, store):
        now = await store.now()
        for number in range(RECORDS):
            record = credential(f"crd_{number:012d}", api_key=f"id.key-{number}", kind=Kind.API_KEY, rotated_at=now)
            await vault.write_credential(record, expected=0)


class Load:
    """Requests at both gateways, all the time."""

    def __init__(self, operator: Operator, key: str) -> None:
        self._ports = [place.cluster.port for place in (operator.a, operator.b)]
        self._key = key
        self._over = threading.Event()
        self.done = 0
        self.failed: list[object] = []
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        with httpx2.Client(headers={"x-api-key": self._key}, trust_env=False, timeout=30.0) as client:
            for port in itertools.cycle(self._ports):
                if self._over.wait(0.02):
                    return
                try:
                    status = client.post(f"http://127.0.0.1:{port}/v1/messages", json=QUESTION).status_code
                except httpx2.HTTPError as error:
                    self.failed.append(error)
                else:
                    self.failed += [] if status == 200 else [status]
                self.done += 1

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(60)


async def client_key(place: Place, name: str) -> str:
    """Make a client key with a service's own keyring of the moment."""
    async with place.cluster.office() as office:
        return (await office.create_key(KeyRequest(name=name))).key


@pytest.mark.promise("P-21")
@pytest.mark.timeout(400)
async def test_the_master_key_in_a_secret_is_replaced_with_no_failed_request(operator: Operator) -> None:
    a, b, job = operator.a, operator.b, operator.job
    await fill(operator)
    with operator.running() as processes, contextlib.ExitStack() as stack:
        key = await client_key(a, "load")
        b.cluster.wait(lambda: b.cluster.ask(key).status_code == 200)
        a.cluster.wait(lambda: a.cluster.ask(key).status_code == 200)
        load = stack.enter_context(Load(operator, key))

        # add: the Secret comes to one replica, later to the other
        added = job.cluster.command("keyring", "add").encode()
        job.secret.update(added)
        a.secret.update(added)
        lacking = job.refused("keyring", "promote")
        rotation = job.begin("rotate", "master", "--replicas", "2")
        await asyncio.sleep(3)
        assert rotation.poll() is None  # it waits for the other
        b.secret.update(added)
        said = rotation.communicate(timeout=60)[1]
        waited = rotation.returncode
        more = await client_key(b, "while there are two keys")

        # promote, and a Job that is killed while it seals anew
        promoted = job.cluster.command("keyring", "promote").encode()
        for place in (job, b, a):
            place.secret.update(promoted)
        first = job.begin("rotate", "master")
        stopped_midway(job, first)
        early = job.refused("keyring", "retire")
        first.kill()
        first.communicate()
        left = RECORDS - under(job, 2)
        proof = json.loads(job.cluster.command("rotate", "master", "--json"))

        # retire
        retired = job.cluster.command("keyring", "retire").encode()
        for place in (a, job, b):
            place.secret.update(retired)
        last = await client_key(a, "after all")
        a.cluster.wait(lambda: a.cluster.ask(last).status_code == 200)
        answers = [place.cluster.ask(word).status_code for place in (a, b) for word in (key, more)]
        again = json.loads(job.cluster.command("rotate", "master", "--json"))
        status = job.status()
        logs = "".join(process.log for process in processes)

    assert load.failed == []
    assert load.done > 500
    assert "not to " in lacking
    assert (waited, "keyring promote" in said, "run this again" in said) == (1, True, True)
    assert left > 20
    assert "records are not under master key 2 yet" in early
    assert set(proof["records"]) == {"2"}
    assert sum(proof["records"].values()) >= RECORDS + 3
    assert (proof["replicas"], proof["resealed"] <= left + 10, "keyring retire" in proof["next"]) == (2, True, True)
    assert answers == [200] * 4
    assert (again["retired"], "keyring add" in again["next"]) == ([1], True)
    assert [(each["state"], each["records"] > 0) for each in status["keys"]] == [("retired", False), ("primary", True)]
    assert "does not open" not in logs
    print(json.dumps({"promise": "P-21", "where": "a Secret", "requests": load.done, "failed": len(load.failed)}))


def stopped_midway(job: Place, resealing: "subprocess.Popen[str]") -> None:
    """Let it work by moments until some records are under the new key, and leave it there, however slow looking is."""
    for _ in range(100):
        time.sleep(0.2)
        resealing.send_signal(signal.SIGSTOP)
        if under(job, 2) > 20:
            return
        resealing.send_signal(signal.SIGCONT)
    raise AssertionError("it does not come")


def under(place: Place, kid: int) -> int:
    """Return how many records are under a key."""
    return sum(each["records"] for each in place.status()["keys"] if each["key"] == kid)


@pytest.mark.promise("P-22")
@pytest.mark.timeout(300)
async def test_a_keyring_that_comes_in_one_piece_cuts_no_replica_off(operator: Operator) -> None:
    """An operator, or a tool that copies Secrets, may leave the steps out; replicas then take them by themselves."""
    a, b, job = operator.a, operator.b, operator.job
    await fill(operator)
    kept = Keyring.parse((job.cluster.directory / "keyring.json").read_bytes())
    at_once = kept.added(bytes(range(32, 64))).promoted(2).dump()
    with operator.running() as processes:
        a.secret.update(at_once)
        a.cluster.wait(lambda: "does not seal before every replica has it" in processes[0].log)
        between = await client_key(a, "between")
        b.cluster.wait(lambda: b.cluster.ask(between).status_code == 200)
        job.secret.update(at_once)
        while_one_lacks_it = under(job, 2)
        b.secret.update(at_once)
        proof = json.loads(job.cluster.command("rotate", "master", "--replicas", "2", "--json"))
        after = await client_key(a, "after")
        b.cluster.wait(lambda: b.cluster.ask(after).status_code == 200)
        answers = [place.cluster.ask(between).status_code for place in (a, b)]
        logs = "".join(process.log for process in processes)

    assert while_one_lacks_it == 0
    assert set(proof["records"]) == {"2"}
    assert answers == [200, 200]
    assert "does not open" not in logs
