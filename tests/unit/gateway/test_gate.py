"""Who is let through to the upstream, who waits, who is refused, and what ends a refusal."""

import asyncio

import pytest

from services.gateway.admission import Slots
from services.gateway.breakers import State
from services.gateway.errors import Overloaded
from services.gateway.gate import _MOST_LANES, Gate, Passage
from services.gateway.translation.fault import Action, Fault
from tests.support.clock import ManualClock
from tests.support.memory_client import settle

UNWELL = Fault(status=502, message="broke off", action=Action.RETRY)
CROWDED = Fault(status=503, message="overloaded", action=Action.OVERLOAD)
THROTTLED = Fault(status=429, message="too many", action=Action.THROTTLE)
BAD_REQUEST = Fault(status=400, message="what")


class Door:
    """A gate on a clock that the test moves."""

    def __init__(self, slots: Slots | None = None) -> None:
        self.clock = ManualClock()
        self.slots = slots or Slots(100, 10, 5.0)
        self.gate = Gate(self.slots, clock=self.clock.monotonic, chance=lambda: 0.0)

    async def enter(self, credential: str = "crd", model: str = "glm") -> Passage:
        return self.gate.take(credential, "host", model) or await self.gate.enter(credential, "host", "zai", model)

    async def fail(self, fault: Fault, times: int = 5, *, model: str = "glm") -> bool:
        may = True
        for _ in range(times):
            passage = await self.enter(model=model)
            may = passage.end(fault)
            passage.leave()
        return may

    async def refusal(self, credential: str = "crd", model: str = "glm") -> Fault:
        with pytest.raises(Overloaded) as raised:
            await self.enter(credential, model)
        return raised.value.fault


async def test_while_all_is_well_everybody_is_let_through_and_nothing_is_kept() -> None:
    door = Door()
    passages = [await door.enter() for _ in range(50)]
    assert door.slots.running == 50
    assert [passage.end(None) for passage in passages] == [True] * 50
    for passage in passages:
        passage.leave()

    assert door.slots.running == 0
    assert (door.gate.states(), door.gate.limits(), door.gate.waiting()) == ({}, {}, 0)


async def test_hosts_of_one_credential_have_limits_of_their_own_and_the_lowest_shows() -> None:
    door = Door()
    for host, running in (("a", 3), ("b", 5)):
        passages = [await door.gate.enter("crd", host, "zai", "glm") for _ in range(running)]
        passages[0].end(THROTTLED)

    assert door.gate.limits() == {("crd", "glm"): 2}


async def test_an_upstream_that_keeps_failing_is_left_alone_and_then_probed_once() -> None:
    door = Door()
    assert await door.fail(UNWELL) is False
    fault = await door.refusal()
    assert (fault.status, fault.anthropic_status, fault.code) == (503, 529, "upstream_resting")
    assert (fault.retry_after, fault.should_retry) == (10.0, True)
    assert door.gate.states() == {("credential", "crd"): State.OPEN}

    door.clock.advance(10.0)
    probe = await door.enter()
    assert (await door.refusal()).retry_after == 10.0
    assert door.gate.states() == {("credential", "crd"): State.PROBING}
    assert probe.end(None)
    probe.leave()
    (await door.enter()).leave()

    assert door.gate.states() == {}
    assert door.slots.running == 0


async def test_a_probe_that_fails_ends_its_tries() -> None:
    door = Door()
    await door.fail(UNWELL)
    door.clock.advance(10.0)
    probe = await door.enter()

    assert probe.end(UNWELL) is False
    assert (await door.refusal()).retry_after == 20.0


async def test_a_probe_that_says_nothing_makes_room_for_another() -> None:
    door = Door()
    await door.fail(UNWELL)
    door.clock.advance(10.0)
    probe = await door.enter()

    assert probe.end(BAD_REQUEST) is True
    assert (await door.enter()).end(None)


async def test_another_credential_is_not_its_business() -> None:
    door = Door()
    assert door.gate.resting("host") == frozenset()
    await door.fail(UNWELL)
    assert door.gate.resting("host") == {"crd"}
    assert door.gate.resting("another") == frozenset()
    door.clock.advance(10.0)
    assert door.gate.resting("host") == frozenset()

    (await door.enter("other")).leave()


async def test_an_overloaded_model_is_left_alone_under_every_credential() -> None:
    door = Door()
    assert await door.fail(CROWDED) is False
    fault = await door.refusal("other")

    assert "`glm`" in fault.message
    assert "another model" in fault.message
    assert door.gate.states() == {("model", "glm"): State.OPEN}
    (await door.enter(model="glm-air")).leave()


