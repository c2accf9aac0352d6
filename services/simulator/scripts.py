"""Chooses the script of a request: by header, by model name, from the queue, by the scripts file, else none."""

from collections import deque
from pathlib import Path
from typing import Final

import msgspec

from services.simulator.script import Script, ScriptError, parse

INLINE: Final = "sim:"
NAMED: Final = "sim-"

# Scripts that people and tests need often, by the name after "sim-".
BUILT_IN: Final = {
    "fast": "events=20",
    "slow": "pace=250",
    "reasoning": "reasoning=first",
    "tools": "tools=1",
    "parallel-tools": "tools=3",
    "interleaved-tools": "tools=2;tool-form=interleaved",
    "overloaded": "error=1305",
    "busy": "error=1302",
    "cut": "events=20;cut=1500",
    "silent": "stall=head",
    "stalled": "events=20;stall=mid-event",
    "flood": "bomb=events",
    "html": "answer=html",
}


class ScriptsFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The scripts file. Every script is text in the grammar."""

    named: dict[str, str] = {}  # name -> script, for models "sim-<name>"
    models: dict[str, str] = {}  # exact model name -> script
    queue: list[str] = []  # for the first requests, in order
    default: str | None = None  # instead of the demo


class Scripts:
    """The scripts in force. The queue is consumed by chat requests only, one script each."""

    def __init__(self, file: ScriptsFile = ScriptsFile()) -> None:  # noqa: B008 (a frozen value)
        self._named = {name: parse(text) for name, text in (BUILT_IN | file.named).items()}
        self._models = {name: parse(text) for name, text in file.models.items()}
        self._default = None if file.default is None else parse(file.default)
        self._first = [parse(text) for text in file.queue]
        self._queue = deque(self._first)

    def push(self, script: Script, times: int = 1) -> None:
        """Use a script for the next `times` requests that name none themselves."""
        self._queue.extend([script] * times)

    def reset(self) -> None:
        """Go back to the queue of the scripts file."""
        self._queue = deque(self._first)

    @property
    def waiting(self) -> int:
        """How many scripts are queued."""
        return len(self._queue)

    def choose(self, header: str | None, model: str | None) -> Script | None:
        """Return the script of a request, None for the demo. Raises `ScriptError`."""
        if header is not None:
            return parse(header)
        if model is not None and model.startswith(INLINE):
            return parse(model.removeprefix(INLINE))
        if model is not None and model.startswith(NAMED):
            return self._by_name(model.removeprefix(NAMED))
        if self._queue:
            return self._queue.popleft()
        return self._models.get(model or "", self._default)

    def _by_name(self, name: str) -> Script:
        try:
            return self._named[name]
        except KeyError:
            known = ", ".join(sorted(self._named))
            raise ScriptError(f"there is no script named {name!r}; there are {known}") from None


def load(path: str | None) -> Scripts:
    """Read a scripts file (YAML or JSON). Raises `ScriptError` and `OSError`."""
    if path is None:
        return Scripts()
    try:
        return Scripts(msgspec.yaml.decode(Path(path).read_bytes(), type=ScriptsFile))
    except msgspec.DecodeError as error:
        raise ScriptError(f"scripts file {path}: {error}") from error
