"""
Every address this process connects to or looks up, as the interpreter itself reports it.

    with outgoing() as seen:
        ...
    assert {("127.0.0.1", 8080)} == seen.connected

Only what goes through Python's own sockets is seen: asyncio's loop, not uvloop's.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Outgoing:
    """What was seen so far."""

    connected: set[Any] = field(default_factory=set)
    looked_up: set[Any] = field(default_factory=set)


_watchers: list[Outgoing] = []
_installed: list[bool] = []  # an audit hook stays for the life of the process


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    if not _watchers:
        return
    if event == "socket.connect":
        address = arguments[1]
        for watcher in _watchers:
            watcher.connected.add(address[:2] if isinstance(address, tuple) else address)
    elif event in ("socket.getaddrinfo", "socket.gethostbyname"):
        for watcher in _watchers:
            watcher.looked_up.add(arguments[0])


@contextmanager
def outgoing() -> Iterator[Outgoing]:
    """Watch until the block ends."""
    if not _installed:
        sys.addaudithook(_hook)
        _installed.append(True)
    seen = Outgoing()
    _watchers.append(seen)
    try:
        yield seen
    finally:
        _watchers.remove(seen)
