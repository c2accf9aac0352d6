"""
Rotations in processes of their own, to be killed.

    python -m tests.support.rotating run <directory> <rate> <attempt>      one rotation; prints its proof as JSON
    python -m tests.support.rotating crash < trials > outcomes             kills one rotation per trial, runs another

A directory holds `keyring` and `store.db`. Time differs between attempts by more than any lease, so that a second
attempt need not wait for what the killed one held.
"""

import asyncio
import os
import sys
from pathlib import Path

import msgspec

from services.chassis.clock import SystemClock
from services.credentials import keyring_file
from services.credentials.failpoints import Failpoints, Rule
from services.credentials.keyring_file import KeyringFile
from services.credentials.rotation import Hooks, Proof, Rotation
from services.credentials.stores.sqlite import SqliteStore
from services.credentials.vault import Vault
from tests.support.vaults import filled

LEASE = 3.0


class Trial(msgspec.Struct):
    """Kill a rotation of a new directory where a rule says."""

    directory: str
    records: int
    place: str
    n: int


class Outcome(msgspec.Struct):
    """How a trial went. `counts` is of the second rotation, `states` of the keyring after it."""

    trial: Trial
    killed: bool
    counts: dict[int, int] = {}
    states: dict[int, str] = {}
    opened: int = 0


class LaterClock(SystemClock):
    """The machine's clock, some attempts later."""

    __slots__ = ("_ahead",)

    def __init__(self, attempt: int) -> None:
        self._ahead = attempt * 2 * LEASE

    def monotonic(self) -> float:
        return super().monotonic() + self._ahead


async def rotate(directory: Path, rate: float, attempt: int, failpoints: Failpoints) -> Proof:
    """Run one rotation over a directory."""
    clock = LaterClock(attempt)
    store = SqliteStore(directory / "store.db", clock)
    holder = KeyringFile(directory / "keyring")
    hooks = Hooks(failpoint=failpoints.at)
    vault = Vault(store, await holder.read())
    await vault.unlock()
    try:
        return await Rotation(store, vault, holder, rate=rate, lease=LEASE, hooks=hooks, clock=clock).run()
    finally:
        await store.aclose()


async def prepare(directory: Path, records: int) -> None:
    """Make a keyring and a store with so many credentials."""
    keyring = keyring_file.load_or_generate(directory / "keyring")
    store = SqliteStore(directory / "store.db")
    await filled(store, records, keyring)
    await store.aclose()


async def examine(trial: Trial, proof: Proof) -> Outcome:
    """Open everything with what is left once the retired keys are deleted."""
    directory = Path(trial.directory)
    keyring = kept = keyring_file.load(directory / "keyring")
    for kid in proof.retired:
        kept = kept.without(kid)
    store = SqliteStore(directory / "store.db")
    vault = Vault(store, kept)
    await vault.unlock()
    opened = len(await vault.credentials())
    await store.aclose()
    return Outcome(trial, True, proof.counts, {key.kid: key.state.value for key in keyring}, opened)


def crash(trial: Trial) -> Outcome:
    """Kill a rotation in a fork of this process, then run another to its end."""
    directory = Path(trial.directory)
    asyncio.run(prepare(directory, trial.records))
    child = os.fork()
    if child == 0:
        rules = (Rule(trial.place, trial.n, "kill"),)
        asyncio.run(rotate(directory, 1e6, 0, Failpoints(rules)))
        os._exit(0)
    if os.WTERMSIG(os.waitpid(child, 0)[1]) != 9:
        return Outcome(trial, killed=False)
    proof = asyncio.run(asyncio.wait_for(rotate(directory, 1e6, 1, Failpoints()), 30))
    return asyncio.run(examine(trial, proof))


def main(arguments: list[str]) -> None:
    if arguments[0] == "run":
        directory, rate, attempt = arguments[1:]
        proof = asyncio.run(rotate(Path(directory), float(rate), int(attempt), Failpoints()))
        sys.stdout.buffer.write(msgspec.json.encode(proof))
    else:
        for trial in msgspec.json.decode(sys.stdin.buffer.read(), type=list[Trial]):
            sys.stdout.buffer.write(msgspec.json.encode(crash(trial)) + b"\n")
            sys.stdout.buffer.flush()


if __name__ == "__main__":
    main(sys.argv[1:])