@pytest.mark.parametrize("fault", [BAD_REQUEST, THROTTLED])
async def test_what_says_nothing_of_its_health_opens_nothing(fault: Fault) -> None:
    door = Door()
    await door.fail(fault, 50)

    assert door.gate.states() == {}


async def test_what_is_ours_opens_nothing() -> None:
    door = Door()
    for _ in range(50):
        passage = await door.enter()
        assert passage.end(UNWELL, ours=True)
        passage.leave()

    assert door.gate.states() == {}


async def test_without_a_breaker_nothing_is_ever_left_alone() -> None:
    door = Door()
    door.gate = Gate(door.slots, 0, clock=door.clock.monotonic)
    assert await door.fail(UNWELL, 50) is True
    assert await door.fail(CROWDED, 50) is True
    await door.fail(THROTTLED, 1)

    assert door.gate.states() == {}
    assert door.gate.limits() == {("crd", "glm"): 1}


async def test_who_waited_for_a_slot_is_refused_when_it_has_opened_meanwhile() -> None:
    door = Door(Slots(1, 1, 5.0))
    first = await door.enter()
    waiting = asyncio.ensure_future(door.enter())
    await settle()
    for _ in range(5):
        first.end(UNWELL)
    first.leave()

    with pytest.raises(Overloaded):
        await waiting
    assert door.slots.running == 0


async def test_a_refusal_for_concurrency_lets_fewer_in_and_the_others_wait() -> None:
    door = Door()
    passages = [await door.enter() for _ in range(6)]
    for passage in passages[:3]:
        passage.end(THROTTLED)
        passage.leave()
    assert door.gate.limits() == {("crd", "glm"): 3}
    waiting = asyncio.ensure_future(door.enter())
    (await door.enter(model="glm-air")).leave()
    await settle()
    assert door.gate.waiting() == 1
    passages[3].leave()

    (await waiting).leave()
    assert door.slots.running == 2


async def test_who_waits_in_a_lane_holds_no_slot() -> None:
    door = Door(Slots(2, 10, 5.0))
    passage = await door.enter()
    passage.end(THROTTLED)
    waiting = [asyncio.ensure_future(door.enter()) for _ in range(5)]
    await settle()
    (await door.enter(model="glm-air")).leave()
    passage.leave()
    for each in waiting:
        (await each).leave()

    assert (door.slots.running, door.gate.waiting()) == (0, 0)


async def test_a_full_lane_refuses() -> None:
    door = Door(Slots(10, 1, 5.0))
    passage = await door.enter()
    passage.end(THROTTLED)
    waiting = asyncio.ensure_future(door.enter())
    await settle()

    assert (await door.refusal()).code == "gateway_overloaded"
    passage.leave()
    (await waiting).leave()


async def test_a_limit_grows_with_what_passes_and_ends_in_time() -> None:
    door = Door()
    passages = [await door.enter() for _ in range(2)]
    passages[0].end(THROTTLED)
    passages[0].leave()
    assert passages[1].end(None)
    assert door.gate.limits() == {("crd", "glm"): 2}
    door.clock.advance(600.0)
    passages[1].end(None)
    passages[1].leave()

    assert door.gate.limits() == {}
    passages = [await door.enter() for _ in range(5)]
    for passage in passages:
        passage.leave()


async def test_of_a_crowd_that_is_refused_together_those_stay_that_were_taken() -> None:
    door = Door()
    passages = [await door.enter() for _ in range(9)]
    for passage in passages[:5]:
        passage.end(THROTTLED)
        passage.leave()
    assert door.gate.limits() == {("crd", "glm"): 4}
    passages[5].leave()
    later = await door.enter()
    later.end(THROTTLED)

    assert door.gate.limits() == {("crd", "glm"): 3}


async def test_a_place_that_is_not_waited_for_is_given_back() -> None:
    door = Door(Slots(1, 1, 5.0))
    held = await door.enter()
    waiting = asyncio.ensure_future(door.enter())
    await settle()
    waiting.cancel()
    await settle()
    held.leave()
    for _ in range(3):
        (await door.enter()).leave()

    assert door.slots.running == 0


async def test_lanes_without_limit_are_forgotten_when_there_are_too_many() -> None:
    door = Door()
    limited = await door.enter(model="limited")
    limited.end(THROTTLED)
    limited.leave()
    busy = await door.enter(model="busy")
    for number in range(2 * _MOST_LANES):
        (await door.enter(model=f"m{number}")).leave()

    assert len(door.gate._lanes) <= _MOST_LANES
    assert door.gate.limits() == {("crd", "limited"): 1}
    assert busy.end(None)
