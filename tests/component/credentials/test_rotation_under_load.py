"""P-21, P-22: the master key is replaced while everybody works, and no two replicas ever stop understanding each other."""

import asyncio
import contextlib
import itertools
import random
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from services.credentials import keyring_file, replicas
from services.credentials.errors import Conflict, Undecryptable
from services.credentials.keyring import Keyring, KeyState
from services.credentials.keyring_file import KeyringWatch
from services.credentials.replicas import Reporter
from services.credentials.rotation import Proof
from services.credentials.stores.memory import MemoryStore
from services.credentials.stores.sqlite import SqliteStore
from services.credentials.vault import Vault
from tests.support.rotating import prepare
from tests.support.vaults import ADDED, FIRST, PROMOTED, RETIRED, Reports, credential

ROOT = Path(__file__).parents[3]
LOAD = 200  # requests per second


class Replica:
    """One replica of the service in this process: a connection, a vault, and what follows the keyring."""

    def __init__(self, directory: Path, name: str, *, slow: float) -> None:
        path = directory / "keyring"
        self.reports = Reports()
        self.store = SqliteStore(directory / "store.db")
        self.vault = Vault(self.store, keyring_file.load(path), report=self.reports)
        self.watch = KeyringWatch(path)
        self.reporter = Reporter(self.store, self.vault, name)
        self.complaints: list[Exception] = []
        self._slow = slow

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        await self.vault.unlock()
        follow = asyncio.ensure_future(
            replicas.follow(
                self.store,
                self.vault,
                self.watch,
                self.reporter,
                complain=self.complaints.append,
                sleep=lambda _: asyncio.sleep(self._slow),
            )
        )
        try:
            yield
        finally:
            follow.cancel()
            await asyncio.gather(follow, return_exceptions=True)
            await self.reporter.leave()
            await self.store.aclose()


class Load:
    """Requests at a steady rate over some replicas, half of them for ten records; nine reads, one write, and so on."""

    def __init__(self, running: list[Replica], records: int) -> None:
        self._running = running
        self._records = records
        self._chance = random.Random(21)
        self.done = self.written = 0
        self.failed: list[BaseException] = []

    async def until(self, finished: asyncio.Event) -> None:
        started = time.monotonic()
        async with asyncio.TaskGroup() as group:
            for number in itertools.count():
                if finished.is_set():
                    return
                await asyncio.sleep(max(0.0, started + number / LOAD - time.monotonic()))
                group.create_task(self._one(number))

    async def _one(self, number: int) -> None:
        vault = self._chance.choice(self._running).vault
        id_ = credential(self._chance.randrange(self._chance.choice((10, self._records)))).id
        try:
            if number % 10:
                await vault.read_credential(id_)
            else:
                await self._write(vault, id_)
        except Exception as fault:  # noqa: BLE001 -- every failure counts, whatever it is
            self.failed.append(fault)
        self.done += 1

    async def _write(self, vault: Vault, id_: str) -> None:
        for _ in range(10):
            found = await vault.read_credential(id_)
            changed = msgspec.structs.replace(found, label=f"{found.label}.")
            with contextlib.suppress(Conflict):
                await vault.write_credential(changed, found.version)
                self.written += 1
                return
        raise TimeoutError("ten conflicts in a row")


async def rotation(directory: Path, rate: float, attempt: int) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.support.rotating", "run", str(directory), str(rate), str(attempt)),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
    )


async def rotate_and_kill(directory: Path, rate: float, kills: int, seconds: float) -> tuple[Proof, int]:
    """Run rotations, kill each of the first `kills` at a random instant; return the proof of the one that finished."""
    chance = random.Random(kills)
    killed = 0
    for attempt in itertools.count():
        process = await rotation(directory, rate, attempt)
        if killed < kills:
            try:
                await asyncio.wait_for(process.wait(), 0.4 + chance.random() * seconds / kills)
            except TimeoutError:
                process.kill()
                await process.communicate()
                killed += 1
                continue
        output = (await asyncio.wait_for(process.communicate(), 60 + seconds))[0]
        assert process.returncode == 0
        return msgspec.json.decode(output, type=Proof), killed
    raise AssertionError


