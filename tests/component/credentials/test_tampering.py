"""P-24, P-26, P-27: what a store gives back is believed only when it is what was put there, where and when it was."""

import ast
import itertools
import os
import random
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from services.chassis.sealing import RANDOM_SIZE, Why
from services.credentials.errors import Undecryptable
from services.credentials.stores.memory import MemoryStore
from services.credentials.stores.port import Versioned
from services.credentials.stores.sqlite import SqliteStore
from services.credentials.vault import Vault
from tests.support.promises import show
from tests.support.vaults import FIRST, Reports, contents, credential, filled, overwrite

SERVICES = Path(__file__).parents[3] / "services"

Mutation = Callable[[random.Random, Versioned, Versioned], Versioned]


class OpenStore(MemoryStore):
    """A store whose writers keep no rules."""

    def plant(self, kind: str, id_: str, stored: Versioned) -> None:
        self._values[kind, id_] = stored


def flipped(chance: random.Random, stored: Versioned, _: Versioned) -> Versioned:
    spoilt = bytearray(stored.value)
    for _ in range(chance.choice((1, 1, 1, 2, 8))):
        spoilt[chance.randrange(len(spoilt))] ^= 1 << chance.randrange(8)
    return msgspec.structs.replace(stored, value=bytes(spoilt))


def truncated(chance: random.Random, stored: Versioned, _: Versioned) -> Versioned:
    return msgspec.structs.replace(stored, value=stored.value[: chance.randrange(len(stored.value))])


def extended(chance: random.Random, stored: Versioned, _: Versioned) -> Versioned:
    return msgspec.structs.replace(stored, value=stored.value + chance.randbytes(chance.randint(1, 40)))


def cut_out(chance: random.Random, stored: Versioned, _: Versioned) -> Versioned:
    start = chance.randrange(len(stored.value))
    rest = stored.value[start + chance.randint(1, 20) :]
    return msgspec.structs.replace(stored, value=stored.value[:start] + rest)


def spliced(chance: random.Random, stored: Versioned, other: Versioned) -> Versioned:
    at = chance.randrange(6, min(len(stored.value), len(other.value)))
    return msgspec.structs.replace(stored, value=stored.value[:at] + other.value[at:])


def swapped(chance: random.Random, stored: Versioned, other: Versioned) -> Versioned:
    return msgspec.structs.replace(other, version=chance.choice((stored.version, other.version)))


def renumbered(chance: random.Random, stored: Versioned, _: Versioned) -> Versioned:
    versions = (-1, 0, 1, stored.version - 1, stored.version + 1, 2**63, 2**64, chance.randrange(2**40))
    return msgspec.structs.replace(stored, version=chance.choice(versions))


def random_bytes(chance: random.Random, stored: Versioned, _: Versioned) -> Versioned:
    return msgspec.structs.replace(stored, value=chance.randbytes(chance.randrange(400)))


MUTATIONS: tuple[Mutation, ...] = (
    flipped,
    truncated,
    extended,
    cut_out,
    spliced,
    swapped,
    renumbered,
    random_bytes,
)


async def records(count: int) -> tuple[OpenStore, Vault, dict[str, list[Versioned]]]:
    """Return a store of credentials, each written three times, and all that was ever stored, oldest first."""
    store = OpenStore()
    vault = await filled(store, 0)
    history: dict[str, list[Versioned]] = {}
    for number in range(count):
        record = credential(number)
        for version in range(3):
            record = await vault.write_credential(msgspec.structs.replace(record, label=f"v{version}"), version)
            stored = await store.get("cred", record.id)
            assert stored is not None
            history.setdefault(record.id, []).append(stored)
    return store, vault, history


async def rejected(vault: Vault, id_: str) -> bool:
    try:
        await vault.read_credential(id_)
    except Undecryptable:
        return True
    return False


@pytest.mark.promise("P-24")
@pytest.mark.parametrize("count", [1000, pytest.param(10_000, marks=pytest.mark.soak)])
async def test_no_mutated_record_is_accepted_and_none_crashes_the_reader(count: int) -> None:
    chance = random.Random(24)
    store, vault, history = await records(20)
    accepted = []

    for number in range(count):
        mutate = MUTATIONS[number % len(MUTATIONS)]
        id_, other = chance.sample(sorted(history), 2)
        genuine = history[id_][-1]
        mutated = mutate(chance, genuine, history[other][-1])
        if (mutated.version, mutated.value) == (genuine.version, genuine.value):
            continue
        store.plant("cred", id_, mutated)
        if not await rejected(vault, id_):
            accepted.append((mutate.__name__, number))
        store.plant("cred", id_, genuine)

    show("P-24", count, len(accepted))
    assert accepted == []
    assert [found.label for found in await vault.credentials()] == ["v2"] * 20


