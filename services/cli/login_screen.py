"""
What a person sees and types while a login waits: the address, a line with the time left, room to paste.

All of it is on stderr, so that the answer of the command can be piped. Implements `login.Person`.
"""

import asyncio
import os
import sys
import threading
import webbrowser
from collections.abc import Mapping
from types import TracebackType
from typing import Final, Self

from rich.console import Console
from rich.progress import Progress, ProgressColumn, SpinnerColumn, Task, TextColumn
from rich.text import Text

from services.credentials.login import Way

_LONGEST_LINE: Final = 64 * 1024
_HINTS: Final = {
    Way.POLL: "Open this address on any device and agree there:",
    Way.LOOPBACK: "Open this address in a browser on this machine and agree there:",
    Way.PASTE: "Open this address in a browser and agree there:",
}
_AFTER: Final = {
    Way.LOOPBACK: "If the browser ends at a page that does not load, paste its address here. Enter: another way.",
    Way.PASTE: "Then paste the address of the page at which the browser ends, and press Enter.",
}


class _TimeLeft(ProgressColumn):
    """Minutes and seconds until the flow gives up."""

    def render(self, task: Task) -> Text:
        left = max(0, int((task.total or 0) - (task.elapsed or 0)))
        return Text(f"{left // 60}:{left % 60:02d} left", style="dim")


class LoginScreen:
    """One login at a terminal, or in a pipe, where the waiting line is left out."""

    def __init__(self, *, browser: bool) -> None:
        self._browser = browser
        self._console = Console(stderr=True, soft_wrap=True)
        self._waiting: Progress | None = None
        self._lines = _Lines()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop_waiting()

    def invite(self, way: Way, url: str, seconds: float) -> None:
        """Show the address, open it where there is a browser, and begin to wait."""
        self._stop_waiting()
        self._console.print(Text.assemble(_HINTS[way], "\n\n  ", (url, "bold"), "\n"))
        if way in _AFTER:
            self._console.print(Text(_AFTER[way], style="dim"))
        if self._browser and has_browser(os.environ, sys.platform):
            # Not awaited and not joined: a browser may stay in the foreground for as long as it is open.
            threading.Thread(target=webbrowser.open, args=(url,), daemon=True).start()
        if self._console.is_terminal and way is not Way.PASTE:  # the line would overwrite what is being pasted
            columns = (SpinnerColumn(), TextColumn("waiting for you to agree"), _TimeLeft())
            self._waiting = Progress(*columns, console=self._console, transient=True, refresh_per_second=4)
            self._waiting.add_task("", total=seconds)
            self._waiting.start()

    def refused(self, why: str) -> None:
        """Say why a pasted address will not do."""
        self._console.print(Text(f"{why}; paste the whole address of the last page", style="yellow"))

    def note(self, text: str) -> None:
        """Say why another way is tried."""
        self._stop_waiting()
        self._console.print(Text(text, style="yellow"))

    async def line(self) -> str:
        """Return the next line of the standard input; raises EOFError once it has ended."""
        return await self._lines.next()

    def _stop_waiting(self) -> None:
        if self._waiting is not None:
            self._waiting.stop()
            self._waiting = None


def has_browser(environ: Mapping[str, str], system: str) -> bool:
    """Say whether opening a browser can help: on a machine without a display it would be one for the terminal."""
    return system in ("darwin", "win32") or any(environ.get(name) for name in ("BROWSER", "DISPLAY", "WAYLAND_DISPLAY"))


class _Lines:
    """The standard input, line by line, without a thread that would outlive the login."""

    def __init__(self) -> None:
        self._held = b""
        self._ended = False

    async def next(self) -> str:
        while b"\n" not in self._held:
            more = b"" if self._ended else await self._read()
            if not more or len(self._held) > _LONGEST_LINE:
                self._ended = True
                raise EOFError
            self._held += more
        line, _, self._held = self._held.partition(b"\n")
        return line.decode("utf-8", "replace")

    async def _read(self) -> bytes:
        try:
            descriptor = sys.stdin.fileno()
        except (AttributeError, OSError, ValueError):  # none, or none of the system's
            return b""
        loop = asyncio.get_running_loop()
        ready: asyncio.Future[None] = loop.create_future()
        try:
            loop.add_reader(descriptor, _set, ready)
        except PermissionError:  # a file: always ready
            return os.read(descriptor, 4096)
        except NotImplementedError:  # Windows
            line: str = await asyncio.to_thread(sys.stdin.readline)
            return line.encode()
        try:
            await ready
            return os.read(descriptor, 4096)
        finally:
            loop.remove_reader(descriptor)


def _set(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)