@pytest.mark.promise("P-21")
@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("records", "kills", "rate"),
    [pytest.param(1000, 2, 500.0, id="a tenth"), pytest.param(10_000, 20, 500.0, id="all", marks=pytest.mark.soak)],
)
async def test_the_master_key_is_replaced_under_load_with_no_failed_request(
    records: int, kills: int, rate: float, tmp_path: Path
) -> None:
    await prepare(tmp_path, records)
    running = [Replica(tmp_path, "a", slow=0.05), Replica(tmp_path, "b", slow=1.5)]
    load = Load(running, records)
    finished = asyncio.Event()

    async with running[0].running(), running[1].running(), asyncio.TaskGroup() as group:
        group.create_task(load.until(finished))
        try:
            proof, killed = await rotate_and_kill(tmp_path, rate, kills, records / rate)
        finally:
            finished.set()

    assert load.failed == []
    assert load.done > LOAD
    assert killed == kills
    assert [replica.reports.troubles + replica.complaints for replica in running] == [[], []]
    assert proof.primary == 2
    assert set(proof.counts) == {2}
    await nothing_needs_the_old_key(tmp_path, records, load.written)
    print(msgspec.json.encode({"promise": "P-21", "requests": load.done, "failed": 0, "kills": killed}).decode())


async def nothing_needs_the_old_key(directory: Path, records: int, written: int) -> None:
    keyring = keyring_file.load(directory / "keyring")
    for key in keyring:
        if key.state is KeyState.RETIRED:
            keyring = keyring.without(key.kid)
    store, reports = SqliteStore(directory / "store.db"), Reports()
    vault = Vault(store, keyring, report=reports)
    await vault.unlock()
    found = await vault.credentials()
    assert len(found) == records
    assert sum(record.label.count(".") for record in found) == written  # no write was lost
    assert reports.troubles == []
    await store.aclose()


# -- replicas that are not in the same step

BEFORE_ADD, DELETED = FIRST, RETIRED.without(1)
# After `promote` and `re-encrypt` the keyring is the same; what differs is what lies in the store.
STEPS = {"add": ADDED, "distribute": ADDED, "promote": PROMOTED, "re-encrypt": PROMOTED, "retire": RETIRED}


async def understood(writer: Keyring, reader: Keyring) -> bool:
    """Tell whether a replica with one keyring reads what another wrote with its own, by way of the file format."""
    store = MemoryStore()
    written = await Vault(store, Keyring.parse(writer.dump())).write_credential(credential(), 0)
    try:
        return await Vault(store, Keyring.parse(reader.dump())).read_credential(written.id) == written
    except Undecryptable:
        return False


@pytest.mark.promise("P-22")
@pytest.mark.parametrize("new", STEPS)
@pytest.mark.parametrize("old", STEPS)
async def test_replicas_in_different_steps_read_each_other(old: str, new: str) -> None:
    assert await understood(STEPS[old], STEPS[new])
    assert await understood(STEPS[new], STEPS[old])


@pytest.mark.promise("P-22")
@pytest.mark.parametrize(("old", "new"), list(itertools.pairwise([BEFORE_ADD, *STEPS.values(), DELETED])), ids=str)
async def test_replicas_one_step_apart_read_each_other_from_before_the_first_step_to_after_the_last(
    old: Keyring, new: Keyring
) -> None:
    assert await understood(old, new)
    assert await understood(new, old)


@pytest.mark.promise("P-22")
async def test_a_step_is_not_left_out_because_replicas_two_steps_apart_would_not() -> None:
    assert not await understood(PROMOTED, BEFORE_ADD)
    assert not await understood(ADDED, DELETED)
