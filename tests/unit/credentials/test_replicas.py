"""What replicas say of their keyrings: who is believed, who counts as alive, and that nobody is woken for nothing."""

import asyncio

import pytest

from services.credentials import replicas
from services.credentials.errors import Conflict, KeyringInvalid
from services.credentials.keyring import Keyring
from services.credentials.replicas import LIFE, Reporter
from services.credentials.rotation_plan import Replica
from services.credentials.stores.memory import MemoryStore
from services.credentials.stores.port import StoreUnavailable, Versioned
from services.credentials.vault import META, Vault
from tests.support.clock import ManualClock
from tests.support.vaults import ADDED, FIRST, PROMOTED, contents, filled


def said(name: str, keyring: Keyring) -> Replica:
    return Replica(name, keyring.primary.kid, keyring.fingerprints())


async def test_every_living_replica_is_heard() -> None:
    store = MemoryStore()
    vault = await filled(store, 1)
    await Reporter(store, Vault(store, PROMOTED), "b").report()
    await Reporter(store, Vault(store, FIRST), "a").report()

    assert await replicas.living(store, Vault(store, PROMOTED)) == (said("a", FIRST), said("b", PROMOTED))
    assert (await replicas.living(store, vault))[0] == said("a", FIRST)


async def test_a_replica_with_a_new_keyring_says_so_and_one_without_news_raises_no_generation() -> None:
    store = MemoryStore()
    vault = await filled(store, 1)
    reporter = Reporter(store, vault, "a")
    await reporter.report()
    generation = await store.generation()

    await reporter.report()
    assert await store.generation() == generation
    await vault.adopt(ADDED)
    await reporter.report()

    assert await store.generation() == generation + 1
    assert await replicas.living(store, vault) == (said("a", ADDED),)


async def test_a_replica_that_fell_silent_is_forgotten_and_welcome_when_it_returns() -> None:
    clock = ManualClock()
    store = MemoryStore(clock)
    vault = await filled(store, 0)
    reporter = Reporter(store, Vault(store, FIRST), "a")
    await reporter.report()
    clock.advance(LIFE * 0.9)
    assert await replicas.living(store, vault) == (said("a", FIRST),)
    await reporter.report()
    clock.advance(LIFE * 0.9)
    assert await replicas.living(store, vault) == (said("a", FIRST),)
    clock.advance(LIFE)

    assert await replicas.living(store, vault) == ()
    assert set(await contents(store)) == {(META, "check"), (META, "pepper")}
    await reporter.report()
    assert await replicas.living(store, vault) == (said("a", FIRST),)


@pytest.mark.parametrize("left", [True, False], ids=["left", "killed"])
async def test_a_replica_that_leaves_is_not_waited_for_and_its_successor_of_the_same_name_is_heard(left: bool) -> None:
    store = MemoryStore()
    vault = await filled(store, 0)
    reporter = Reporter(store, vault, "a")
    await reporter.report()
    if left:
        await reporter.leave()

    successor = Reporter(store, Vault(store, ADDED), "a")
    await successor.report()
    assert await replicas.living(store, Vault(store, ADDED)) == (said("a", ADDED),)
    await successor.leave()

    assert await replicas.living(store, vault) == ()


async def test_a_replica_that_was_overtaken_by_another_of_its_name_says_so_again() -> None:
    store = MemoryStore()
    vault = await filled(store, 0)
    first, second = Reporter(store, vault, "a"), Reporter(store, Vault(store, ADDED), "a")
    await first.report()
    await second.report()

    await vault.adopt(PROMOTED)
    with pytest.raises(Conflict):
        await first.report()
    await first.report()

    assert await replicas.living(store, Vault(store, PROMOTED)) == (said("a", PROMOTED),)


async def test_a_report_that_somebody_forged_counts_as_a_replica_without_any_key() -> None:
    store = MemoryStore()
    vault = await filled(store, 0)
    await Reporter(store, vault, "a").report()
    genuine = await store.get(META, "kids:a")
    assert genuine is not None
    for name, value in (("kids:b", b'{"primary":2,"fingerprints":{}}'), ("kids:c", genuine.value)):
        await store.put(META, name, value, kid=0, expected=0)
        await store.acquire(META, name, name, ttl=LIFE, seen=1)

    assert await replicas.living(store, vault) == (said("a", FIRST), Replica("b", 0, {}), Replica("c", 0, {}))


async def test_a_report_that_is_removed_in_the_middle_of_a_roll_call_is_waited_for() -> None:
    store = Vanishing()
    vault = await filled(store, 0)
    await Reporter(store, vault, "a").report()
    store.armed = True

    assert await replicas.living(store, vault) == (Replica("a", 0, {}),)


class Vanishing(MemoryStore):
    """Loses every report between its listing and its reading."""

    armed = False

    async def get(self, kind: str, id_: str, *, durable: bool = False) -> Versioned | None:
        return None if self.armed and id_.startswith("kids:") else await super().get(kind, id_, durable=durable)


