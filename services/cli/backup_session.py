"""What `backup` and `restore` do, on the store that the settings name."""

import contextlib
import errno
import os
import secrets
from pathlib import Path

from services.cli.audit_log import audit_of
from services.credentials import backup
from services.credentials.audit import actor
from services.credentials.backup import Made, Restored
from services.credentials.errors import Conflict, NotFound
from services.credentials.settings import is_untouched
from services.credentials.vault_of import vault_of, vault_over_nothing
from services.gateway.settings import GatewaySettings


async def make(settings: GatewaySettings, file: Path) -> Made:
    """Write a backup, readable by nobody else. Raises Conflict when the file is there already or cannot be made."""
    if is_untouched(settings.store):
        raise NotFound("there is nothing to back up: the store was never made")
    async with vault_of(settings.store, settings.keyring) as (vault, store):
        made = await backup.make(vault, store)
        await audit_of(settings, vault).record(
            "export", actor=actor(), subject=file.name, detail=f"{made.count} values"
        )
    _write(file, made.data)
    return made


async def restore(settings: GatewaySettings, file: Path) -> tuple[float, Restored]:
    """Put a backup back; returns when it was made, and what was done."""
    # Before the store is so much as opened: a new one would be claimed by whatever keyring there is, right or wrong.
    data = _read(file)
    found = backup.read(vault_over_nothing(settings.store, settings.keyring), data)
    async with vault_of(settings.store, settings.keyring) as (vault, store):
        done = await backup.restore(vault, store, found)
        detail = f"{done.written} values put back"
        await audit_of(settings, vault).record("import", actor=actor(), subject=file.name, detail=detail)
    return found.made_at, done


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise NotFound(f"{file} cannot be read: {error.strerror or error}") from None


def _write(file: Path, data: bytes) -> None:
    """Write a new file, whole or not at all, so that a Job that was killed is in nobody's way when it is run again."""
    draft = file.with_name(f".{file.name}.{secrets.token_hex(4)}")
    try:
        handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o600)
        try:
            with os.fdopen(handle, "wb") as opened:
                opened.write(data)
                opened.flush()
                os.fsync(opened.fileno())
            _rename(draft, file)
        except BaseException:
            with contextlib.suppress(OSError):
                draft.unlink()
            raise
    except OSError as error:
        raise Conflict(f"{file} cannot be written: {error.strerror or error}") from None


def _rename(draft: Path, file: Path) -> None:
    """Give a file its name, unless another has it; file systems without links, as of some claims, go the second way."""
    try:
        os.link(draft, file)
    except FileExistsError:
        raise
    except OSError:
        if file.exists():
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST)) from None
        draft.rename(file)
    else:
        draft.unlink()