@pytest.mark.promise("P-24")
@pytest.mark.parametrize("count", [63, pytest.param(200, marks=pytest.mark.soak)])
async def test_no_record_is_accepted_in_the_place_of_another(count: int) -> None:
    store, vault, history = await records(count)
    accepted = 0

    for id_, other in itertools.permutations(history, 2):
        store.plant("cred", id_, history[other][-1])
        accepted += not await rejected(vault, id_)
        store.plant("cred", id_, history[id_][-1])

    show("P-24", count * (count - 1), accepted, what="pairs")
    assert accepted == 0


@pytest.mark.promise("P-24")
async def test_no_record_is_accepted_that_is_older_than_what_was_read_whatever_version_it_claims() -> None:
    store, vault, history = await records(50)
    accepted = 0

    for id_, versions in history.items():
        for old in versions[:-1]:
            for version in (old.version, versions[-1].version, versions[-1].version + 1):
                store.plant("cred", id_, msgspec.structs.replace(old, version=version))
                accepted += not await rejected(vault, id_)

    assert accepted == 0


@pytest.mark.promise("P-24")
async def test_a_credential_is_not_accepted_as_a_value_of_another_kind() -> None:
    store, vault, history = await records(2)
    stored = next(iter(history.values()))[-1]
    for kind in ("meta", "captcha"):
        store.plant(kind, next(iter(history)), stored)

        with pytest.raises(Undecryptable):
            await vault.read_value(kind, next(iter(history)))


@pytest.mark.promise("P-26")
async def test_records_that_do_not_open_are_reported_and_left_as_they_are_while_the_others_serve(
    tmp_path: Path,
) -> None:
    store, reports = SqliteStore(tmp_path / "store.db"), Reports()
    await filled(store, 200)
    chance = random.Random(26)
    corrupt = chance.sample(range(200), 50)
    for number in corrupt:
        stored = await store.get("cred", credential(number).id)
        assert stored is not None
        await overwrite(store, "cred", credential(number).id, flipped(chance, stored, stored).value)
    before = await contents(store)

    vault = Vault(store, FIRST, report=reports)
    await vault.unlock()
    served = await vault.credentials()
    for number in corrupt:
        for write in (vault.read_credential(credential(number).id), vault.reseal("cred", credential(number).id)):
            with pytest.raises(Undecryptable):
                await write
        with pytest.raises(Undecryptable):
            await vault.write_credential(credential(number), 2)
    await vault.credentials()

    assert len(served) == 150
    assert sorted(trouble.id for trouble in reports.troubles) == sorted(credential(number).id for number in corrupt)
    assert {trouble.why for trouble in reports.troubles} <= {
        Why.MALFORMED,
        Why.TAMPERED,
        Why.WRONG_KEY,
        Why.UNKNOWN_KEY,
    }
    assert await contents(store) == before
    await store.aclose()


@pytest.mark.promise("P-27")
@pytest.mark.timeout(300)
@pytest.mark.parametrize("count", [100_000, pytest.param(1_000_000, marks=pytest.mark.soak)])
def test_no_salt_and_no_nonce_is_ever_used_twice(count: int) -> None:
    vault = Vault(MemoryStore(), FIRST)
    salts, nonces = set(), set()

    for number in range(count):
        sealed = vault.seal_value("spool", "crd_x", "secrets", number, b"")
        salts.add(sealed[5:21])
        nonces.add(sealed[37:49])

    show("P-27", count, count - min(len(salts), len(nonces)))
    assert len(salts) == len(nonces) == count


@pytest.mark.promise("P-27")
def test_by_default_the_random_bytes_come_from_the_operating_system() -> None:
    first, second = (Vault(MemoryStore(), FIRST)._random for _ in range(2))

    assert first(RANDOM_SIZE) != second(RANDOM_SIZE)
    assert first.__module__ == "secrets"
    assert len(os.urandom(1)) == len(first(1))


@pytest.mark.promise("P-27")
def test_one_module_alone_touches_a_cipher() -> None:
    found = {path.relative_to(SERVICES).as_posix() for path in SERVICES.rglob("*.py") if uses_cipher(path)}

    assert found == {"chassis/sealing.py"}


def uses_cipher(path: Path) -> bool:
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    ciphers = ("cryptography.hazmat.primitives.ciphers", "cryptography.fernet", "Crypto", "nacl")
    return any(name == cipher or name.startswith(f"{cipher}.") for name in names for cipher in ciphers)
