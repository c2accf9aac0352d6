"""Leases that a store which does not answer leaves behind, and how they are found and given back."""

import pytest

from services.credentials.claims import Claims
from services.credentials.stores.memory import MemoryStore
from services.credentials.stores.port import Busy, Granted, Stale, StoreUnavailable
from services.credentials.vault import CREDENTIAL
from tests.support.clock import ManualClock

NAME = "crd_a"


class MuteStore(MemoryStore):
    """Does what it is asked, and does not say so while it is `mute`; may do it when `catch_up` is called instead."""

    def __init__(self, clock: ManualClock) -> None:
        super().__init__(clock)
        self.mute = False
        self.slow = False
        self._put_off: list[tuple[str, float, int]] = []

    async def acquire(self, kind: str, id_: str, owner: str, *, ttl: float, seen: int) -> Granted | Busy | Stale:
        if self.slow:
            self._put_off.append((owner, ttl, seen))
            raise StoreUnavailable("late")
        got = await super().acquire(kind, id_, owner, ttl=ttl, seen=seen)
        self._say()
        return got

    async def release(self, kind: str, id_: str, owner: str) -> None:
        self._say()
        await super().release(kind, id_, owner)

    async def catch_up(self) -> None:
        for owner, ttl, seen in self._put_off:
            await super().acquire(CREDENTIAL, NAME, owner, ttl=ttl, seen=seen)

    def _say(self) -> None:
        if self.mute:
            raise StoreUnavailable("away")


class Scene:
    """A replica's claims, and another one that wants the same lease."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.store = MuteStore(self.clock)
        self.claims = Claims(self.store, self.clock)

    async def unanswered(self) -> str:
        """Ask for the lease and get no answer; return as whom."""
        owner = self.claims.owner(NAME)
        with pytest.raises(StoreUnavailable):
            await self.claims.acquire(NAME, owner, ttl=30.0, seen=0)
        self.claims.leave(NAME, owner)
        return owner

    async def free(self) -> bool:
        return isinstance(await self.store.acquire(CREDENTIAL, NAME, "another", ttl=0.001, seen=0), Granted)


async def test_an_attempt_has_a_name_of_its_own() -> None:
    scene = Scene()

    assert scene.claims.owner(NAME) != scene.claims.owner(NAME)


async def test_a_lease_that_was_got_without_an_answer_is_the_next_attempts() -> None:
    scene = Scene()
    scene.store.mute = True
    owner = await scene.unanswered()
    scene.store.mute = False
    await scene.claims.settle()
    assert not await scene.free()

    assert scene.claims.owner(NAME) == owner
    assert isinstance(await scene.claims.acquire(NAME, owner, ttl=30.0, seen=0), Granted)
    assert scene.claims.owner(NAME) != owner, "one attempt at a time has a name"


async def test_a_lease_that_nobody_comes_for_is_given_back() -> None:
    scene = Scene()
    scene.store.mute = True
    await scene.unanswered()
    scene.store.mute = False
    scene.clock.advance(3.0)
    await scene.claims.settle()

    assert await scene.free()


@pytest.mark.parametrize("granted", [True, False])
async def test_an_attempt_that_finds_nothing_to_do_keeps_no_lease(granted: bool) -> None:
    """Shown to fail once by: giving back only what was granted, although an earlier attempt has left its lease."""
    scene = Scene()
    scene.store.mute = not granted
    owner = scene.claims.owner(NAME)
    if granted:
        await scene.claims.acquire(NAME, owner, ttl=30.0, seen=0)
    else:
        await scene.unanswered()
        owner = scene.claims.owner(NAME)
    scene.store.mute = False
    await scene.claims.end(NAME, owner, granted=granted)
    scene.clock.advance(3.0)
    await scene.claims.settle()

    assert await scene.free()


async def test_what_an_attempt_leaves_to_the_next_one_is_not_given_back() -> None:
    scene = Scene()
    scene.store.mute = True
    owner = await scene.unanswered()
    scene.store.mute = False
    await scene.claims.end(NAME, owner, granted=False)

    assert not await scene.free()


async def test_at_the_end_nothing_is_kept_for_an_attempt_to_come() -> None:
    scene = Scene()
    scene.store.mute = True
    await scene.unanswered()
    scene.store.mute = False
    await scene.claims.settle(late=0.0)

    assert await scene.free()


async def test_a_lease_that_could_not_be_given_back_is_given_back_later() -> None:
    """Shown to fail once by: waiting until it ends by itself."""
    scene = Scene()
    owner = scene.claims.owner(NAME)
    await scene.claims.acquire(NAME, owner, ttl=30.0, seen=0)
    scene.store.mute = True
    await scene.claims.give_back(NAME, owner)
    await scene.claims.settle()
    scene.store.mute = False
    assert not await scene.free()
    await scene.claims.settle()

    assert await scene.free()


async def test_a_lease_that_is_got_after_it_was_given_back_is_given_back_again() -> None:
    scene = Scene()
    scene.store.slow = True
    owner = await scene.unanswered()
    scene.store.slow = False
    await scene.claims.acquire(NAME, scene.claims.owner(NAME), ttl=30.0, seen=0)
    await scene.claims.give_back(NAME, owner)
    assert await scene.free()
    scene.clock.advance(1.0)
    await scene.store.catch_up()
    assert not await scene.free()
    await scene.claims.settle()

    assert await scene.free()


async def test_what_is_settled_is_not_asked_for_again() -> None:
    scene = Scene()
    scene.store.mute = True
    await scene.unanswered()
    scene.store.mute = False
    scene.clock.advance(3.0)
    await scene.claims.settle()
    await scene.claims.settle()
    scene.store.mute = True
    await scene.claims.settle()
    scene.store.mute = False
    assert isinstance(await scene.store.acquire(CREDENTIAL, NAME, scene.claims.owner(NAME), ttl=9.0, seen=0), Granted)
    await scene.claims.settle()

    assert not await scene.free()
