"""
The audit log: one JSON line for each sensitive action, in a file whose lines vouch for each other, and in the log.

Theory of operation. Several processes of a machine append to one file, one at a time (`flock`). What must not go
unnoticed - master keys, client keys, logins - goes through `record`, after it was done and before anybody is answered:
the line is synced, then the store is told the newest head (`meta/audit:<name>`, sealed), and if either fails, so does
the action. Everything else is noted as well as may be, without the store.

    the file's end                          what follows
    a whole line, not before the anchor     that line
    a torn line, which nobody was told of   it is cut off: a crash in the middle of a write
    anything before the anchor              the anchor, so that the gap stays and `verify` shows it

The file must not be rotated by others; lines that the store does not know of yet can be cut off its end unseen.
"""

import asyncio
import contextlib
import logging
import os
import re
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import msgspec

from services.chassis.clock import Clock, SystemClock
from services.chassis.sealing import Purpose
from services.credentials import audit_chain
from services.credentials.audit_chain import START, Event, Head, Verdict
from services.credentials.errors import Conflict, KeyringInvalid, Unavailable
from services.credentials.vault import META, Vault

FILE_NAME: Final = "audit.log"

_ANCHOR: Final = "audit:"
_TAIL: Final = 65_536  # bytes in which the last line is looked for; a line is far shorter
_LONGEST: Final = 256  # characters of a field
_LOCK_SECONDS: Final = 5.0
_BRIEFLY: Final = 0.05  # seconds a mere note may keep the event loop waiting
_TRIES: Final = 16
_NOT_A_NAME: Final = re.compile(r"[^A-Za-z0-9_.-]")

_log = logging.getLogger(__name__)


class Audit:
    """One file's log. Safe for concurrent use on one event loop, and by several processes."""

    def __init__(self, vault: Vault, path: Path, *, name: str = "local", clock: Clock | None = None) -> None:
        self.path = path
        self._vault = vault
        self._anchor_id = _ANCHOR + name
        self._clock: Clock = clock or SystemClock()
        self._seen = START
        self._writing = asyncio.Lock()

    async def record(
        self, event: str, *, actor: str, subject: str, result: str = "ok", detail: str = "", request_id: str = ""
    ) -> None:
        """Write down what was done. Raises Unavailable, StoreUnavailable, Undecryptable: then answer nobody."""
        entry = self._event(event, actor, subject, result, detail, request_id)
        async with self._writing:
            self._seen = max(self._seen, (await self._anchor())[0], key=lambda head: head.seq)
            try:
                head = await asyncio.to_thread(self._append, entry, seconds=_LOCK_SECONDS, sync=True)
            except OSError as error:
                raise Unavailable(f"the audit log {self.path} cannot be written: {error.strerror or error}") from None
            await self._raise_anchor(head)

    def note(self, event: str, subject: str, detail: str = "") -> None:
        """Write down what the service does by itself, if that is possible now; an `Observer`."""
        entry = self._event(event, "service", subject, "ok", detail, "")
        try:
            self._seen = self._append(entry, seconds=_BRIEFLY, sync=False)
        except OSError as error:
            _log.warning("%s is not in the audit log: %s", event, error.strerror or error)

    async def verify(self) -> Verdict:
        """Prove the whole log. Raises Unavailable, StoreUnavailable, Undecryptable when it cannot be read."""
        anchor, _ = await self._anchor()
        try:
            return await asyncio.to_thread(lambda: audit_chain.verify(_lines(self.path), self._key_of, anchor))
        except OSError as error:
            raise Unavailable(f"the audit log {self.path} cannot be read: {error.strerror or error}") from None

    # -- inside

    def _event(self, event: str, actor: str, object_: str, result: str, detail: str, request_id: str) -> Event:
        entry = Event(
            time=self._clock.now(),
            event=event,
            actor=actor[:_LONGEST],
            object=object_[:_LONGEST],
            result=result,
            detail=detail[:_LONGEST],
            request_id=request_id[:_LONGEST],
        )
        _log.info("audit: %s", event, extra={"fields": msgspec.structs.asdict(entry)})
        return entry

    def _append(self, event: Event, *, seconds: float, sync: bool) -> Head:
        keyring = self._vault.keyring
        with _locked(self.path, seconds) as handle:
            head = _end(handle, self._seen)
            line = audit_chain.seal(event, head, kid=keyring.primary.kid, key=self._vault.derive(Purpose.AUDIT))
            os.write(handle, line + b"\n")
            if sync:
                os.fsync(handle)
        return audit_chain.head_of(line) or head

    async def _anchor(self) -> tuple[Head, int]:
        """Return the newest line that the store knows of, and the version of what it knows."""
        stored = await self._vault.read_value(META, self._anchor_id)
        return (START, 0) if stored is None else (msgspec.json.decode(stored.data, type=Head), stored.version)

    async def _raise_anchor(self, head: Head) -> None:
        for _ in range(_TRIES):
            known, version = await self._anchor()
            if known.seq >= head.seq:
                return
            with contextlib.suppress(Conflict):
                await self._vault.write_value(META, self._anchor_id, msgspec.json.encode(head), version)
                return
        raise Unavailable("the audit log's end could not be kept: too many write to it at once")

    def _key_of(self, kid: int) -> bytes | None:
        try:
            return self._vault.derive(Purpose.AUDIT, kid)
        except KeyringInvalid:
            return None


