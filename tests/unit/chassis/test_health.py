"""Liveness and readiness, as a truth table (promises.md C11)."""

from itertools import product

import pytest

from services.chassis.health import Health, Needs, Phase, Verdict, readiness

GATEWAY = Needs(groups=(("cached credential", "credentials service"),), optional=("redis", "captcha", "collector"))
NAMES = ("cached credential", "credentials service", "redis", "captcha", "collector")


@pytest.mark.promise("P-70")
@pytest.mark.parametrize("there", list(product([True, False], repeat=5)))
def test_a_serving_gateway_is_ready_with_either_source_of_credentials(there: tuple[bool, ...]) -> None:
    facts = dict(zip(NAMES, there, strict=True))
    verdict = readiness(Phase.SERVING, GATEWAY, facts)

    assert verdict.ready is (there[0] or there[1])
    assert verdict.status == ("ready" if verdict.ready else "unready")
    assert verdict.degraded == tuple(name for name in NAMES if not facts[name])


@pytest.mark.promise("P-70")
@pytest.mark.parametrize("phase", [Phase.STARTING, Phase.DRAINING, Phase.STOPPED])
@pytest.mark.parametrize("there", list(product([True, False], repeat=5)))
def test_no_other_phase_is_ever_ready(phase: Phase, there: tuple[bool, ...]) -> None:
    verdict = readiness(phase, GATEWAY, dict(zip(NAMES, there, strict=True)))

    assert not verdict.ready
    assert verdict.status == phase.value


def test_every_group_must_be_met_and_the_unreported_is_missing() -> None:
    needs = Needs(groups=(("keyring",), ("store", "spool")))

    assert readiness(Phase.SERVING, needs, {"keyring": True, "spool": True}) == Verdict("ready", ("store",))
    assert readiness(Phase.SERVING, needs, {"spool": True, "store": True}) == Verdict("unready", ("keyring",))
    assert readiness(Phase.SERVING, needs, {"keyring": True}) == Verdict("unready", ("store", "spool"))


def test_a_process_that_needs_nothing_is_ready_once_started() -> None:
    health = Health()
    before = health.readiness()
    health.started()

    assert before == Verdict("starting")
    assert health.readiness() == Verdict("ready")


TRANSITIONS = {
    Phase.STARTING: {"started": Phase.SERVING, "drain": Phase.DRAINING, "stop": Phase.STOPPED},
    Phase.SERVING: {"started": Phase.SERVING, "drain": Phase.DRAINING, "stop": Phase.STOPPED},
    Phase.DRAINING: {"started": Phase.DRAINING, "drain": Phase.DRAINING, "stop": Phase.STOPPED},
    Phase.STOPPED: {"started": Phase.STOPPED, "drain": Phase.STOPPED, "stop": Phase.STOPPED},
}
WAY_THERE = {
    Phase.STARTING: (),
    Phase.SERVING: ("started",),
    Phase.DRAINING: ("started", "drain"),
    Phase.STOPPED: ("stop",),
}


@pytest.mark.parametrize("phase", list(Phase))
@pytest.mark.parametrize("event", ["started", "drain", "stop"])
def test_the_transition_table(phase: Phase, event: str) -> None:
    health = Health()
    for step in WAY_THERE[phase]:
        getattr(health, step)()
    assert health.phase is phase
    getattr(health, event)()

    assert health.phase is TRANSITIONS[phase][event]
    assert health.draining is (health.phase in (Phase.DRAINING, Phase.STOPPED))


@pytest.mark.parametrize(("silence", "alive"), [(0.0, True), (9.9, True), (10.0, False), (60.0, False)])
@pytest.mark.parametrize("draining", [True, False])
def test_liveness_asks_only_whether_the_loop_turns(silence: float, *, alive: bool, draining: bool) -> None:
    health = Health(GATEWAY, dict.fromkeys(NAMES, False))
    health.started()
    health.tick(100.0)
    if draining:
        health.drain()

    assert health.alive(100.0 + silence) is alive


def test_a_process_without_a_watchdog_is_alive_until_it_stops() -> None:
    health = Health()
    alive = health.alive(1e9)
    health.stop()

    assert alive
    assert not health.alive(0.0)


def test_reports_come_and_go() -> None:
    health = Health(Needs(optional=("redis",)), {"redis": True})
    health.started()
    first = health.readiness()
    health.report("redis", there=False)

    assert first == Verdict("ready")
    assert health.readiness() == Verdict("ready", ("redis",))
