"""
An event loop whose time is a number: whoever sleeps is woken at once, in the right order, and an hour costs nothing.

    with asyncio.Runner(loop_factory=VirtualLoop) as runner: runner.run(…)

Work for a thread is done on the loop, a moment of its time later. A loop on which nobody would ever be woken raises.
"""

import asyncio
import selectors
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")


class Deadlock(Exception):
    """Everybody waits, and nobody for a moment that will come."""


class _Selector(selectors.SelectSelector):
    """Waits for nothing: says how long it was asked to."""

    waited: Callable[[float], None]

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise Deadlock
        self.waited(max(timeout, 0.0))
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """`thread_delay` says how long work in a thread takes, in seconds, and may hold it for ever by never returning."""

    def __init__(self) -> None:
        selector = _Selector()
        selector.waited = self._pass
        self._moment = 1000.0
        super().__init__(selector)

    def time(self) -> float:
        return self._moment

    def _pass(self, seconds: float) -> None:
        self._moment += seconds

    async def around_thread(self) -> None:
        """Take the time that a thread takes; once before the work, once after it."""
        await asyncio.sleep(0.001)

    def run_in_executor(self, executor: Any, func: Callable[..., T], *args: Any) -> asyncio.Future[T]:  # type: ignore[override]
        del executor

        async def work() -> T:
            await self.around_thread()
            result = func(*args)
            await self.around_thread()
            return result

        return self.create_task(work())