def actor() -> str:
    """Name whoever runs this process."""
    try:
        user = str(os.getuid()) if sys.platform != "win32" else os.getlogin()
    except OSError:
        user = "unknown"
    return f"uid {user} on {socket.gethostname()}"


def log_name(store_url: str | None) -> str:
    """Name this machine's log in the store: its own store has one, a shared one has one for each machine."""
    if store_url is None or urlsplit(store_url).scheme in ("sqlite", "memory"):
        return "local"
    return _NOT_A_NAME.sub("-", socket.gethostname())[:64] or "local"


def _lines(path: Path) -> Iterator[bytes]:
    """Yield the whole lines of a log; without a file there are none."""
    with contextlib.suppress(FileNotFoundError), path.open("rb") as file:
        for line in file:
            if line.endswith(b"\n"):
                yield line[:-1]


def _end(handle: int, anchor: Head) -> Head:
    """Return what the next line follows, and make the file end with a whole line."""
    size = os.lseek(handle, 0, os.SEEK_END)
    start = max(0, size - _TAIL)
    os.lseek(handle, start, os.SEEK_SET)
    whole, feed, torn = os.read(handle, _TAIL).rpartition(b"\n")
    head = (audit_chain.head_of(whole.rpartition(b"\n")[2]) if feed else None) or START
    if torn and head.seq >= anchor.seq:
        os.ftruncate(handle, size - len(torn))
    elif torn:  # it was whole once, and somebody was told so
        os.lseek(handle, 0, os.SEEK_END)
        os.write(handle, b"\n")
    os.lseek(handle, 0, os.SEEK_END)
    return head if head.seq > anchor.seq else anchor if anchor.seq else head


@contextlib.contextmanager
def _locked(path: Path, seconds: float) -> Iterator[int]:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
    handle = os.open(path, flags, 0o600)
    try:
        deadline = time.monotonic() + seconds
        while not _try_lock(handle):
            if time.monotonic() > deadline:
                raise TimeoutError(0, "another process holds it")
            time.sleep(0.005)
        yield handle
    finally:
        os.close(handle)  # and the lock with it


if sys.platform != "win32":
    import fcntl

    def _try_lock(handle: int) -> bool:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

else:  # pragma: no cover -- there is no flock there; one process at a time is the rule on such a machine

    def _try_lock(_handle: int) -> bool:
        return True
