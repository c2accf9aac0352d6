"""`/health` says what readiness says, in one word."""

from collections.abc import Callable
from typing import Any

from services.chassis.health import Health
from services.gateway.routes.health import health

_answer: Callable[[Health], Any] = health.fn


def test_one_word_for_each_state() -> None:
    state = Health()
    said = [_answer(state)["status"]]
    state.started()
    said.append(_answer(state)["status"])
    state.drain()
    said.append(_answer(state)["status"])

    assert ["starting", "ok", "draining"] == said
