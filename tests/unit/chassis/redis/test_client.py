"""What sentinels say, one question after the other, and which master is believed in. Real ones are asked elsewhere."""

from typing import Any

import pytest
from redis.asyncio.sentinel import MasterNotFoundError

from services.chassis.redis import client
from services.chassis.redis.client import AskingAllSentinel

OLD, NEW = "192.0.2.1", "192.0.2.2"
NAME = "main"


def _state(address: str, epoch: int, *flags: str) -> dict[str, Any]:
    """Return what a sentinel says of a master, as redis-py reads it."""
    return {
        "ip": address,
        "port": 6379,
        "config-epoch": epoch,
        "flags": {"master", *flags},
        "is_master": True,
        "is_sdown": "s_down" in flags,
        "is_odown": "o_down" in flags,
        "num-other-sentinels": 2,
    }


class Scripted(AskingAllSentinel):
    """Sentinels that answer as a test says."""

    def __init__(self) -> None:
        super().__init__((), {}, None)
        self.said: list[dict[str, Any]] = []

    async def _answers(self, service_name: str) -> list[dict[str, Any]]:
        return self.said


async def _named(asking: Scripted, *said: dict[str, Any]) -> str | None:
    asking.said = [*said]
    try:
        address, _ = await asking.discover_master(NAME)
    except MasterNotFoundError:
        return None
    return address


LEADS = _state(OLD, 6, "failover_in_progress")
STALE = _state(OLD, 5)


@pytest.mark.parametrize("newest", [LEADS, _state(NEW, 6, "s_down")])
async def test_a_failover_is_remembered_although_who_told_of_it_named_nobody(
    newest: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    asking = Scripted()
    assert await _named(asking, STALE, STALE) == OLD
    assert await _named(asking, newest, STALE, STALE) is None
    assert await _named(asking, STALE, STALE) is None  # the one that told of it is gone
    assert await _named(asking, newest) is None
    assert await _named(asking, STALE, _state(NEW, 6)) == NEW

    monkeypatch.setattr(client, "_REMEMBERED", 0.0)  # seconds later, when the others have undone it
    assert await _named(asking, STALE, STALE) == OLD


async def test_what_is_remembered_does_not_last_for_being_asked_about(monkeypatch: pytest.MonkeyPatch) -> None:
    asking = Scripted()
    assert await _named(asking, LEADS) is None
    monkeypatch.setattr(client, "_REMEMBERED", 0.0)
    assert await _named(asking) is None
    assert await _named(asking, STALE, STALE) == OLD
