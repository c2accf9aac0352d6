import asyncio
from collections.abc import Callable
from typing import Any

from services.gateway.upstream.sweeper import BRISK, LAZY, Sweeper, Work


class ManualLoop(asyncio.AbstractEventLoop):
    """A loop whose timers a test fires by hand."""

    def __init__(self) -> None:
        self.timers: list[tuple[float, asyncio.TimerHandle]] = []

    def time(self) -> float:
        return 42.0

    def get_debug(self) -> bool:
        return False

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        self.timers = [timer for timer in self.timers if timer[1] is not handle]

    def call_later(self, delay: float, callback: Callable[..., Any], *args: Any, **_: Any) -> asyncio.TimerHandle:
        handle = asyncio.TimerHandle(delay, callback, args, self)
        self.timers.append((delay, handle))
        return handle

    def fire(self) -> float:
        """Run the only timer there is; return its delay."""
        [(delay, handle)] = self.timers
        self.timers = []
        handle._run()
        return delay

    @property
    def delays(self) -> list[float]:
        return [delay for delay, _ in self.timers]


def test_runs_briskly_with_requests_lazily_with_idle_connections_and_not_at_all_without() -> None:
    loop = ManualLoop()
    found = iter([Work.LIVE, Work.IDLE, Work.IDLE, Work.NONE])
    seen: list[float] = []

    def sweep(now: float) -> Work:
        seen.append(now)
        return next(found)

    sweeper = Sweeper(loop, sweep)
    assert loop.delays == []
    sweeper.hurry()
    assert [loop.fire() for _ in range(4)] == [BRISK, BRISK, LAZY, LAZY]
    assert loop.delays == []
    assert seen == [42.0] * 4


def test_a_request_makes_a_lazy_sweeper_brisk_once() -> None:
    loop = ManualLoop()
    sweeper = Sweeper(loop, lambda _: Work.IDLE)
    sweeper.hurry()
    loop.fire()
    assert loop.delays == [LAZY]
    sweeper.hurry()
    sweeper.hurry()
    assert loop.delays == [BRISK]


def test_stop_leaves_no_timer() -> None:
    loop = ManualLoop()
    sweeper = Sweeper(loop, lambda _: Work.LIVE)
    sweeper.hurry()
    sweeper.stop()
    assert loop.delays == []
