from collections.abc import Callable

from services.gateway.upstream.sweeper import BRISK, LAZY, Sweeper, Work


class ManualTimer:
    def __init__(self, loop: "ManualLoop", delay: float, callback: Callable[[], object]) -> None:
        self.delay = delay
        self.callback = callback
        self._loop = loop

    def cancel(self) -> None:
        self._loop.timers = [timer for timer in self._loop.timers if timer is not self]


class ManualLoop:
    """Timers that a test fires by hand."""

    def __init__(self) -> None:
        self.timers: list[ManualTimer] = []

    def time(self) -> float:
        return 42.0

    def call_later(self, delay: float, callback: Callable[[], object], /) -> ManualTimer:
        self.timers.append(ManualTimer(self, delay, callback))
        return self.timers[-1]

    def fire(self) -> float:
        """Run the only timer there is; return its delay."""
        [timer] = self.timers
        self.timers = []
        timer.callback()
        return timer.delay

    @property
    def delays(self) -> list[float]:
        return [timer.delay for timer in self.timers]


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
