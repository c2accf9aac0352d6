"""
The keyring as a file: a mounted Kubernetes Secret, which is only read, or the laptop's own file of mode 0600.

What is written is durable before a call returns: the file and the directory entry are both synchronised, because a
record that is sealed under a key which a power cut then takes away is lost.
"""

import os
import secrets
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Final

from services.chassis import sealing
from services.credentials.errors import KeyringInvalid, Unavailable
from services.credentials.keyring import Keyring

_LARGEST: Final = 64 * 1024  # bytes; a keyring of a hundred keys is far smaller
_PRIVATE: Final = 0o600
_SWAPPED: Final = "..data"  # the link in a mounted Secret


def load(path: Path) -> Keyring:
    """Read a keyring. Raises KeyringInvalid, in one line, when there is none or it cannot be used."""
    try:
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            document = file.read(_LARGEST + 1)
    except OSError as fault:
        raise KeyringInvalid(f"the keyring {path} cannot be read: {fault.strerror}") from None
    if not stat.S_ISREG(status.st_mode) or len(document) > _LARGEST:
        raise KeyringInvalid(f"the keyring {path} is not a file of at most {_LARGEST} bytes")
    if _others_may_write(status):
        raise KeyringInvalid(f"the keyring {path} can be written by others; chmod 600 it")
    return Keyring.parse(document)


def _others_may_write(status: os.stat_result) -> bool:
    """
    Tell whether anybody but the owner may write a file.

    Kubernetes opens the files of a claim to the pod's fsGroup. A group that is the user's own, of the same number and
    the process's, is nobody else; root's is.
    """
    private = hasattr(os, "geteuid") and status.st_gid == os.getegid() == os.geteuid() != 0
    return bool(status.st_mode & (stat.S_IWOTH if private else stat.S_IWOTH | stat.S_IWGRP))


def present(path: Path) -> bool:
    """Tell whether there is anything under this name, good or bad."""
    return path.exists() or path.is_symlink()


def load_or_generate(path: Path, *, random: Callable[[int], bytes] = secrets.token_bytes) -> Keyring:
    """Read the laptop's keyring, or make one on the very first start; never replaces a file that is there."""
    if present(path):
        return load(path)
    keyring = Keyring.generate(random(sealing.MASTER_SIZE))
    try:
        create(path, keyring)
    except FileExistsError:  # another process was first
        return load(path)
    return keyring


def create(path: Path, keyring: Keyring) -> None:
    """
    Write a new file; FileExistsError when there is one.

    The file appears under its name complete or not at all, so that a crash never leaves half a keyring behind.
    """
    draft = _draft(path, keyring)
    try:
        os.link(draft, path)  # unlike a rename, refuses to replace
    finally:
        draft.unlink()
    _sync_directory(path.parent)


def replace(path: Path, keyring: Keyring) -> None:
    """Replace a file in one step: whoever reads it sees the old keyring or the new one."""
    draft = _draft(path, keyring)
    draft.replace(path)
    _sync_directory(path.parent)


class KeyringFile:
    """The keyring as rotation needs it: read it and, where that can be, write the next one."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @property
    def fixed(self) -> bool:
        """Whether it can only be read: by its directory's mode, or as one that Kubernetes fills by swapping a link."""
        directory = self._path.parent
        return (directory / _SWAPPED).is_symlink() or not os.access(directory, os.W_OK)

    async def read(self) -> Keyring:
        return load(self._path)

    async def write(self, keyring: Keyring) -> None:
        """Replace it. Raises Unavailable where it can only be read, as in a mounted Secret."""
        try:
            replace(self._path, keyring)
        except OSError as fault:
            raise Unavailable(f"the keyring {self._path} cannot be written: {fault.strerror or fault}") from None


class KeyringWatch:
    """Tells when a mounted keyring has changed. Kubernetes swaps a link, so the whole stat counts, not the time."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen = self._stamp()

    def changed(self) -> Keyring | None:
        """Return the keyring if it is another file than last time. Raises KeyringInvalid, and then asks again."""
        if (stamp := self._stamp()) == self._seen:
            return None
        keyring = load(self._path)
        self._seen = stamp
        return keyring

    def _stamp(self) -> tuple[int, int, int, int] | None:
        try:
            status = self._path.stat()
        except OSError:
            return None
        return status.st_dev, status.st_ino, status.st_mtime_ns, status.st_size


def _draft(path: Path, keyring: Keyring) -> Path:
    """Write a keyring under a name of its own in the same directory, durably, readable by nobody else."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0), _PRIVATE)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(keyring.dump())
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        draft.unlink()
        raise
    return draft


def _sync_directory(directory: Path) -> None:
    if os.name == "nt":  # a directory cannot be opened there
        return
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
