"""One rotation, step by step: with replicas to wait for, and of a keyring that is somebody else's to change."""

import pytest

from services.credentials.errors import Conflict, KeyringInvalid
from services.credentials.keyring import Keyring
from services.credentials.rotation import RATE, Proof, Rotation
from services.credentials.rotation_plan import Step
from services.credentials.vault import Vault
from tests.support.rotation_world import World, replica
from tests.support.vaults import ADDED, FIRST, PROMOTED, RETIRED, contents, credential


async def test_a_rotation_takes_every_step_in_order_and_shows_a_count() -> None:
    world = await World().filled()

    proof = await world.rotation().run()

    assert world.steps() == [Step.ADD, Step.PROMOTE, Step.REENCRYPT, Step.RETIRE, Step.DONE]
    assert proof == Proof(primary=2, retired=(1,), counts={2: 7}, resealed=7, replicas=0)
    assert [key.state.value for key in world.holder.keyring] == ["retired", "primary"]
    vault = Vault(world.store, world.holder.keyring.without(1))
    await vault.unlock()
    assert [found.secrets for found in await vault.credentials()] == [credential(n).secrets for n in range(5)]


async def test_master_actions_are_audited_before_they_are_done() -> None:
    world = await World().filled()

    await world.rotation().run()

    assert world.audited == [
        ("master.add", 2, 0),
        ("master.promote", 2, 1),
        ("master.rewrap.done", 2, 2),
        ("master.retire", 2, 2),
    ]


async def test_nothing_changes_when_it_cannot_be_audited() -> None:
    async def refuse(event: str, kid: int) -> None:
        raise OSError("the audit log is full")

    world = await World().filled()
    world.audit = refuse  # type: ignore[method-assign]

    with pytest.raises(OSError, match="audit"):
        await world.rotation().run()

    assert world.holder.keyring == FIRST


async def test_a_rotation_runs_without_hooks() -> None:
    world = await World().filled(1)

    assert (await Rotation(world.store, Vault(world.store, FIRST), world.holder, rate=1e6).run()).counts == {2: 3}


async def test_records_are_sealed_anew_at_the_agreed_rate() -> None:
    world = await World().filled(98)
    started = world.clock.monotonic()

    await world.rotation().run()

    assert world.clock.monotonic() - started == pytest.approx(100 / RATE)
    assert [progress.done for progress in world.progress if progress.total == 100] == list(range(1, 101))


async def test_a_second_rotation_takes_the_next_key() -> None:
    world = await World().filled()
    await world.rotation().run()

    proof = await world.rotation().run()

    assert (proof.primary, proof.retired, proof.counts) == (3, (1, 2), {3: 7})


@pytest.mark.parametrize("keyring", [ADDED, PROMOTED], ids=["added", "promoted"])
async def test_a_rotation_that_was_begun_is_gone_on_with(keyring: Keyring) -> None:
    world = await World().filled()
    world.holder.keyring = keyring

    proof = await world.rotation().run()

    assert (proof.primary, proof.retired, proof.counts) == (2, (1,), {2: 7})
    assert Step.ADD not in world.steps()


async def test_a_keyring_of_another_store_is_not_rotated() -> None:
    world = await World().filled()
    world.holder.keyring = Keyring.generate(b"another keyring, 32 bytes long  ")

    with pytest.raises(KeyringInvalid):
        await world.rotation().run()

    assert world.holder.written == 0


# -- replicas


async def test_a_key_is_promoted_only_when_every_replica_has_it_and_swept_only_when_every_replica_uses_it() -> None:
    world = await World().filled()
    vault, catch_up = await replica(world)

    async def nothing() -> None:
        assert vault.keyring == FIRST or world.holder.keyring.primary.kid == 2

    world.meanwhile = [nothing, catch_up, nothing, catch_up]
    proof = await world.rotation().run()

    assert world.steps() == [
        Step.ADD,
        Step.DISTRIBUTE,
        Step.PROMOTE,
        Step.SETTLE,
        Step.REENCRYPT,
        Step.RETIRE,
        Step.DONE,
    ]
    assert proof.replicas == 1
    assert {progress.waiting_for for progress in world.progress} == {(), ("a",)}


async def test_a_replica_that_never_gets_the_key_stops_the_rotation_before_anything_is_sealed_with_it() -> None:
    world = await World().filled()
    _, keep = await replica(world, "slow")
    del keep

    with pytest.raises(Conflict, match=r"do not have the new key after 20 s: slow; .*run this again"):
        await world.rotation().run()

    assert world.holder.keyring.primary.kid == 1
    assert {stored.kid for stored in (await contents(world.store)).values()} == {1}


async def test_replicas_that_are_known_to_run_and_say_nothing_are_waited_for() -> None:
    world = await World().filled()

    with pytest.raises(Conflict, match=r"\?, \?"):
        await world.rotation(at_least=2).run()


# -- a keyring that is somebody else's to change


def fixed(world: World, keyring: Keyring) -> World:
    world.holder.fixed = True
    world.holder.keyring = keyring
    return world


async def test_of_a_fixed_keyring_nothing_is_begun_and_every_record_is_counted() -> None:
    world = fixed(await World().filled(), FIRST)

    proof = await world.rotation().run()

    assert (proof.primary, proof.counts, proof.resealed) == (1, {1: 7}, 0)
    assert "keyring add" in proof.next
    assert world.steps() == [Step.REENCRYPT, Step.DONE]


async def test_a_fixed_keyring_that_was_not_promoted_stops_the_rotation_with_what_to_do() -> None:
    world = fixed(await World().filled(), ADDED)

    with pytest.raises(Conflict, match=r"has master key 2: promote it, with `zcode-proxy keyring promote`; then run"):
        await world.rotation().run()

    assert world.steps() == [Step.PROMOTE]
    assert {stored.kid for stored in (await contents(world.store)).values()} == {1}


async def test_a_fixed_keyring_is_waited_for_where_a_replica_lacks_it() -> None:
    world = fixed(await World().filled(), PROMOTED)
    _, catch_up = await replica(world)
    world.meanwhile = [lambda: no_record_has_moved(world), lambda: no_record_has_moved(world), catch_up]

    proof = await world.rotation().run()

    assert world.steps() == [Step.SETTLE, Step.REENCRYPT, Step.RETIRE]
    assert (proof.counts, proof.retired, proof.replicas, world.holder.written) == ({2: 7}, (), 1, 0)
    assert "no record needs master key 1 any longer: retire it" in proof.next


async def no_record_has_moved(world: World) -> None:
    found = await contents(world.store)
    assert {stored.kid for (_, id_), stored in found.items() if not id_.startswith("kids:")} == {1}


async def test_after_a_key_of_a_fixed_keyring_was_retired_too_early_its_records_are_sealed_anew() -> None:
    world = fixed(await World().filled(), RETIRED)

    proof = await world.rotation().run()

    assert (proof.counts, proof.retired, proof.resealed) == ({2: 7}, (1,), 7)


async def test_a_fixed_keyring_that_changes_meanwhile_stops_the_rotation() -> None:
    world = fixed(await World().filled(), PROMOTED)
    await world.store.acquire("cred", credential(0).id, "refresh", ttl=5.0, seen=1)

    async def roll_back() -> None:
        world.holder.keyring = ADDED

    world.meanwhile = [roll_back]
    with pytest.raises(Conflict, match="was changed while records were sealed anew; run this again"):
        await world.rotation().run()
