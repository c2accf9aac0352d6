"""How far a rotation is: a bar on a terminal, a line for each step elsewhere."""

from collections.abc import Callable
from types import TracebackType
from typing import Final, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from services.credentials.admin_contract import MasterState
from services.credentials.rotation_plan import Step as Name

_WORDS: Final = {
    Name.ADD: "a new master key is added",
    Name.DISTRIBUTE: "waiting until every running process has it",
    Name.PROMOTE: "it becomes the one that seals",
    Name.SETTLE: "waiting until every running process seals with it",
    Name.REENCRYPT: "sealing the records anew",
    Name.RETIRE: "the old key is retired",
    Name.DONE: "done",
}


class RotationScreen:
    """Takes the progress of one rotation; writes to stderr, so that stdout holds the result alone."""

    def __init__(self, complain: Callable[[str], None]) -> None:
        console = Console(stderr=True)
        self._complain = complain
        self._bar: Progress | None = None
        if console.is_terminal:
            columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
            self._bar = Progress(*columns, console=console)
            self._task = self._bar.add_task("", total=None)
        self._last: Name | None = None

    def __enter__(self) -> Self:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def show(self, progress: MasterState) -> None:
        """Show a step, and how much of it is done."""
        step = Name(progress.step)
        words = _WORDS[step]
        if progress.waiting_for:
            words = f"{words}: {', '.join(progress.waiting_for)}"
        if self._bar is not None:
            self._bar.update(self._task, description=words, completed=progress.done, total=progress.total or None)
        elif step is not self._last:
            self._complain(words)
        self._last = step