async def test_a_report_that_is_renewed_while_it_is_cleared_away_stays() -> None:
    clock = ManualClock()
    store = Returning(clock)
    vault = await filled(store, 0)
    store.reporter = Reporter(store, vault, "a")
    await store.reporter.report()
    clock.advance(LIFE + 1)
    await vault.adopt(ADDED)

    assert await replicas.living(store, vault) == ()

    assert await replicas.living(store, vault) == (said("a", ADDED),)


class Returning(MemoryStore):
    """A replica comes back just when its report is to be removed."""

    reporter: Reporter | None = None

    async def remove(self, kind: str, id_: str, *, expected: int) -> bool:
        if self.reporter is not None:
            reporter, self.reporter = self.reporter, None
            await reporter.report()
        return await super().remove(kind, id_, expected=expected)


class Source:
    """A keyring that is changed by hand."""

    def __init__(self) -> None:
        self.next: list[Keyring | Exception] = []

    def changed(self) -> Keyring | None:
        found = self.next.pop() if self.next else None
        if isinstance(found, Exception):
            raise found
        return found


async def test_a_follower_adopts_and_reports_and_survives_what_goes_wrong() -> None:
    store = MemoryStore()
    vault = await filled(store, 0)
    source, complaints, rounds = Source(), list[Exception](), 0
    bad = KeyringInvalid("half written")
    gone = StoreUnavailable("down")

    async def sleep(seconds: float) -> None:
        nonlocal rounds
        assert seconds == replicas.EVERY
        rounds += 1
        if rounds == 4:
            raise asyncio.CancelledError
        source.next = [[bad], [gone], [ADDED]][rounds - 1]  # type: ignore[assignment]

    with pytest.raises(asyncio.CancelledError):
        await replicas.follow(
            store, vault, source, Reporter(store, vault, "a"), complain=complaints.append, sleep=sleep
        )

    assert complaints == [bad, gone]
    assert await replicas.living(store, vault) == (said("a", ADDED),)


async def followed(store: MemoryStore, vault: Vault, *rounds: list[Keyring | Exception]) -> list[Exception]:
    """Follow a source for so many rounds; return the complaints."""
    source, complaints, left = Source(), list[Exception](), list(rounds)

    async def sleep(seconds: float) -> None:
        if not left:
            raise asyncio.CancelledError
        source.next = left.pop(0)
        await asyncio.sleep(0)

    with pytest.raises(asyncio.CancelledError):
        await replicas.follow(
            store, vault, source, Reporter(store, vault, "a"), complain=complaints.append, sleep=sleep
        )
    return complaints


async def test_a_replica_with_a_bad_keyring_is_not_forgotten() -> None:
    clock = ManualClock()
    store = MemoryStore(clock)
    vault = await filled(store, 0)

    await followed(store, vault, [KeyringInvalid("half written")])
    clock.advance(LIFE - 1)
    await followed(store, vault, [KeyringInvalid("half written")])
    clock.advance(LIFE - 1)

    assert await replicas.living(store, vault) == (said("a", FIRST),)


async def test_a_keyring_that_the_store_kept_from_being_adopted_is_adopted_later() -> None:
    store = Falling()
    vault = await filled(store, 0)
    store.falls = 1

    complaints = await followed(store, vault, [ADDED], [])

    assert [str(fault) for fault in complaints] == ["down"]
    assert vault.keyring == ADDED


class Falling(MemoryStore):
    """Does not answer so many scans."""

    falls = 0

    async def scan(self, kind: str):  # type: ignore[no-untyped-def]
        if self.falls:
            self.falls -= 1
            raise StoreUnavailable("down")
        return await super().scan(kind)


async def test_a_new_primary_only_opens_until_the_others_can_open_it() -> None:
    store = MemoryStore()
    vault = await filled(store, 0)
    other = Vault(store, FIRST)
    reporter = Reporter(store, other, "b")
    await reporter.report()

    complaints = await followed(store, vault, [PROMOTED], [])
    between = vault.keyring
    await other.adopt(ADDED)
    await reporter.report()
    await replicas.adopt(store, vault, PROMOTED)

    assert "master key 2 does not seal before every replica has it; until then 1 does" in str(complaints[-1])
    assert (between.primary.kid, between.fingerprints()) == (1, PROMOTED.fingerprints())
    assert vault.keyring == PROMOTED


async def test_a_keyring_that_was_known_at_the_start_is_taken_over_by_the_follower() -> None:
    store = MemoryStore()
    vault = await filled(store, 0)
    source = Source()

    async def stop(seconds: float) -> None:
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await replicas.follow(
            store,
            vault,
            source,
            Reporter(store, vault, "a"),
            keyring=PROMOTED,
            complain=lambda fault: None,
            sleep=stop,
        )

    assert vault.keyring == PROMOTED
