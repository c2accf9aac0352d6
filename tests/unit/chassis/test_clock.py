"""The clocks agree with the machine, and the manual one with whoever turns it."""

import time

import pytest

from services.chassis.clock import Clock, SystemClock
from tests.support.clock import ManualClock


def test_the_system_clock_is_the_machine_s() -> None:
    clock: Clock = SystemClock()

    assert abs(clock.now() - time.time()) < 5
    assert abs(clock.monotonic() - time.monotonic()) < 5


def test_a_manual_clock_moves_both_hands_or_the_wall_alone() -> None:
    manual = ManualClock(now=100.0, monotonic=7.0)
    clock: Clock = manual
    manual.advance(2.5)
    manual.step_wall(-60.0)

    assert (clock.now(), clock.monotonic()) == (42.5, 9.5)


def test_a_manual_clock_does_not_run_backwards() -> None:
    with pytest.raises(ValueError, match="backwards"):
        ManualClock().advance(-1)
