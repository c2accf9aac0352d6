"""
What a provider has answered and the store does not have yet: sealed files in a directory, one per answer.

Between a provider's answer and its commit the only copy of a login may be in this process's memory. So it is written
here first: sealed, synchronised, and under its final name only when it is whole. Whoever finds a file that nobody is
working on (after a crash, or when the store is back) commits it; `refresher.py` says when that is safe.
"""

import asyncio
import contextlib
import logging
import os
import re
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Protocol

import msgspec

from services.credentials.errors import Undecryptable
from services.credentials.token_provider import RefreshedSecrets

_KIND: Final = "spool"
_VERSION: Final = 1
_SUFFIX: Final = ".spool"
_NAME: Final = re.compile(r"([A-Za-z0-9_-]+)\.([0-9a-f]{16})\.spool", re.ASCII)
_LARGEST: Final = 256 * 1024

_log = logging.getLogger(__name__)


class Sealer(Protocol):
    """The part of the vault that is needed here."""

    def seal_value(self, kind: str, id_: str, field: str, version: int, data: bytes) -> bytes: ...

    def open_value(self, kind: str, id_: str, field: str, version: int, sealed: bytes) -> bytes: ...


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One answer. Does not print."""

    credential_id: str
    epoch: str  # of the secrets that it was got with
    fence: int  # of the lease under which it was got
    answer: RefreshedSecrets
    at: float  # when it was asked for, by the store's clock
    owner: str = ""  # of the lease that it was got under, so that whoever replays it has that lease


class Spool:
    """The files of one directory, which several processes of a machine may share."""

    def __init__(self, directory: Path, sealer: Sealer) -> None:
        self._directory = directory
        self._sealer = sealer

    async def append(self, entry: Entry) -> str:
        """Write an answer, durably, and return its name. Raises OSError when the disk does not take it."""
        return await asyncio.to_thread(self._append, entry)

    async def remove(self, name: str) -> None:
        """Forget an answer that the store has now; one that is gone already is fine."""
        with contextlib.suppress(OSError):  # a file that cannot be removed is found to be committed another time
            await asyncio.to_thread(lambda: (self._directory / name).unlink(missing_ok=True))

    async def entries(self) -> list[tuple[str, Entry]]:
        """Return what is there, oldest first; what does not open was reported by the vault and is left alone."""
        return await asyncio.to_thread(self._entries)

    async def writable(self) -> bool:
        """Say whether an answer could be written now."""
        return await asyncio.to_thread(self._writable)

    def _append(self, entry: Entry) -> str:
        token = secrets.token_hex(8)
        name = f"{entry.credential_id}.{token}{_SUFFIX}"
        sealed = self._sealer.seal_value(_KIND, entry.credential_id, token, _VERSION, msgspec.json.encode(entry))
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft = self._directory / f".{name}"
        handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0), 0o600)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(sealed)
                file.flush()
                os.fsync(file.fileno())
            draft.rename(self._directory / name)
        except BaseException:
            draft.unlink(missing_ok=True)
            raise
        self._sync()
        return name

    def _sync(self) -> None:
        """A new file's name is durable only when its directory is."""
        if os.name == "nt":  # a directory cannot be opened there
            return
        handle = os.open(self._directory, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)

    def _entries(self) -> list[tuple[str, Entry]]:
        entries = []
        for _, name in sorted(self._found()):
            if (match := _NAME.fullmatch(name)) and (entry := self._read(name, *match.groups())) is not None:
                entries.append((name, entry))
        return entries

    def _found(self) -> Iterator[tuple[int, str]]:
        """Yield when each file was written, and its name; one that goes meanwhile takes no other one with it."""
        try:
            files = list(self._directory.iterdir())
        except OSError:  # no directory yet
            return
        for file in files:
            with contextlib.suppress(OSError):  # committed by another process, or a draft that has its name now
                yield file.stat().st_mtime_ns, file.name

    def _read(self, name: str, id_: str, token: str) -> Entry | None:
        try:
            with (self._directory / name).open("rb") as file:
                sealed = file.read(_LARGEST)
            return msgspec.json.decode(self._sealer.open_value(_KIND, id_, token, _VERSION, sealed), type=Entry)
        except FileNotFoundError:
            return None
        except (OSError, Undecryptable, msgspec.MsgspecError) as error:
            _log.error("a spooled answer cannot be read: %s (%s)", name, type(error).__name__)
            return None

    def _writable(self) -> bool:
        try:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError:
            return False
        return os.access(self._directory, os.W_OK | os.X_OK)
