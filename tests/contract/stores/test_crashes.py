"""
The embedded store at the end of its process, its disk and its power (promises.md P-18).

Every system call that writes or syncs a file of the store is failed in turn, and is the last thing the process does in
turn. A power cut is played by keeping of each file what was last synced: what a disk may have lost at worst when it
reorders nothing within a file. Torn sectors and lying disks are not played.
"""

import contextlib
import errno
import random
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.credentials.stores.sqlite import SqliteStore
from tests.support.promises import show
from tests.support.store_writer import FILE, Outcome, Round, StoreWriters, number_of
from tests.support.system_calls import SYNCS, Call

pytestmark = pytest.mark.promise("P-18")

WRITES = 4
FAULTS = {"disk full": errno.ENOSPC, "disk broken": errno.EIO, "killed": -signal.SIGKILL}


@pytest.fixture(scope="module")
def writers() -> Iterator[StoreWriters]:
    with StoreWriters() as writers:
        yield writers


async def stored(directory: Path) -> int:
    """Return the number of the write that a new process finds, and see that it can write."""
    async with contextlib.aclosing(SqliteStore(directory / FILE)) as store:
        found = await store.get("cred", "crd_a")
        before = await store.generation()
        assert await store.put("cred", "crd_b", b"after", kid=1, expected=0)
        assert await store.generation() > before
        return number_of(found)


def calls_of(writers: StoreWriters, directory: Path) -> int:
    """Count the calls of a round that goes well."""
    outcome = writers.run(Round(str(directory), writes=WRITES))
    assert outcome.acknowledged == list(range(WRITES))
    return len(outcome.calls)


async def spoil(writers: StoreWriters, directory: Path, at: int, fault: int) -> Outcome:
    """Run a round whose call `at` goes wrong; what was acknowledged is there, what is there is whole."""

    def decide(number: int, _call: Call, _acknowledged: list[int]) -> int | None:
        return fault if number == at else None

    outcome = writers.run(Round(str(directory), writes=WRITES), decide)
    found = await stored(directory)
    newest = max(outcome.acknowledged, default=-1)
    assert newest <= found, f"call {at}: write {newest} was acknowledged, {found} is stored"
    assert found <= newest + 1 or found in outcome.refused, f"call {at}: write {found} was never tried"
    return outcome


@pytest.mark.parametrize("fault", list(FAULTS))
async def test_whatever_call_goes_wrong_the_old_or_the_new_record_is_there(
    writers: StoreWriters, tmp_path: Path, fault: str
) -> None:
    """Every third call; `make soak` tries all."""
    await spoil_calls(writers, tmp_path, fault, step=3)


@pytest.mark.soak
@pytest.mark.timeout(600)
@pytest.mark.parametrize("fault", list(FAULTS))
async def test_whatever_call_goes_wrong_at_all(writers: StoreWriters, tmp_path: Path, fault: str) -> None:
    await spoil_calls(writers, tmp_path, fault, step=1)


async def spoil_calls(writers: StoreWriters, directory: Path, fault: str, *, step: int) -> None:
    count = calls_of(writers, directory / "well")
    refusals = 0
    for at in range(random.randint(1, step), count + 1, step):
        outcome = await spoil(writers, directory / str(at), at, FAULTS[fault])
        if fault == "killed":
            assert outcome.signal == -signal.SIGKILL
        else:
            assert outcome.signal == 0, "a broken disk is no reason to crash"
            assert len(outcome.refused) <= 2, "one fault costs one write, and perhaps the opening"
        refusals += len(outcome.refused)
    show("P-18", len(range(1, count + 1, step)), 0, fault=fault, calls=count)
    assert refusals or fault == "killed"


async def test_nothing_is_acknowledged_before_it_is_synced(writers: StoreWriters, tmp_path: Path) -> None:
    """The power goes at every call, and all that was never synced goes with it."""
    synced: dict[str, bytes] = {}
    cuts: list[tuple[int, dict[str, bytes]]] = []

    def decide(_number: int, call: Call, acknowledged: list[int]) -> None:
        cuts.append((max(acknowledged, default=-1), dict(synced)))
        if call.name not in SYNCS:
            return
        if call.path.is_file():
            synced[call.path.name] = call.path.read_bytes()
        else:  # a directory: what was deleted in it stays so
            for name in [name for name in synced if not (call.path / name).exists()]:
                del synced[name]

    outcome = writers.run(Round(str(tmp_path / "power"), writes=WRITES), decide)

    assert outcome.acknowledged == list(range(WRITES))
    for at, (acknowledged, files) in enumerate(cuts):
        directory = tmp_path / f"cut{at}" / "state"
        directory.mkdir(parents=True, mode=0o700)
        for name, content in files.items():
            (directory / name).write_bytes(content)
        assert await stored(directory.parent) >= acknowledged, f"cut at call {at}"


async def test_the_log_is_synced_between_a_write_and_its_acknowledgement(writers: StoreWriters, tmp_path: Path) -> None:
    last_of: dict[int, str] = {}  # newest acknowledged write -> last call on the log before the next was begun
    newest = -1
    last = ""

    def decide(_number: int, call: Call, acknowledged: list[int]) -> None:
        nonlocal newest, last
        if len(acknowledged) - 1 > newest:
            newest = len(acknowledged) - 1
            last_of[newest] = last
        if call.path.name.endswith("-wal"):
            last = call.name

    writers.run(Round(str(tmp_path), writes=WRITES), decide)

    assert len(last_of) >= WRITES - 1
    assert set(last_of.values()) <= set(SYNCS)


async def test_a_killed_process_loses_nothing_that_was_acknowledged(writers: StoreWriters, tmp_path: Path) -> None:
    """A hundred times; `make soak` a thousand."""
    await kill_again_and_again(writers, tmp_path, 100)


@pytest.mark.soak
@pytest.mark.timeout(900)
async def test_a_thousand_kills_lose_nothing_that_was_acknowledged(writers: StoreWriters, tmp_path: Path) -> None:
    await kill_again_and_again(writers, tmp_path, 1000)


async def kill_again_and_again(writers: StoreWriters, directory: Path, times: int) -> None:
    """One file, many lives: each goes on where the last was killed."""
    chance = random.Random(18)
    first, killed = 0, 0
    for _ in range(times):
        round_ = Round(str(directory), first=first, writes=1000, watched=False)
        outcome = writers.run(round_, kill_after=chance.uniform(0.0, 0.06))
        killed += outcome.signal == -signal.SIGKILL
        async with contextlib.aclosing(SqliteStore(directory / FILE)) as store:
            found = number_of(await store.get("cred", "crd_a"))
        assert found >= max(outcome.acknowledged, default=-1)
        assert found <= max([first - 1, *outcome.acknowledged]) + 1
        first = found + 1
    show("P-18", times, 0, writes=first)
    assert killed == times
    assert first > times // 2
