"""
Run a coroutine without a task for as long as it does not wait.

uvicorn's `send` waits only when the client is slow, and its `receive` waits until the client speaks or leaves. A task
for each would cost more than the call itself (performance.md 6.3), so the first step is taken by hand; only a coroutine
that does wait is handed to a task, which goes on from where it stands.
"""

from collections.abc import Callable, Coroutine, Generator
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Suspended(Generic[T]):
    """A coroutine that has begun and waits; awaiting this goes on with it."""

    __slots__ = ("_coroutine", "_waiting_for")

    def __init__(self, coroutine: Coroutine[Any, Any, T], waiting_for: Any) -> None:
        self._coroutine = coroutine
        self._waiting_for = waiting_for

    def __await__(self) -> Generator[Any, Any, T]:
        waiting_for = self._waiting_for
        while True:
            try:
                value = yield waiting_for
            except BaseException as error:  # noqa: BLE001  # cancellation too belongs to the coroutine
                step: Callable[[], Any] = _thrower(self._coroutine, error)
            else:
                step = _sender(self._coroutine, value)
            try:
                waiting_for = step()
            except StopIteration as stop:
                return stop.value  # type: ignore[no-any-return]  # StopIteration is not generic


def _thrower(coroutine: Coroutine[Any, Any, Any], error: BaseException) -> Callable[[], Any]:
    return lambda: coroutine.throw(error)


def _sender(coroutine: Coroutine[Any, Any, Any], value: Any) -> Callable[[], Any]:
    return lambda: coroutine.send(value)


def step(coroutine: Coroutine[Any, Any, T]) -> Suspended[T] | None:
    """Take the first step; None means that the coroutine ran to its end, and its result is dropped."""
    try:
        waiting_for = coroutine.send(None)
    except StopIteration:
        return None
    return Suspended(coroutine, waiting_for)


class Watch(Generic[T]):
    """
    Wait for one coroutine without a task: its future calls back, and `done` gets the result.

    Only for coroutines that wait on plain futures of the running loop and need no current task,
    such as uvicorn's `receive`; anything else belongs in a task.
    """

    __slots__ = ("_coroutine", "_done", "_future")

    def __init__(self, coroutine: Coroutine[Any, Any, T], done: Callable[[T], None]) -> None:
        self._coroutine: Coroutine[Any, Any, T] | None = coroutine
        self._done = done
        self._future: Any = None
        self._advance(None)

    @property
    def waiting(self) -> bool:
        """Whether the result is still to come."""
        return self._coroutine is not None

    def _advance(self, _future: Any) -> None:
        coroutine = self._coroutine
        if coroutine is None:
            return
        try:
            future = coroutine.send(None)
        except StopIteration as stop:
            self._coroutine = None
            self._done(stop.value)
            return
        # A task clears this mark when it takes the future over; so must we.
        future._asyncio_future_blocking = False  # noqa: SLF001  # the protocol between futures and their drivers
        self._future = future
        future.add_done_callback(self._advance)

    def cancel(self) -> None:
        """Stop watching."""
        if self._coroutine is not None:
            self._future.remove_done_callback(self._advance)
            self._coroutine.close()
            self._coroutine = None
