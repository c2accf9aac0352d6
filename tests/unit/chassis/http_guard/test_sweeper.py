"""One timer looks at everything, again and again, until it is stopped."""

import asyncio

from services.chassis.http_guard.sweeper import Sweeper


class Looked:
    """Counts its looks, and leaves the set at the second."""

    def __init__(self, group: set["Looked"]) -> None:
        self.group = group
        self.times: list[float] = []

    def look(self, now: float) -> None:
        self.times.append(now)
        if len(self.times) == 2:
            self.group.discard(self)


async def test_every_member_is_looked_at_until_it_leaves() -> None:
    loop = asyncio.get_running_loop()
    group: set[Looked] = set()
    members = [Looked(group) for _ in range(3)]
    group.update(members)
    sweeper = Sweeper(0.01, group)
    started = loop.time()
    sweeper.start(loop)
    await asyncio.sleep(0.1)
    late = Looked(set())
    group.add(late)
    await asyncio.sleep(0.05)
    sweeper.stop()
    seen = len(late.times)
    await asyncio.sleep(0.03)

    assert [len(member.times) for member in members] == [2, 2, 2]
    assert all(time > started for member in members for time in member.times)
    assert seen == len(late.times) > 0


def test_stopping_what_never_started_is_fine() -> None:
    Sweeper(1.0, []).stop()
