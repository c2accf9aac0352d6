"""One rotation that something gets in the way of: another one, records in use, a store that falters, a record that does not open."""

import pytest

from services.credentials.errors import Conflict
from services.credentials.replicas import Reporter
from services.credentials.stores.memory import MemoryStore
from services.credentials.stores.port import Granted, StoreUnavailable
from services.credentials.vault import META, Vault
from tests.support.rotation_world import World, replica
from tests.support.vaults import ADDED, FIRST, credential, overwrite


async def test_of_two_rotations_one_runs() -> None:
    world = await World().filled()
    assert isinstance(await world.store.acquire(META, "rotation", "other", ttl=1e6, seen=0), Granted)

    with pytest.raises(Conflict, match="another rotation is running"):
        await world.rotation().run()

    assert world.holder.written == 0


async def test_a_rotation_goes_on_by_itself_after_one_that_was_killed() -> None:
    world = await World().filled()
    await world.store.acquire(META, "rotation", "killed", ttl=30.0, seen=0)

    assert (await world.rotation().run()).counts == {2: 7}


async def test_a_rotation_that_lost_its_lease_stops() -> None:
    world = await World().filled(5)

    async def pause() -> None:
        world.clock.advance(60)
        await world.store.acquire(META, "rotation", "other", ttl=1e6, seen=0)

    world.meanwhile = [pause]
    with pytest.raises(Conflict, match="taken over"):
        await world.rotation().run()


async def test_a_keyring_that_somebody_else_changed_is_not_overwritten() -> None:
    world = await World().filled()
    changed = FIRST.added(b"by hand, by somebody in a hurry ")
    await replica(world)

    async def interfere() -> None:
        await Reporter(world.store, Vault(world.store, world.holder.keyring), "a").report()
        world.holder.keyring = changed

    world.meanwhile = [interfere]
    with pytest.raises(Conflict, match="changed by somebody else"):
        await world.rotation().run()

    assert world.holder.keyring == changed


async def test_a_long_rotation_keeps_its_lease() -> None:
    world = await World().filled(1100)  # 22 seconds

    assert (await world.rotation().run()).resealed == 1102


async def test_a_record_that_is_being_refreshed_is_sealed_anew_afterwards() -> None:
    world = await World().filled(2)
    name = ("cred", credential(0).id)
    await world.store.acquire(*name, "refresh", ttl=5.0, seen=1)

    proof = await world.rotation().run()

    assert (proof.counts, proof.resealed) == ({2: 4}, 4)
    assert world.clock.monotonic() >= 1_005.0


async def test_a_record_that_stays_in_use_stops_the_rotation_and_keeps_the_old_key() -> None:
    world = await World().filled(2)
    await world.store.acquire("cred", credential(0).id, "refresh", ttl=1e6, seen=1)

    with pytest.raises(Conflict, match="1 records are in use"):
        await world.rotation().run()

    assert [key.state.value for key in world.holder.keyring] == ["decrypt", "primary"]


async def test_a_record_that_was_written_meanwhile_is_left_to_the_next_look() -> None:
    world = await World().filled(2)
    other = Vault(world.store, ADDED)

    async def write() -> None:
        await other.write_credential(credential(1, label="meanwhile"), 1)

    world.meanwhile = [write]
    proof = await world.rotation().run()

    assert proof.counts == {2: 4}
    found = await Vault(world.store, world.holder.keyring).read_credential(credential(1).id)
    assert (found.label, found.version) == ("meanwhile", 3)


class Faltering(MemoryStore):
    """A store that leaves some writes unanswered."""

    failures = 0

    async def put(self, kind: str, id_: str, value: bytes, *, kid: int, expected: int) -> bool:
        if kind == "cred" and kid == 2 and self.failures:
            self.failures -= 1
            raise StoreUnavailable("another process has been writing to the store for too long")
        return await super().put(kind, id_, value, kid=kid, expected=expected)


@pytest.mark.parametrize(("failures", "ends_well"), [(2, True), (3, False)])
async def test_a_store_that_falters_is_asked_again_and_one_that_is_away_stops_the_rotation(
    failures: int, *, ends_well: bool
) -> None:
    world = World()
    world.store = store = Faltering(world.clock)
    await world.filled(5)
    store.failures = failures

    if ends_well:
        assert (await world.rotation().run()).counts == {2: 7}
    else:
        with pytest.raises(StoreUnavailable):
            await world.rotation().run()
        assert (await world.rotation().run()).counts == {2: 7}


@pytest.mark.parametrize("broken", [1, 12])
async def test_records_that_do_not_open_keep_the_old_key_and_are_named(broken: int) -> None:
    world = await World().filled(20)
    for number in range(broken):
        await overwrite(world.store, "cred", credential(number).id, b"rubbish")

    with pytest.raises(Conflict, match=rf"^{broken} records do not open.*crd_000000000000") as caught:
        await world.rotation().run()

    assert ("…" in str(caught.value)) is (broken > 10)
    assert [key.state.value for key in world.holder.keyring] == ["decrypt", "primary"]
    vault = Vault(world.store, world.holder.keyring)
    for number in range(broken):
        await vault.remove("cred", credential(number).id, 2)
    assert (await world.rotation().run()).counts == {2: 22 - broken}
